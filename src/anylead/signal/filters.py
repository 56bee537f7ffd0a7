"""Zero-phase filters."""

import numpy as np
from jaxtyping import Float32
from scipy.signal import butter, sosfiltfilt

from anylead.signal.gaps import fill_gaps


def high_pass(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float, cutoff_hz: float, order: int = 2
) -> Float32[np.ndarray, "leads samples"]:
    """Removes what is slower than the cutoff, forwards and backwards, so that nothing is delayed.

    Args:
        signal: Millivolts; NaN stays NaN.
        rate_hz: Samples per second.
        cutoff_hz: Below this is removed (-6 dB at the cutoff, both passes together).
        order: Of the Butterworth filter of one pass.
    """
    return _both_ways(butter(order, cutoff_hz, btype="highpass", fs=rate_hz, output="sos"), signal)


def band_pass(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    rate_hz: float,
    low_hz: float,
    high_hz: float,
    order: int = 2,
) -> Float32[np.ndarray, "leads samples"]:
    """Keeps what lies between two frequencies, forwards and backwards, so that nothing is delayed.

    Args:
        signal: Millivolts; NaN stays NaN.
        rate_hz: Samples per second.
        low_hz: Slower is removed.
        high_hz: Faster is removed.
        order: Of the Butterworth filter of one pass.
    """
    return _both_ways(butter(order, (low_hz, high_hz), btype="bandpass", fs=rate_hz, output="sos"), signal)


def _both_ways(
    sections: np.ndarray, signal: Float32[np.ndarray, "leads samples"]
) -> Float32[np.ndarray, "leads samples"]:
    if signal.shape[1] < 2:
        return np.where(np.isnan(signal), signal, np.float32(0))
    missing = np.isnan(signal)
    bridged = np.where(missing.all(axis=1, keepdims=True), np.float32(0), fill_gaps(signal))
    padding = min(3 * (2 * len(sections) + 1), signal.shape[1] - 1)
    filtered = sosfiltfilt(sections, bridged.astype(np.float64), axis=1, padlen=padding)
    return np.where(missing, np.float32(np.nan), filtered.astype(np.float32))
