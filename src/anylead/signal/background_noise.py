"""Background noise: how restless a lead is between its complexes."""

import numpy as np
from jaxtyping import Float32, Float64

from anylead.signal.filters import band_pass

BAND_HZ = (25.0, 45.0)
"""Above P and T waves, below the mains, and within what slow recordings hold."""
_BLOCK_S = 0.05
"""Shorter than a complex, so that complexes fill few blocks."""
_LOWEST_RATE_HZ = 100.0


def background_noise_mv(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float
) -> Float64[np.ndarray, "leads"]:
    """Returns the noise of each lead at 25 to 45 Hz between the complexes, root mean square in mV.

    The median over blocks of 50 ms: complexes have power in that band, too, but fill less than half of the
    blocks. A burst shorter than half of the recording is not seen for the same reason. Muscle noise reaches
    beyond the band; what is returned is compared between recordings and is not its whole.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        rate_hz: Samples per second.

    Returns:
        NaN for a lead without samples, and below 100 Hz or for less than 1 s.
    """
    block = round(_BLOCK_S * rate_hz)
    blocks = signal.shape[1] // block if block else 0
    if rate_hz < _LOWEST_RATE_HZ or signal.shape[1] < rate_hz:
        return np.full(signal.shape[0], np.nan)
    low_hz, high_hz = BAND_HZ
    filtered = band_pass(signal, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz)
    squares = np.square(filtered[:, : blocks * block].astype(np.float64))
    power = squares.reshape(len(signal), blocks, block).mean(axis=2)
    result = np.full(signal.shape[0], np.nan)
    for lead, values in enumerate(power):
        known = values[~np.isnan(values)]
        if known.size:
            result[lead] = np.sqrt(np.median(known))
    return result
