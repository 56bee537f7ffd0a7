"""Recordings of several stores used together, and what a bundle makes of them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64
from tqdm import tqdm

from anylead.bundle import Bundle, embed_store, embed_store_windows, predict_store, require_own_steps
from anylead.encoders.base import Readout
from anylead.feed.overlap import Recording, person_numbers, usable_indices
from anylead.store import Split, Store

logger = logging.getLogger(__name__)


def unknown_patients(stores: Sequence[Store]) -> list[str]:
    """Returns the sentence that a report owes its reader where a data set does not publish its patients."""
    names = dict.fromkeys(store.manifest.source for store in stores if not store.manifest.patients_known)
    if not names:
        return []
    return [
        f"Patients are not published in {', '.join(names)}: there the splits are by recording, each "
        "recording counts as a patient of its own, and a person recorded twice may be in training and test."
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Some recordings of some stores, in order."""

    stores: tuple[Store, ...]
    recordings: tuple[Recording, ...]
    """(number of the store, row of its index)."""

    @classmethod
    def of(cls, stores: Sequence[Store], split: Split) -> "Selection":
        """Returns the recordings of a split; nobody of the test split of any store is in another one.

        Raises:
            InputError: If there is no store.
            StoreError: If the stores were made by other steps.
        """
        recordings, report = usable_indices(stores, split)
        if report.total_dropped:
            logger.info("%s split: %s", split, "; ".join(report.lines()))
        return cls(stores=tuple(stores), recordings=tuple(recordings))

    def __len__(self) -> int:
        return len(self.recordings)

    def column(self, name: str) -> list[Any]:
        """Returns a column of the stores' indices, one value a recording."""
        return [self.stores[number].column(name)[row] for number, row in self.recordings]

    @property
    def record_ids(self) -> list[str]:
        """Ids that are unique over all stores: source and record."""
        return [
            f"{source}/{name}"
            for source, name in zip(self.column("source"), self.column("record_id"), strict=True)
        ]

    @property
    def persons(self) -> list[str]:
        """Whose each recording is: the same name for the same person in every store."""
        numbers = person_numbers(self.stores)
        return [f"person {numbers[number][row]}" for number, row in self.recordings]

    def keep(self, mask: Sequence[bool] | Bool[np.ndarray, "n"]) -> "Selection":
        """Returns the recordings for which the mask is True."""
        kept = tuple(one for one, kept in zip(self.recordings, mask, strict=True) if kept)
        return replace(self, recordings=kept)

    def labelled(self) -> "Selection":
        """Returns those that have been looked at for findings."""
        return self.keep(self.column("labelled"))

    def of_known_persons(self) -> "Selection":
        """Returns those of stores whose patient ids are those of persons."""
        return self.keep([self.stores[number].manifest.patients_known for number, _ in self.recordings])

    def with_leads(self, leads: Sequence[str]) -> "Selection":
        """Returns those on which all the given leads were recorded."""
        return self.keep(
            [set(leads) <= set(self.stores[number].leads[row]) for number, row in self.recordings]
        )

    def per_store(self) -> Iterator[tuple[Store, Int64[np.ndarray, "m"], Int64[np.ndarray, "m"]]]:
        """Yields each store with the places of its recordings here, and their rows there."""
        numbers = np.array([number for number, _ in self.recordings], dtype=np.int64)
        rows = np.array([row for _, row in self.recordings], dtype=np.int64)
        for number, store in enumerate(self.stores):
            places = np.flatnonzero(numbers == number).astype(np.int64)
            if len(places):
                yield store, places, rows[places]


def open_stores(paths: Sequence[Path], bundle: Bundle) -> tuple[Store, ...]:
    """Opens stores that a bundle can read.

    Raises:
        StoreError: If one cannot be opened, or was prepared by other steps than the bundle's.
    """
    stores = tuple(Store.open(path) for path in paths)
    for store in stores:
        require_own_steps(bundle, store)
    return stores


def embed_selection(
    bundle: Bundle,
    selection: Selection,
    *,
    lead_set: tuple[str, ...] | None = None,
    readout: Readout | None = None,
    batch_size: int = 64,
    progress: str | None = None,
) -> Float32[np.ndarray, "n E"]:
    """Returns one vector a recording, NaN where none of the leads is present in any window.

    Args:
        bundle: The encoder.
        selection: The recordings.
        lead_set: Leads to use; None uses all.
        readout: Layer and pooling; the bundle's own where None.
        batch_size: Windows at a time.
        progress: What to call it in a progress bar; None shows none.
    """
    return _gather(
        selection,
        lambda store, rows: embed_store(
            bundle,
            store,
            rows,
            lead_set=lead_set,
            readout=readout,
            batch_size=batch_size,
            progress=_bar(progress),
        ),
    )


def predict_selection(
    bundle: Bundle,
    selection: Selection,
    *,
    head: str | None = None,
    lead_set: tuple[str, ...] | None = None,
    batch_size: int = 64,
    progress: str | None = None,
) -> Float32[np.ndarray, "n C"]:
    """Returns the probability of each class for each recording; arguments as `embed_selection`."""
    return _gather(
        selection,
        lambda store, rows: predict_store(
            bundle, store, rows, head=head, lead_set=lead_set, batch_size=batch_size, progress=_bar(progress)
        ),
    )


def embed_selection_windows(
    bundle: Bundle,
    selection: Selection,
    *,
    lead_set: tuple[str, ...] | None = None,
    readout: Readout | None = None,
    batch_size: int = 64,
    progress: str | None = None,
) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
    """Returns one vector a window, and the place of its recording; arguments as `embed_selection`."""
    values, places = [], []
    for store, there, rows in selection.per_store():
        vectors, of = embed_store_windows(
            bundle,
            store,
            rows,
            lead_set=lead_set,
            readout=readout,
            batch_size=batch_size,
            progress=_bar(progress),
        )
        if len(vectors):
            values.append(vectors)
            places.append(there[of])
    if not values:
        return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)
    return np.concatenate(values), np.concatenate(places)


def _gather(
    selection: Selection, of_store: Callable[[Store, Int64[np.ndarray, "m"]], Float32[np.ndarray, "m E"]]
) -> Float32[np.ndarray, "n E"]:
    parts = [(places, of_store(store, rows)) for store, places, rows in selection.per_store()]
    width = max((part.shape[1] for _, part in parts), default=0)
    result = np.full((len(selection), width), np.nan, dtype=np.float32)
    for places, part in parts:
        if part.shape[1]:
            result[places] = part
    return result


def _bar(label: str | None) -> Callable[[Sequence[int]], Any] | None:
    return None if label is None else lambda rows: tqdm(rows, desc=label, unit="recording", leave=False)
