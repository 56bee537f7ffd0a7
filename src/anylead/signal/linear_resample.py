"""Change of sampling rate by straight lines between samples."""

import numpy as np
from jaxtyping import Float32


def linear_resample(
    signal: Float32[np.ndarray, "leads samples"], *, from_hz: float, to_hz: float
) -> Float32[np.ndarray, "leads resampled"]:
    """Brings a signal to another sampling rate by linear interpolation, without an anti-alias filter.

    Only to repeat what a published model was trained on; `resample` is the better one. The first and the last
    sample stay the first and the last, so that time is stretched by up to a sample.

    Args:
        signal: Millivolts; NaN where a sample is missing, and then in every sample that leans on it.
        from_hz: Rate it has.
        to_hz: Rate it shall have.

    Returns:
        floor(samples * to_hz / from_hz) samples, at least one.

    Source: METHOD §1.1, the resampling of ECG-FM.
    """
    samples = signal.shape[1]
    # In floating point and in this order, as ECG-FM counts them.
    resampled = max(1, int(samples * (to_hz / from_hz)))
    if resampled == samples:
        return signal
    place = np.arange(resampled) * ((samples - 1) / max(resampled - 1, 1))
    before = np.clip(place.astype(np.int64), 0, samples - 1)
    after = np.minimum(before + 1, samples - 1)
    share = place - before
    left = signal[:, before].astype(np.float64)
    # A share of 0 needs no right neighbour, which may be missing.
    step = np.where(share > 0, signal[:, after] - left, 0.0)
    result: Float32[np.ndarray, "leads resampled"] = (left + share * step).astype(np.float32)
    return result
