"""Whether probabilities mean what they say: Brier score, calibration error, and the points of a plot.

Bins hold equally many recordings, so that none rests on a few, and are those of all recordings in every
resample. Sources: Brier 1950, "Verification of forecasts expressed in terms of probability"; Nixon et al.
2019, "Measuring calibration in deep learning" (bins of equal mass).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from anylead.evaluation.results import ReliabilityPoint

BINS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationScores:
    """Of every weighting and class; NaN where nothing has weight or the scores are not probabilities."""

    brier: Float[np.ndarray, "draws classes"]
    ece: Float[np.ndarray, "draws classes"]
    """Mean distance, over recordings, between what their bin was told and what was true in it."""


def calibration_scores(
    labels: Bool[np.ndarray, "records classes"],
    probabilities: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws records"],
) -> CalibrationScores:
    """Returns Brier score and expected calibration error of every class under every weighting.

    Args:
        labels: Whether a recording has a class.
        probabilities: That it has; a class with a number below 0 or above 1 is undefined.
        weights: One row a weighting, not negative.
    """
    result = np.full((2, len(weights), labels.shape[1]), np.nan)
    total = weights.sum(axis=1)
    heavy = total > 0.0
    for k in np.flatnonzero(are_probabilities(probabilities)):
        gap = probabilities[:, k] - labels[:, k]
        in_bin = equal_mass_bins(probabilities[:, k])[:, None] == np.arange(BINS)
        off = np.abs(weights @ (in_bin * gap[:, None])).sum(axis=1)
        result[0, heavy, k] = (weights @ gap**2)[heavy] / total[heavy]
        result[1, heavy, k] = off[heavy] / total[heavy]
    return CalibrationScores(brier=result[0], ece=result[1])


def error_if_calibrated(probabilities: Float[np.ndarray, "records"]) -> float:
    """Returns what the calibration error would be on average if every probability were right.

    A finite bin never matches exactly. Its mean gap is taken as the binomial one at its mean probability,
    2 v C(n, v) p^v q^(n - v + 1) with v = floor(n p) + 1, less what the spread within the bin takes away.
    Recordings are taken as independent; where patients have several, it is larger.

    Args:
        probabilities: From 0 to 1, at least one.

    Source: Diaconis and Zabell 1991, "Closed form summation for classical distributions", equation 1.1 (De
        Moivre's formula).
    """
    gaps = 0.0
    bins = equal_mass_bins(probabilities)
    for one in np.unique(bins):
        inside = probabilities[bins == one]
        count, mean = len(inside), float(inside.mean())
        binomial = count * mean * (1.0 - mean)
        if binomial <= 0.0:
            continue
        peak = math.floor(count * mean) + 1
        logarithm = (
            special.gammaln(count + 1.0)
            - special.gammaln(peak)
            - special.gammaln(count - peak + 1.0)
            + special.xlogy(peak, mean)
            + special.xlog1py(count - peak + 1.0, -mean)
        )
        narrower = float((inside * (1.0 - inside)).sum()) / binomial
        gaps += 2.0 * math.exp(logarithm) * math.sqrt(max(narrower, 0.0))
    return gaps / len(probabilities)


def reliability_points(
    labels: Bool[np.ndarray, "records"], probabilities: Float[np.ndarray, "records"]
) -> tuple[ReliabilityPoint, ...]:
    """Returns what was said and what was true in each bin, in rising order; none for what is no probability.

    Args:
        labels: Whether a recording has the class; for all classes in one heap, every decision.
        probabilities: That it has.
    """
    if not are_probabilities(probabilities[:, None])[0]:
        return ()
    bins = equal_mass_bins(probabilities)
    return tuple(
        ReliabilityPoint(
            predicted=float(probabilities[bins == one].mean()),
            observed=float(labels[bins == one].mean()),
            decisions=int((bins == one).sum()),
        )
        for one in np.unique(bins)
    )


def are_probabilities(values: Float[np.ndarray, "records classes"]) -> Sequence[bool]:
    """Says of each column whether all its numbers lie from 0 to 1."""
    return [bool(len(column)) and bool(((column >= 0.0) & (column <= 1.0)).all()) for column in values.T]


def equal_mass_bins(probabilities: Float[np.ndarray, "records"]) -> Int[np.ndarray, "records"]:
    """Returns the bin of each recording, 0 to 9: which tenth of all it begins; equal ones share a bin."""
    ordered = np.sort(probabilities)
    below = np.searchsorted(ordered, probabilities, side="left")
    return np.asarray(below * BINS // max(len(probabilities), 1), dtype=np.int64)
