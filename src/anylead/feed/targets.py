"""Labels and persons of recordings as arrays."""

from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float32, Int64

from anylead.feed.overlap import Recording, person_numbers
from anylead.store import Store


def class_targets(
    stores: Sequence[Store], recordings: Sequence[Recording], classes: Sequence[Collection[str]]
) -> Float32[np.ndarray, "R C"]:
    """Returns 1 where a recording has a class and 0 elsewhere.

    Args:
        stores: Where the recordings are.
        recordings: As (store, row).
        classes: SNOMED CT codes that mean each class; one of them is enough.
    """
    result = np.zeros((len(recordings), len(classes)), dtype=np.float32)
    for place, (number, row) in enumerate(recordings):
        codes = set(stores[number].column("labels")[row])
        result[place] = [not codes.isdisjoint(members) for members in classes]
    return result


def carried_classes(stores: Sequence[Store], classes: Sequence[Collection[str]]) -> Bool[np.ndarray, "S C"]:
    """Tells which classes each store knows of: at least one of its recordings, of any split, has one.

    Args:
        stores: What to look through.
        classes: SNOMED CT codes that mean each class.
    """
    codes = [set(chain.from_iterable(store.column("labels"))) for store in stores]
    return np.array([[not own.isdisjoint(members) for members in classes] for own in codes], dtype=bool)


def identity_targets(
    stores: Sequence[Store], recordings: Sequence[Recording]
) -> tuple[Int64[np.ndarray, "R"], int]:
    """Returns the class of each recording's person, 0, 1, ... in order of appearance, and their number."""
    persons = person_numbers(stores)
    classes: dict[int, int] = {}
    result = [classes.setdefault(int(persons[number][row]), len(classes)) for number, row in recordings]
    return np.array(result, dtype=np.int64), len(classes)
