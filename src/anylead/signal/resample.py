"""Change of sampling rate, with an anti-alias filter and without edge steps."""

from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float32
from scipy.signal import resample_poly

from anylead.signal.gaps import fill_gaps

_LARGEST_TERM = 10_000
_MAX_DENOMINATOR = 5000


def rate_ratio(from_hz: float, to_hz: float) -> Fraction:
    """Returns the ratio of two rates as a fraction of small numbers.

    Rates in whole hertz are met exactly, others within 5 parts in a million: 20 ms in an hour.
    """
    exact = Fraction(to_hz).limit_denominator(1_000_000) / Fraction(from_hz).limit_denominator(1_000_000)
    if max(exact.numerator, exact.denominator) <= _LARGEST_TERM:
        return exact
    # The error is one of the quotient, so it is small beside a quotient of 1 or more only.
    return (
        exact.limit_denominator(_MAX_DENOMINATOR)
        if exact >= 1
        else 1 / (1 / exact).limit_denominator(_MAX_DENOMINATOR)
    )


def resample(
    signal: Float32[np.ndarray, "leads samples"], *, from_hz: float, to_hz: float
) -> Float32[np.ndarray, "leads resampled"]:
    """Brings a signal to another sampling rate.

    A polyphase filter with a straight line through the ends as padding: scipy's default pads with
    zeros, which leaves a step of tens of microvolts at both ends of a signal with an offset. Gaps
    stay gaps: an output sample is NaN where an input sample within one (slower) sampling interval
    of it is.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        from_hz: Rate it has.
        to_hz: Rate it shall have.

    Returns:
        ceil(samples * to_hz / from_hz) samples; sample 0 stays where it was.
    """
    ratio = rate_ratio(from_hz, to_hz)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal
    samples = -(-signal.shape[1] * up // down)
    if signal.shape[1] == 1:
        return np.repeat(signal, samples, axis=1)
    missing = np.isnan(signal)
    bridged = np.where(missing.all(axis=1, keepdims=True), np.float32(0), fill_gaps(signal))
    # The phases of the filter differ in gain by some 1e-3, which would turn an offset into a ripple.
    level = np.median(bridged, axis=1, keepdims=True)
    filtered = resample_poly(bridged - level, up, down, axis=1, padtype="line") + level
    result: Float32[np.ndarray, "leads resampled"] = filtered.astype(np.float32, copy=False)
    for lead in np.flatnonzero(missing.any(axis=1)):
        result[lead, _near_missing(missing[lead], up, down, samples)] = np.nan
    return result


def _near_missing(
    missing: Bool[np.ndarray, "samples"], up: int, down: int, resampled: int
) -> Bool[np.ndarray, "resampled"]:
    """Marks outputs with a missing input strictly closer than max(1, down/up) input intervals."""
    before = np.concatenate([[0], np.cumsum(missing)])
    centre = np.arange(resampled, dtype=np.int64) * down
    reach = max(up, down)
    first = (centre - reach) // up + 1
    last = -((-(centre + reach)) // up) - 1
    first = np.clip(first, 0, missing.size - 1)
    last = np.clip(last, 0, missing.size - 1)
    return np.asarray(before[last + 1] - before[first] > 0)
