"""Recordings that may be used for a split when several stores are used together.

Data sets overlap: a recording that one store trains on may be in the test split of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from numpy import ndarray

from anylead.store import Split, Store, require_same_preparation, same_person

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
    require_same_preparation(stores)
    patients = [name for store in stores for name in store.column("patient_id")]
    hashes = [name for store in stores for name in store.column("hash")]
    splits = [name for store in stores for name in store.column("split")]
    person = same_person(patients, hashes)
    reasons = _reasons(patients, hashes, splits, person, _PROTECTED_BY[split])

    kept: list[Recording] = []
    kept_hashes: list[str] = []
    dropped: dict[str, dict[str, int]] = {str(store.path): {} for store in stores}
    kept_counts = dict.fromkeys(dropped, 0)
    place = 0
    for number, store in enumerate(stores):
        name = str(store.path)
        for row in range(len(store)):
            if splits[place] == split:
                reason = reasons[place]
                if reason is None:
                    kept.append((number, row))
                    kept_hashes.append(hashes[place])
                    kept_counts[name] += 1
                else:
                    dropped[name][reason] = dropped[name].get(reason, 0) + 1
            place += 1
    duplicates = len(kept_hashes) - len(set(kept_hashes))
    return kept, DropReport(kept=kept_counts, dropped=dropped, duplicates=duplicates)


def _reasons(
    patients: Sequence[str],
    hashes: Sequence[str],
    splits: Sequence[str],
    person: Int64[ndarray, "recordings"],
    protecting: Sequence[Split],
) -> list[str | None]:
    """Returns why each recording may not be used, None where it may."""
    reasons: list[str | None] = [None] * len(patients)
    numbers = person.tolist()
    for split in protecting:
        inside = [place for place, name in enumerate(splits) if name == split]
        tested_hashes = {hashes[place] for place in inside}
        tested_patients = {patients[place] for place in inside}
        tested_persons = {numbers[place] for place in inside}
        for place, known in enumerate(reasons):
            if known is not None or numbers[place] not in tested_persons:
                continue
            if hashes[place] in tested_hashes:
                reasons[place] = f"{split} recording"
            elif patients[place] in tested_patients:
                reasons[place] = f"{split} patient"
            else:
                reasons[place] = f"{split} person"
    return reasons


def person_numbers(stores: Sequence[Store]) -> list[Int64[ndarray, "recordings"]]:
    """Returns a number per person for every recording of every store; equal numbers are one person."""
    person = same_person(
        [name for store in stores for name in store.column("patient_id")],
        [name for store in stores for name in store.column("hash")],
    )
    result, start = [], 0
    for store in stores:
        result.append(person[start : start + len(store)])
        start += len(store)
    return result
