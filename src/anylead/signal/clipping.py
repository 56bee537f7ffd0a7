"""Clipping: peaks that all end at one height."""

import numpy as np
from jaxtyping import Float32, Float64

from anylead.signal.runs import true_runs

_TOLERANCE = 0.002
"""Part of the lead's range within which samples stand at one height."""
_PLATEAU_S = 0.016
"""A QRS peak of 15 ms (standard deviation) stays within the tolerance for 2 ms, a T wave of 50 for 6 ms."""
_PLATEAUS = 2
"""One flat peak may be chance."""
_LEAST_MV = 0.3
"""From the median of the lead to the extreme: the baseline of a lead without negative waves is no cut."""


def clipped_mv(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float
) -> Float64[np.ndarray, "leads"]:
    """Returns the height at which each lead is cut off, in mV from its median; NaN where it is not cut off.

    A lead is cut off where at least two plateaus of 16 ms stand at its largest or its smallest value. Unlike
    `anylead.signal.quality.saturated_share` it finds a cut at any height, even one that a later gain has
    moved and rounding has made uneven; a change of rate, which rounds the corners, hides it.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        rate_hz: Samples per second.
    """
    shortest = max(3, round(_PLATEAU_S * rate_hz))
    result = np.full(signal.shape[0], np.nan)
    for lead, values in enumerate(signal):
        known = values[~np.isnan(values)]
        if known.size == 0:
            continue
        middle, tolerance = np.median(known), _TOLERANCE * np.ptp(known)
        for extreme in (known.max(), known.min()):
            starts, stops = true_runs(np.abs(values - extreme) <= tolerance)
            plateaus = int((stops - starts >= shortest).sum())
            height = float(abs(extreme - middle))
            if plateaus >= _PLATEAUS and height >= _LEAST_MV:
                result[lead] = np.fmin(result[lead], height)
    return result
