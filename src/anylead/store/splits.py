"""Splits by person: nobody is in two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anylead.errors import ConfigError, StoreError
from anylead.seeding import derive_seed
from anylead.store.persons import Names, numbered, same_person

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

TEST_FOLD = 10
VALID_FOLD = 9


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How persons are dealt to training, validation and test."""

    test_fraction: float = 0.1
    """Share of the persons in the test split."""
    valid_fraction: float = 0.1
    """Share of the persons in the validation split."""
    seed: int = 0
    """Another seed, other persons."""
    use_folds: bool = False
    """Take the folds the publishers recommend instead: 10 is test, 9 validation, the rest training."""

    def __post_init__(self) -> None:
        low, high = min(self.test_fraction, self.valid_fraction), self.test_fraction + self.valid_fraction
        if not (low >= 0 and high < 1):
            raise ConfigError(
                f"split: got test_fraction {self.test_fraction:g} and valid_fraction {self.valid_fraction:g}"
                "; give shares of 0 or more that leave some persons for training."
            )


def assign_splits(
    patients: Names,
    hashes: Names,
    folds: Sequence[int | None],
    config: SplitConfig,
    *,
    where: str = "split",
) -> list[Split]:
    """Deals recordings to splits, person by person.

    Persons stand in the order of a hash of seed and patient id; the first ones are the test split,
    the next ones the validation split. The shares are exact to one person, and a share above 0 gets
    at least one wherever somebody is left for training. Persons linked by an identical recording
    count as one (`same_person`); with folds, they all go to the most protected of their splits.

    Args:
        patients: One id a recording.
        hashes: One hash a recording.
        folds: Recommended fold of each recording; needed with `use_folds` only.
        config: What to do.
        where: What to call the offender in an error.

    Raises:
        ConfigError: If folds are asked for and a recording has none.
    """
    person = same_person(patients, hashes)
    if config.use_folds:
        require_folds(folds, where=where)
        return _by_fold(person, folds)
    keys: dict[int, int] = {}
    for number, patient in zip(person.tolist(), patients, strict=True):
        key = derive_seed(config.seed, "split", str(patient))
        keys[number] = min(key, keys.get(number, key))
    order = sorted(keys, key=lambda number: keys[number])
    tested = _share(len(order), config.test_fraction, spare=len(order) - 1)
    validated = _share(len(order), config.valid_fraction, spare=len(order) - 1 - tested)
    split: dict[int, Split] = dict.fromkeys(order, "train")
    split |= dict.fromkeys(order[:tested], "test")
    split |= dict.fromkeys(order[tested : tested + validated], "valid")
    return [split[number] for number in person.tolist()]


def _share(persons: int, fraction: float, *, spare: int) -> int:
    wanted = max(1, round(persons * fraction)) if fraction > 0 else 0
    return min(wanted, max(0, spare))


def require_folds(folds: Sequence[int | None], *, where: str) -> None:
    """Checks that every recording has a recommended fold.

    Raises:
        ConfigError: If one has none.
    """
    without = sum(fold is None for fold in folds)
    if without:
        raise ConfigError(
            f"{where}: {without} of {len(folds)} recordings have no recommended fold; "
            "leave use_folds off to split by fractions."
        )


def _by_fold(person: np.ndarray, folds: Sequence[int | None]) -> list[Split]:
    of_fold: dict[int | None, Split] = {TEST_FOLD: "test", VALID_FOLD: "valid"}
    split: dict[int, Split] = {}
    for number, fold in zip(person.tolist(), folds, strict=True):
        candidate = of_fold.get(fold, "train")
        split[number] = max(candidate, split.get(number, "train"), key=SPLITS.index)
    return [split[number] for number in person.tolist()]


def require_disjoint(patients: Names, hashes: Names, splits: Names, *, where: str) -> None:
    """Checks that no patient and no recording is in two splits.

    Raises:
        StoreError: If one is.
    """
    split = numbered(splits)
    for kind, names in (("patient", patients), ("recording", hashes)):
        number = numbered(names)
        _, first, group = np.unique(number, return_index=True, return_inverse=True)
        other = np.flatnonzero(split != split[first[group]])
        if other.size:
            two = int(other[0])
            one = int(first[group[two]])
            raise StoreError(
                f"{where}: {kind} {names[two]} is in the {splits[one]} and in the {splits[two]} split; "
                "splits must share nobody: prepare the store again."
            )
