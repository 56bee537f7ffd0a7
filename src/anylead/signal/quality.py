"""Measures of what is wrong with a lead."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from anylead.signal.runs import true_runs


def missing_share(signal: Float32[np.ndarray, "leads samples"]) -> Float64[np.ndarray, "leads"]:
    """Returns the share of missing samples of each lead, 0 to 1."""
    return np.asarray(np.isnan(signal).mean(axis=1))


def flat_leads(
    signal: Float32[np.ndarray, "leads samples"], *, tolerance_mv: float = 0.001
) -> Bool[np.ndarray, "leads"]:
    """Tells which leads never move: the peak-to-peak amplitude is below the tolerance.

    A lead without any sample is not flat, it is absent.
    """
    missing = np.isnan(signal)
    high = np.where(missing, np.float32(-np.inf), signal).max(axis=1)
    low = np.where(missing, np.float32(np.inf), signal).min(axis=1)
    return np.asarray(~missing.all(axis=1) & (high - low < tolerance_mv))


def longest_standstill(signal: Float32[np.ndarray, "leads samples"]) -> Int64[np.ndarray, "leads"]:
    """Returns the largest number of equal samples in a row of each lead; 0 for a lead without samples.

    An amplifier that has lost its electrode repeats one value; noise never does for long.
    """
    result = np.zeros(signal.shape[0], dtype=np.int64)
    for lead, values in enumerate(signal):
        if np.isnan(values).all():
            continue
        starts, stops = true_runs(values[1:] == values[:-1])
        result[lead] = 1 + (stops - starts).max(initial=0)
    return result


def flat_share(
    signal: Float32[np.ndarray, "leads samples"], *, rate_hz: float, standstill_s: float = 1.0
) -> Float64[np.ndarray, "leads"]:
    """Returns the share of each lead's samples that stand still: one value for at least `standstill_s`.

    Args:
        signal: Millivolts; a missing sample does not stand still.
        rate_hz: Samples per second.
        standstill_s: Shorter standstills are coarse steps of a quiet lead. A lead that is shorter itself
            stands still if it has one value only.
    """
    shortest = max(1, min(round(standstill_s * rate_hz), signal.shape[1]) - 1)
    result = np.zeros(signal.shape[0])
    for lead, values in enumerate(signal):
        starts, stops = true_runs(values[1:] == values[:-1])
        lengths = stops - starts
        result[lead] = (lengths[lengths >= shortest] + 1).sum() / values.size
    return result


def saturated_share(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    rate_hz: float,
    plateau_s: float = 0.02,
    minimum_mv: float = 1.0,
) -> Float64[np.ndarray, "leads"]:
    """Returns the share of each lead's samples that stand on a rail.

    A rail is the largest or the smallest value of the lead, at least `minimum_mv` from zero, held
    for at least `plateau_s` at a time. A heart does not stand still at its extremes, an amplifier
    at the end of its range does. Measure before resampling, which rounds the corners.

    Args:
        signal: Millivolts.
        rate_hz: Samples per second.
        plateau_s: Shorter stays at an extreme are peaks.
        minimum_mv: Extremes nearer to zero are coarse steps of a small signal.
    """
    shortest = max(3, round(plateau_s * rate_hz))
    result = np.zeros(signal.shape[0])
    for lead, values in enumerate(signal):
        known = values[~np.isnan(values)]
        if known.size == 0 or known.max() == known.min():
            continue
        for rail in (known.max(), known.min()):
            if abs(rail) >= minimum_mv:
                starts, stops = true_runs(values == rail)
                lengths = stops - starts
                result[lead] += lengths[lengths >= shortest].sum() / values.size
    return result
