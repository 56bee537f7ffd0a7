"""Is this the person they say? Equal error rate, and true acceptance at a false acceptance rate.

Each probe is compared with its own gallery entry (genuine) and with everybody else's (impostor); it is
accepted where the similarity is at least the threshold. What is asked below changes only at genuine
similarities, so the impostors are counted between those and the whole curve of a resample is one weighted
count.

Under a resample of patients, drawn w times each, a genuine pair of p weighs w_p and an impostor pair of p
and q weighs w_p w_q: p against p is never an impostor pair, however often p is drawn. Within a person the
probes share the person's weight.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

MINIMUM_FALSE_ACCEPTANCES = 10
"""A false acceptance rate is only looked at where it means this many comparisons or more."""


def is_resolved(false_acceptance_rate: float, comparisons: int) -> bool:
    """Says whether comparisons are enough to look at a false acceptance rate."""
    # A product such as 1000 * 0.01 may fall short of 10 by rounding.
    return comparisons * false_acceptance_rate >= MINIMUM_FALSE_ACCEPTANCES * (1.0 - 1e-12)


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatingPoints:
    """Both error rates along the thresholds, from accepting everyone to accepting nobody.

    Columns: accepting everyone; for each distinct genuine similarity a threshold at it and one just above it;
    accepting nobody.
    """

    false_acceptance: Float[np.ndarray, "draws points"]
    false_rejection: Float[np.ndarray, "draws points"]

    def equal_error_rate(self) -> Float[np.ndarray, "draws"]:
        """Returns where both rates meet, on straight lines between neighbouring points; NaN if undefined."""
        gap = self.false_acceptance - self.false_rejection
        after = np.argmax(gap <= 0.0, axis=1)
        before = np.maximum(after - 1, 0)
        rows = np.arange(len(gap))
        fall = gap[rows, before] - gap[rows, after]
        part = np.divide(gap[rows, before], fall, out=np.zeros_like(fall), where=fall > 0.0)
        start, end = self.false_rejection[rows, before], self.false_rejection[rows, after]
        return np.asarray(start + part * (end - start))

    def true_acceptance(self, false_acceptance: float) -> Float[np.ndarray, "draws"]:
        """Returns the best true acceptance rate at no more than a false acceptance rate, not interpolated."""
        allowed = self.false_acceptance <= false_acceptance
        best = np.where(allowed, 1.0 - self.false_rejection, 0.0).max(axis=1)
        return np.asarray(np.where(np.isnan(self.false_acceptance[:, 0]), np.nan, best))


def operating_points(
    similarity: Float[np.ndarray, "probes persons"],
    right: Int[np.ndarray, "probes"],
    probe_weights: Float[np.ndarray, "draws probes"],
    person_weights: Float[np.ndarray, "draws persons"],
) -> OperatingPoints:
    """Counts acceptances of genuine and impostor pairs at every threshold that matters.

    Args:
        similarity: Of every probe to every gallery entry.
        right: Column of each probe's own entry.
        probe_weights: Weight of the probe's person, shared among the person's probes.
        person_weights: Weight of each gallery entry in its role of impostor.

    Returns:
        Rates that are NaN in a resample without a genuine or without an impostor pair.
    """
    own = similarity[np.arange(len(right)), right]
    levels, level = np.unique(own, return_inverse=True)
    # Even bins lie between two genuine similarities, odd ones are equal to one.
    bins = np.searchsorted(levels, similarity, side="left") + np.searchsorted(
        levels, similarity, side="right"
    )
    # A probe with its own entry is no impostor pair: it is put behind the bins that are kept.
    kept = 2 * len(levels) + 1
    bins[np.arange(len(right)), right] = kept
    draws = len(probe_weights)
    false_acceptance = np.full((draws, 2 * len(levels) + 2), np.nan)
    false_rejection = np.full_like(false_acceptance, np.nan)
    for draw in range(draws):
        # Who is not drawn has no pair: that leaves four tenths of them.
        probes, persons = np.flatnonzero(probe_weights[draw]), np.flatnonzero(person_weights[draw])
        pairs = np.multiply.outer(probe_weights[draw, probes], person_weights[draw, persons])
        pair_bin = bins[probes][:, persons]
        impostors = np.bincount(pair_bin.ravel(), weights=pairs.ravel(), minlength=kept + 1)[:kept]
        genuine = np.bincount(level, weights=probe_weights[draw], minlength=len(levels))
        if impostors.sum() <= 0.0 or genuine.sum() <= 0.0:
            continue
        not_below = np.cumsum(impostors[::-1])[::-1]
        rejected = np.concatenate([[0.0], np.cumsum(genuine)])
        false_acceptance[draw] = np.append(not_below, 0.0) / not_below[0]
        false_rejection[draw] = np.repeat(rejected, 2) / rejected[-1]
    return OperatingPoints(false_acceptance=false_acceptance, false_rejection=false_rejection)


def det_curve(points: OperatingPoints, *, most: int = 200) -> Float[np.ndarray, "points 2"]:
    """Returns the detection error trade-off of the first draw: false acceptance and false rejection rates.

    Where there are more corners than asked for, those are kept that lie evenly along the curve on the probit
    scale of a DET plot; rates of 0 and 1, which that scale does not have, count there as half of the
    smallest step.

    Args:
        points: From `operating_points`.
        most: Points to return at most, both ends included; at least 2.

    Returns:
        From accepting everyone (1, 0) to accepting nobody (0, 1); no point where the rates are undefined.

    Source: Martin et al. 1997, "The DET curve in assessment of detection task performance".
    """
    curve = np.stack([points.false_acceptance[0], points.false_rejection[0]], axis=1)
    if np.isnan(curve).any():
        return np.asarray(curve[:0])
    moved = np.any(curve[1:] != curve[:-1], axis=1)
    curve = curve[np.concatenate([[True], moved])]
    if len(curve) <= most:
        return np.asarray(curve)
    steps = np.abs(np.diff(curve, axis=0))
    edge = 0.5 * min(float(steps[steps > 0.0].min()), 0.5)
    plane = ndtri(np.clip(curve, edge, 1.0 - edge))
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(plane, axis=0)).sum(axis=1))])
    kept = np.searchsorted(along, np.linspace(0.0, along[-1], most))
    # Corners that the clipping puts on the ends of the plane are further ones of the same end.
    kept[0], kept[-1] = 0, len(curve) - 1
    return np.asarray(curve[np.unique(kept)])
