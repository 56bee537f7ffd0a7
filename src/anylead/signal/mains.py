"""Mains hum: how much of a lead's power lies at 50 or 60 Hz."""

import numpy as np
from jaxtyping import Float32, Float64
from scipy.signal import periodogram

from anylead.signal.gaps import fill_gaps

MAINS_HZ = (50.0, 60.0)
_LINE_HZ = 1.0
"""Half the width of the line: the mains drift, and few seconds don't resolve less."""
_BESIDE_HZ = 4.0
"""So far from the line the power beside it is looked at."""
_WITHOUT_WANDER_HZ = 1.0
"""Slower parts are drift, and don't count as power of the lead."""


def mains_share(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float
) -> Float64[np.ndarray, "leads"]:
    """Returns the share of each lead's power above 1 Hz that is a line at 50 or 60 Hz, 0 to 1.

    What stands evenly around the line, such as muscle noise or a steep complex, is not counted: the density
    at 3 to 5 Hz on either side is subtracted. Harmonics are not counted.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        rate_hz: Samples per second.

    Returns:
        The larger share of both; NaN for a lead without power, and where the rate or the length is too small
        to tell: below 110 Hz or 2 s.
    """
    lines = [line for line in MAINS_HZ if 2 * (line + _BESIDE_HZ + _LINE_HZ) <= rate_hz]
    if not lines or signal.shape[1] < 2 * rate_hz:
        return np.full(signal.shape[0], np.nan)
    bridged = np.where(np.isnan(signal).all(axis=1, keepdims=True), np.float32(0), fill_gaps(signal))
    frequencies, power = periodogram(bridged.astype(np.float64), fs=rate_hz, window="hann", axis=1)
    total = power[:, frequencies > _WITHOUT_WANDER_HZ].sum(axis=1)
    found = np.zeros(signal.shape[0])
    for line in lines:
        distance = np.abs(frequencies - line)
        on, beside = distance <= _LINE_HZ, np.abs(distance - _BESIDE_HZ) <= _LINE_HZ
        floor = np.median(power[:, beside], axis=1) * on.sum()
        found = np.maximum(found, power[:, on].sum(axis=1) - floor)
    # A constant lead leaves rounding errors, some 1e-14 of its level squared.
    known = total > 1e-12
    return np.asarray(np.divide(found, total, out=np.full(len(total), np.nan), where=known))
