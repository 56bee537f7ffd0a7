"""Runs of equal truth values along one lead."""

import numpy as np
from jaxtyping import Bool, Int64


def true_runs(
    marked: Bool[np.ndarray, "samples"],
) -> tuple[Int64[np.ndarray, "runs"], Int64[np.ndarray, "runs"]]:
    """Finds the runs of True.

    Args:
        marked: One lead.

    Returns:
        First sample of every run, and the sample after its last one.
    """
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0)).astype(np.int64)
    return edges[::2], edges[1::2]
