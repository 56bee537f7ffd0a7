"""Who is the same person: by id, and by an identical recording under two ids."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Names: TypeAlias = Sequence[str] | pa.ChunkedArray
"""One name a recording, as Python strings or as a column of an index."""


def numbered(names: Names) -> Int64[np.ndarray, "recordings"]:
    """Numbers names 0, 1, ... in order of first appearance; equal names have equal numbers."""
    column = names if isinstance(names, pa.ChunkedArray) else pa.chunked_array([pa.array(names, pa.string())])
    # To one chunk first: the dictionaries of several need not be one.
    codes: Int64[np.ndarray, "recordings"] = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes.astype(np.int64)


def same_person(patients: Names, hashes: Names) -> Int64[np.ndarray, "recordings"]:
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
    patient, recording = numbered(patients), numbered(hashes)
    if len(patient) == 0:
        return patient
    patients_found = int(patient.max()) + 1
    nodes = patients_found + int(recording.max()) + 1
    links = coo_array((np.ones(len(patient), bool), (patient, patients_found + recording)), (nodes, nodes))
    _, component = connected_components(links, directed=False)
    return in_order_of_appearance(component[patient])


def in_order_of_appearance(numbers: np.ndarray) -> Int64[np.ndarray, "items"]:
    """Renames numbers to 0, 1, ... so that each comes up first after all smaller ones."""
    _, first, group = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    result: Int64[np.ndarray, "items"] = rank[group]
    return result
