"""Who is the same person: by id, and by an identical recording under two ids."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64


def same_person(patients: Sequence[str], hashes: Sequence[str]) -> Int64[np.ndarray, "recordings"]:
    """Numbers the persons behind recordings.

    Two recordings are of one person if they share the patient id or the hash, or are linked by a
    chain of such pairs. Data sets overlap, and contain recordings twice: two "patients" with one
    and the same recording are one person.

    Args:
        patients: One id a recording.
        hashes: One hash a recording.

    Returns:
        A number per recording, 0 for the person of the first one and counted up in order of first
        appearance; equal numbers are the same person.
    """
    parent = list(range(len(patients)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, (patient, digest) in enumerate(zip(patients, hashes, strict=True)):
        for key in (("patient", patient), ("hash", digest)):
            one, other = root(first.setdefault(key, place)), root(place)
            parent[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return np.array(
        [numbers.setdefault(root(place), len(numbers)) for place in range(len(patients))], dtype=np.int64
    )
