"""Missing samples: how long the gaps are, and bridging the short ones."""

import numpy as np
from jaxtyping import Float32, Int64

from anylead.signal.runs import true_runs


def longest_gaps(signal: Float32[np.ndarray, "leads samples"]) -> Int64[np.ndarray, "leads"]:
    """Returns the length in samples of the longest run of NaN of each lead; 0 where nothing is missing."""
    result = np.zeros(signal.shape[0], dtype=np.int64)
    missing = np.isnan(signal)
    for lead in np.flatnonzero(missing.any(axis=1)):
        starts, stops = true_runs(missing[lead])
        result[lead] = (stops - starts).max()
    return result


def fill_gaps(
    signal: Float32[np.ndarray, "leads samples"], *, max_samples: int | None = None
) -> Float32[np.ndarray, "leads samples"]:
    """Bridges runs of NaN with straight lines.

    A gap at an end takes the nearest value. A lead without any value stays NaN.

    Args:
        signal: Millivolts.
        max_samples: Longer runs stay NaN; None bridges all.

    Returns:
        The same array if nothing is missing, otherwise a new one.
    """
    missing = np.isnan(signal)
    if not missing.any():
        return signal
    result = signal.copy()
    places = np.arange(signal.shape[1])
    for lead in np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1)):
        fillable = missing[lead].copy()
        if max_samples is not None:
            for start, stop in zip(*true_runs(missing[lead]), strict=True):
                if stop - start > max_samples:
                    fillable[start:stop] = False
        known = ~missing[lead]
        result[lead, fillable] = np.interp(places[fillable], places[known], signal[lead, known])
    return result
