"""Recordings that may be used for a split when several stores are used together.

Data sets overlap: a recording that one store trains on may be in the test split of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from numpy import ndarray

from anylead.store import Split, Store, numbered, require_same_preparation, same_person

Recording = tuple[int, int]
"""(number of the store, row of its index)."""

_PROTECTED_BY: dict[Split, tuple[Split, ...]] = {
    "test": (),
    "valid": ("test",),
    "train": ("test", "valid"),
}


@dataclass(frozen=True, kw_only=True)
class DropReport:
    """What was left out, per store."""

    kept: Mapping[str, int]
    """Store -> recordings that may be used."""
    dropped: Mapping[str, Mapping[str, int]]
    """Store -> reason -> recordings. The reasons are ``test recording`` (the same recording is in a test
    split), ``test patient`` (the patient is), ``test person`` (linked to one by an identical recording),
    and the same with ``valid``; each recording is counted under the first that holds."""
    duplicates: int
    """Recordings kept although an identical one is kept too."""

    @property
    def total_dropped(self) -> int:
        """Recordings left out of all stores."""
        return sum(sum(reasons.values()) for reasons in self.dropped.values())

    def lines(self) -> list[str]:
        """Returns one sentence a store, for people."""
        return [
            f"{store}: {self.kept[store]} recordings, {sum(reasons.values())} dropped"
            + "".join(f", {count} for {reason}" for reason, count in sorted(reasons.items()))
            for store, reasons in self.dropped.items()
        ]


def training_indices(stores: Sequence[Store]) -> tuple[list[Recording], DropReport]:
    """Returns the recordings of the training splits that nobody is tested on; see `usable_indices`."""
    return usable_indices(stores, "train")


def usable_indices(stores: Sequence[Store], split: Split) -> tuple[list[Recording], DropReport]:
    """Returns the recordings of one split without those of persons in a more protected split of any store.

    Test protects from validation and training, validation from training. A person is known by the
    patient id, by an identical recording (same hash), and by any chain of the two.

    Args:
        stores: Used together.
        split: ``train``, ``valid`` or ``test``.

    Raises:
        InputError: If there is no store.
        StoreError: If the stores were made by other steps.
    """
    rows, report = usable_rows(stores, split)
    return [(number, row) for number, row in rows.tolist()], report


def usable_rows(stores: Sequence[Store], split: Split) -> tuple[Int64[ndarray, "R 2"], DropReport]:
    """Returns what `usable_indices` does, as an array: (number of the store, row of its index)."""
    require_same_preparation(stores)
    patients, hashes = _numbered(stores, "patient_id"), _numbered(stores, "hash")
    splits = _joined(stores, "split").to_numpy().astype(str)
    store = np.repeat(np.arange(len(stores)), [len(one) for one in stores])
    row = np.concatenate([np.arange(len(one)) for one in stores])
    reasons = _reasons(patients, hashes, splits, _persons(stores), _PROTECTED_BY[split])
    chosen = splits == split
    kept = chosen & (reasons == "")
    names = [str(one.path) for one in stores]
    dropped: dict[str, dict[str, int]] = {name: {} for name in names}
    counts = dict.fromkeys(names, 0)
    for number, name in enumerate(names):
        own = chosen & (store == number)
        counts[name] += int((own & kept).sum())
        for reason, count in zip(*np.unique(reasons[own & ~kept], return_counts=True), strict=True):
            dropped[name][str(reason)] = dropped[name].get(str(reason), 0) + int(count)
    duplicates = int(kept.sum()) - len(np.unique(hashes[kept]))
    rows = np.stack([store[kept], row[kept]], axis=1).astype(np.int64)
    return rows, DropReport(kept=counts, dropped=dropped, duplicates=duplicates)


def _reasons(
    patients: Int64[ndarray, "recordings"],
    hashes: Int64[ndarray, "recordings"],
    splits: ndarray,
    person: Int64[ndarray, "recordings"],
    protecting: Sequence[Split],
) -> ndarray:
    """Returns why each recording may not be used, empty where it may."""
    reasons = np.full(len(patients), "", dtype="<U16")
    for split in protecting:
        inside = splits == split
        for kind, numbers in (("recording", hashes), ("patient", patients), ("person", person)):
            tested = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=bool)
            tested[numbers[inside]] = True
            reasons[(reasons == "") & tested[numbers]] = f"{split} {kind}"
    return reasons


def person_numbers(stores: Sequence[Store]) -> list[Int64[ndarray, "recordings"]]:
    """Returns a number per person for every recording of every store; equal numbers are one person."""
    return np.split(_persons(stores), np.cumsum([len(store) for store in stores])[:-1])


def _persons(stores: Sequence[Store]) -> Int64[ndarray, "recordings"]:
    return same_person(_joined(stores, "patient_id"), _joined(stores, "hash"))


def _numbered(stores: Sequence[Store], name: str) -> Int64[ndarray, "recordings"]:
    return numbered(_joined(stores, name))


def _joined(stores: Sequence[Store], name: str) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for store in stores for chunk in store.index.column(name).chunks])
