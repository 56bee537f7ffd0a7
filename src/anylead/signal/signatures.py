"""Signature of a recording: what is left of it when gain, offset, rate and wander are taken away."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Float32, Float64
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from anylead.errors import InputError
from anylead.signal.filters import band_pass
from anylead.signal.gaps import fill_gaps
from anylead.signal.resample import resample

RATE_HZ = 100.0
"""Of the traces: what the slowest data sets still have."""
BAND_HZ = (2.0, 25.0)
"""Above wander and any usual high-pass, below mains and any usual low-pass."""
LOWEST_RATE_HZ = 60.0
"""Recordings at lower rates do not hold that band."""
MINIMUM_S = 2.5
"""Shorter recordings hold too few beats to be told from others of the same heart."""

_QRS_BAND_HZ = (8.0, 25.0)
_SMOOTHING_S = 0.1
_REFRACTORY_S = 0.25
_HEIGHT = 0.3
"""Part of a typical complex's energy that an anchor needs."""
_EDGE_S = 0.2
"""What the filter does not know at either end."""
_FLAT_MV = 1e-6

_LIMB = {"I": (1.0, 0.0), "II": (0.0, 1.0), "III": (-1.0, 1.0)}
_LIMB |= {"aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
"""Limb leads in terms of I and II."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Signature:
    """What two copies of the same seconds have in common."""

    leads: tuple[str, ...]
    """Leads that have complexes, limb leads that follow from others included."""
    derived: tuple[str, ...]
    """Those that follow from others: not to be trusted where every lead has a gain of its own."""
    traces: Float16[np.ndarray, "leads samples"]
    """At `RATE_HZ`, within `BAND_HZ`, each lead of mean 0 and deviation 1; half precision is enough."""
    start_s: float
    """Where the first sample of the traces lies in the recording."""
    anchors: tuple[Float64[np.ndarray, "_"], ...]
    """Per lead, where its complexes are, in samples of the traces, between samples too."""

    @property
    def duration_s(self) -> float:
        """Length of the traces."""
        return float(self.traces.shape[1] / RATE_HZ)


def signature(
    signal: Float32[np.ndarray, "leads samples"], leads: tuple[str, ...], *, rate_hz: float
) -> Signature:
    """Reduces a recording to what gain, offset, wander, sampling rate and filters leave alone.

    Flat ends, which data sets use to bring recordings to one length, are cut off; gaps are bridged; of two
    limb leads the other four follow. A lead that is absent, flat or without a complex has no part in it.

    Args:
        signal: In any unit; NaN where a sample is missing.
        leads: Names of the rows.
        rate_hz: Samples per second, at least 60.

    Returns:
        A signature without leads where there is nothing to compare: less than `MINIMUM_S`, or no lead with
        complexes.

    Raises:
        InputError: If names and rows do not go together, or the rate is below 60 Hz.
    """
    if len(leads) != signal.shape[0]:
        raise InputError(
            f"signature: got {len(leads)} lead names for {signal.shape[0]} rows; name every row."
        )
    if not rate_hz >= LOWEST_RATE_HZ:
        raise InputError(
            f"signature: got {rate_hz:g} Hz; rates from {LOWEST_RATE_HZ:g} Hz hold what is compared: "
            "leave this recording out."
        )
    first, last = _moving_span(signal)
    if (last - first) / rate_hz < MINIMUM_S:
        return nothing_to_compare()
    moving = np.flatnonzero(_spread(signal[:, first:last]) > _FLAT_MV)
    if not moving.size:
        return nothing_to_compare()
    given = tuple(leads[row] for row in moving)
    complete, names = _with_limb_leads(fill_gaps(signal[moving, first:last]), given)
    slow = resample(complete, from_hz=rate_hz, to_hz=RATE_HZ)
    edge = round(_EDGE_S * RATE_HZ)
    traces = band_pass(slow, rate_hz=RATE_HZ, low_hz=BAND_HZ[0], high_hz=BAND_HZ[1])[:, edge:-edge]
    return _of_traces(traces, names, frozenset(names[len(given) :]), first / rate_hz + _EDGE_S)


def _of_traces(
    traces: Float32[np.ndarray, "leads samples"],
    names: tuple[str, ...],
    derived: frozenset[str],
    start_s: float,
) -> Signature:
    deviation = traces.std(axis=1, keepdims=True)
    scaled = np.divide(
        traces - traces.mean(axis=1, keepdims=True), deviation, out=np.zeros_like(traces), where=deviation > 0
    )
    fast = band_pass(scaled, rate_hz=RATE_HZ, low_hz=_QRS_BAND_HZ[0], high_hz=_QRS_BAND_HZ[1])
    energy = uniform_filter1d(np.square(fast), 2 * round(_SMOOTHING_S / 2 * RATE_HZ) + 1, axis=1)
    anchors = [_anchors(row) for row in energy]
    kept = [row for row, found in enumerate(anchors) if found.size and deviation[row, 0] > _FLAT_MV]
    return Signature(
        leads=tuple(names[row] for row in kept),
        derived=tuple(names[row] for row in kept if names[row] in derived),
        traces=np.clip(scaled[kept], -6e4, 6e4).astype(np.float16),
        start_s=start_s,
        anchors=tuple(anchors[row] for row in kept),
    )


def nothing_to_compare() -> Signature:
    """Returns the signature of a recording that is not compared: it has no leads."""
    return Signature(leads=(), derived=(), traces=np.zeros((0, 0), dtype=np.float16), start_s=0.0, anchors=())


def _spread(signal: Float32[np.ndarray, "leads samples"]) -> Float32[np.ndarray, "leads"]:
    missing = np.isnan(signal)
    high = np.where(missing, np.float32(-np.inf), signal).max(axis=1)
    low = np.where(missing, np.float32(np.inf), signal).min(axis=1)
    return np.where(missing.all(axis=1), np.float32(0), high - low).astype(np.float32)


def _moving_span(signal: Float32[np.ndarray, "leads samples"]) -> tuple[int, int]:
    """Returns the first sample and the one after the last between the flat or missing ends."""
    moves = (signal[:, 1:] != signal[:, :-1]) & ~np.isnan(signal[:, 1:] - signal[:, :-1])
    places = np.flatnonzero(moves.any(axis=0))
    return (int(places[0]), int(places[-1]) + 2) if places.size else (0, 0)


def _with_limb_leads(
    signal: Float32[np.ndarray, "leads samples"], names: tuple[str, ...]
) -> tuple[Float32[np.ndarray, "more samples"], tuple[str, ...]]:
    """Adds the limb leads that follow from the first two that are there."""
    given = [row for row, name in enumerate(names) if name in _LIMB][:2]
    absent = [name for name in _LIMB if name not in names]
    if len(given) < 2 or not absent:
        return signal, names
    weights = np.linalg.inv(np.array([_LIMB[names[row]] for row in given]))
    made = (np.array([_LIMB[name] for name in absent]) @ weights @ signal[given]).astype(np.float32)
    return np.concatenate([signal, made]), (*names, *absent)


def _anchors(energy: Float32[np.ndarray, "samples"]) -> Float64[np.ndarray, "anchors"]:
    """Returns the tops of the QRS energy, which noise moves less than the tops of the signal."""
    second = round(RATE_HZ)
    typical = float(np.median([energy[at : at + second].max() for at in range(0, energy.size, second)]))
    if typical <= 0.0:
        return np.zeros(0)
    tops, _ = find_peaks(energy, height=_HEIGHT * typical, distance=round(_REFRACTORY_S * RATE_HZ))
    before, top, after = energy[tops - 1], energy[tops], energy[tops + 1]
    bend = before - 2 * top + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(top), where=bend < 0)
    return np.asarray(tops + np.clip(shift, -0.5, 0.5), dtype=np.float64)
