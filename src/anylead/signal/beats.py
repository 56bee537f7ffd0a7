"""Heart beats: where the R peaks are, from all leads together, and what the median beat looks like."""

import numpy as np
from jaxtyping import Float32, Int
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from anylead.signal.filters import band_pass

_QRS_BAND_HZ = (8.0, 25.0)
_SMOOTHING_S = 0.1
_REFRACTORY_S = 0.25
_SEARCH_S = 0.06
"""How far from the middle of the complex its peak may lie."""
_HEIGHT = 0.3
"""Part of a typical complex's energy that a complex needs."""

BEFORE_S = 0.25
AFTER_S = 0.45
"""A beat reaches from 0.25 s before its R peak to 0.45 s after it: P, QRS and T at usual rates."""


def r_peaks(signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float) -> Int[np.ndarray, "beats"]:
    """Returns the samples of the R peaks.

    The QRS energy of all leads is added up, each lead in units of its own spread, so that no lead rules and a
    flat one has no say; complexes are its peaks, and an R peak is where the leads deviate most.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        rate_hz: At least 60.

    Returns:
        Increasing; empty where there is no complex, or the signal is shorter than half a second.
    """
    if signal.shape[1] < 0.5 * rate_hz:
        return np.zeros(0, dtype=np.int64)
    low_hz, high_hz = _QRS_BAND_HZ
    filtered = np.nan_to_num(band_pass(signal, rate_hz=rate_hz, low_hz=low_hz, high_hz=high_hz))
    spread = filtered.std(axis=1, keepdims=True)
    scaled = np.divide(filtered, spread, out=np.zeros_like(filtered), where=spread > 1e-9)
    deviation = np.square(scaled).sum(axis=0)
    energy = uniform_filter1d(deviation, max(1, round(_SMOOTHING_S * rate_hz)))
    distance = max(1, round(_REFRACTORY_S * rate_hz))
    # The largest energy of each second tells a typical complex, whatever single artefacts do.
    second = max(1, round(rate_hz))
    typical = float(
        np.median([energy[start : start + second].max() for start in range(0, len(energy), second)])
    )
    if typical <= 0.0:
        return np.zeros(0, dtype=np.int64)
    middles, _ = find_peaks(energy, height=_HEIGHT * typical, distance=distance)
    reach = round(_SEARCH_S * rate_hz)
    peaks = []
    for middle in middles:
        start = max(0, middle - reach)
        peaks.append(start + int(np.argmax(deviation[start : middle + reach + 1])))
    return np.unique(np.array(peaks, dtype=np.int64))


def beats(
    signal: Float32[np.ndarray, "leads samples"],
    peaks: Int[np.ndarray, "peaks"],
    *,
    rate_hz: float,
) -> Float32[np.ndarray, "beats leads beat_samples"]:
    """Cuts out the beats that lie wholly inside the signal, each lead less its median over the beat."""
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    inside = peaks[(peaks >= before) & (peaks + after <= signal.shape[1])]
    rows = inside[:, None] + np.arange(-before, after)
    cut = np.nan_to_num(signal)[:, rows].transpose(1, 0, 2)
    return np.asarray(cut - np.median(cut, axis=2, keepdims=True))
