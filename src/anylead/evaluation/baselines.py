"""What needs no learning: hand-made features for a probe, and the median beat for identification.

A pre-trained encoder that does not beat these has not earned its keep.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from anylead.errors import InputError
from anylead.signal.beats import BEFORE_S, beats, r_peaks

_BEAT_RATE_HZ = 50.0
"""At which the median beat stands among the features."""
_PLAUSIBLE_RR_S = (0.2, 3.0)
_WINDOWS_S = {"p": (-0.22, -0.06), "qrs": (-0.06, 0.06), "st": (0.06, 0.12), "t": (0.12, 0.42)}
"""Parts of a beat, from its R peak."""


def handmade_features(
    signal: Float32[np.ndarray, "leads samples"],
    leads: Sequence[str],
    *,
    rate_hz: float,
    vocabulary: Sequence[str],
) -> Float[np.ndarray, "features"]:
    """Returns rhythm, frontal axis, wave amplitudes and the median beat as one vector.

    Args:
        signal: A whole recording in millivolts: rhythm needs all of it. NaN where a sample is missing.
        leads: Names of the rows.
        rate_hz: Samples per second.
        vocabulary: Leads of the vector, in order; one that is not recorded gives zeros.

    Raises:
        InputError: If no lead of the vocabulary is recorded.
    """
    rows = _rows(leads, vocabulary)
    recorded = signal[[row for row in rows if row is not None]]
    peaks = r_peaks(recorded, rate_hz=rate_hz)
    cut = beats(recorded, peaks, rate_hz=rate_hz)
    present = _median_beat(cut)
    median = np.zeros((len(rows), present.shape[1]))
    median[[place for place, row in enumerate(rows) if row is not None]] = present
    return np.concatenate(
        [
            _rhythm(peaks / rate_hz, signal.shape[1] / rate_hz),
            _likeness(cut, present),
            _axis(median, list(vocabulary)),
            _waves(median, rate_hz).ravel(),
            _at_rate(median, rate_hz).ravel(),
        ]
    )


def median_beat_embedding(
    signal: Float32[np.ndarray, "leads samples"],
    leads: Sequence[str],
    *,
    rate_hz: float,
    vocabulary: Sequence[str],
) -> Float[np.ndarray, "features"]:
    """Returns the median beat of each lead, each of length one: shape without amplitude; zeros where absent.

    Arguments and errors as `handmade_features`.

    Raises:
        InputError: If no lead of the vocabulary is recorded.
    """
    rows = _rows(leads, vocabulary)
    recorded = signal[[row for row in rows if row is not None]]
    present = _median_beat(beats(recorded, r_peaks(recorded, rate_hz=rate_hz), rate_hz=rate_hz))
    length = np.linalg.norm(present, axis=1, keepdims=True)
    shape = np.divide(present, length, out=np.zeros_like(present), where=length > 1e-6)
    result = np.zeros((len(rows), shape.shape[1]))
    result[[place for place, row in enumerate(rows) if row is not None]] = shape
    return _at_rate(result, rate_hz, target_hz=2.0 * _BEAT_RATE_HZ).ravel()


def _rows(leads: Sequence[str], vocabulary: Sequence[str]) -> list[int | None]:
    rows = [leads.index(name) if name in leads else None for name in vocabulary]
    if all(row is None for row in rows):
        raise InputError(
            f"hand-made features: got leads {', '.join(leads)}; "
            f"at least one of {', '.join(vocabulary)} is needed."
        )
    return rows


def _median_beat(cut: Float32[np.ndarray, "beats leads samples"]) -> Float[np.ndarray, "leads samples"]:
    """Returns the median over beats, zeros without any."""
    if not len(cut):
        return np.zeros(cut.shape[1:])
    return np.asarray(np.median(cut, axis=0), dtype=np.float64)


def _rhythm(peaks_s: Float[np.ndarray, "beats"], duration_s: float) -> Float[np.ndarray, "features"]:
    """Returns beats per second and how regular they are; zeros where too few beats tell."""
    intervals = np.diff(peaks_s)
    intervals = intervals[(intervals > _PLAUSIBLE_RR_S[0]) & (intervals < _PLAUSIBLE_RR_S[1])]
    rate = len(peaks_s) / duration_s
    if len(intervals) < 3:
        return np.array([rate, *np.zeros(9)])
    typical = float(np.median(intervals))
    ratio, change = intervals / typical, np.diff(intervals) / typical
    return np.array(
        [
            rate,
            typical,
            1.0 / typical,
            ratio.std(),
            np.sqrt(np.square(change).mean()),
            np.median(np.abs(change)),
            (ratio < 0.85).mean(),
            (ratio > 1.15).mean(),
            ratio.min(),
            ratio.max(),
        ]
    )


def _likeness(
    cut: Float32[np.ndarray, "beats leads samples"], median: Float[np.ndarray, "leads samples"]
) -> Float[np.ndarray, "features"]:
    """Returns how far beats are from the median beat: the middle one, and the farthest."""
    energy = np.square(median).sum()
    if not len(cut) or energy <= 0.0:
        return np.zeros(2)
    distance = np.log1p(np.square(cut - median).sum(axis=(1, 2)) / energy)
    return np.array([np.median(distance), distance.max()])


def _axis(median: Float[np.ndarray, "leads samples"], vocabulary: list[str]) -> Float[np.ndarray, "features"]:
    """Returns cosine and sine of the frontal axis, from the net QRS of I and aVF; zeros without both."""
    if "I" not in vocabulary or "aVF" not in vocabulary:
        return np.zeros(2)
    net = [
        float(median[vocabulary.index(name)].max() + median[vocabulary.index(name)].min())
        for name in ("I", "aVF")
    ]
    length = float(np.hypot(net[0], net[1]))
    return np.array(net) / length if length > 1e-6 and all(net) else np.zeros(2)


def _waves(median: Float[np.ndarray, "leads samples"], rate_hz: float) -> Float[np.ndarray, "leads features"]:
    """Returns the largest, the smallest and the mean deflection of each part of the beat, and QRS width."""
    features = []
    for start_s, end_s in _WINDOWS_S.values():
        part = median[:, round((BEFORE_S + start_s) * rate_hz) : round((BEFORE_S + end_s) * rate_hz)]
        features += [part.max(axis=1), part.min(axis=1), part.mean(axis=1)]
    slope = np.abs(np.gradient(median, axis=1))
    steep = slope > 0.15 * np.maximum(slope.max(axis=1, keepdims=True), 1e-9)
    around = slice(round((BEFORE_S - 0.12) * rate_hz), round((BEFORE_S + 0.12) * rate_hz))
    return np.stack([*features, steep[:, around].sum(axis=1) / rate_hz], axis=1)


def _at_rate(
    median: Float[np.ndarray, "leads samples"], rate_hz: float, *, target_hz: float = _BEAT_RATE_HZ
) -> Float[np.ndarray, "leads points"]:
    """Returns means over neighbouring samples, about `target_hz` of them a second."""
    points = max(1, round(median.shape[1] * target_hz / rate_hz))
    edges = np.linspace(0, median.shape[1], points + 1).round().astype(int)
    return np.add.reduceat(median, edges[:-1], axis=1) / np.diff(edges)
