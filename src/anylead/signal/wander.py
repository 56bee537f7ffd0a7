"""Baseline wander: how far a lead drifts."""

import numpy as np
from jaxtyping import Float32, Float64

from anylead.signal.filters import high_pass

WANDER_BELOW_HZ = 0.5
"""Breathing and drift are slower, the heart is faster."""


def wander_mv(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float
) -> Float64[np.ndarray, "leads"]:
    """Returns the standard deviation of what is slower than 0.5 Hz, in mV; a constant offset is no wander.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        rate_hz: Samples per second.

    Returns:
        NaN for a lead without samples, and for recordings of less than 2 s, which hold no such period.
    """
    if signal.shape[1] < 2 * rate_hz:
        return np.full(signal.shape[0], np.nan)
    slow = signal - high_pass(signal, rate_hz=rate_hz, cutoff_hz=WANDER_BELOW_HZ)
    known = ~np.isnan(signal)
    counts = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, slow, 0).sum(axis=1) / counts
    square = np.where(known, np.square(slow - mean[:, None]), 0).sum(axis=1) / counts
    return np.asarray(np.where(known.any(axis=1), np.sqrt(square), np.nan), dtype=np.float64)
