"""Certainty of several differences at once: p-values from paired resamples, corrected for their number.

A claim against several baselines holds only if it holds against each; every p-value is corrected for all of
them by Holm's procedure, which needs no assumption on how they depend on each other.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from anylead.evaluation.results import Difference

SIGNIFICANCE = 0.05
LOWER_IS_BETTER = ("eer", "macro_brier", "macro_ece")
"""Metrics of which less is better."""


def bootstrap_p_value(draws: Float[np.ndarray, "draws"]) -> float:
    """Returns the two-sided p-value of a difference: twice the part of resamples on the rarer side of zero.

    A resample at zero counts on both sides. One is added to both counts, so that the value is never 0: of
    n resamples the smallest is 2 / (n + 1).

    Args:
        draws: The difference in each resample, without the value from all patients; undefined ones (NaN) are
            left out, and without any other the p-value is NaN.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 4.2 (counting the
        sample itself).
    """
    usable = draws[~np.isnan(draws)]
    if not len(usable):
        return math.nan
    rarer = min(int((usable <= 0.0).sum()), int((usable >= 0.0).sum()))
    return min(1.0, 2.0 * (1 + rarer) / (1 + len(usable)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number, in the order given.

    Args:
        p_values: Of the whole family, all defined.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def resamples_needed(comparisons: int) -> int:
    """Returns with how many resamples a family of this size can be significant at all.

    With n resamples no p-value is below 2 / (n + 1), and Holm's procedure multiplies the smallest by the size
    of the family: 26 comparisons on 1000 resamples could never be shown.
    """
    return math.floor(2.0 * comparisons / SIGNIFICANCE)


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Returns the differences of one family with `p_holm`; those without a p-value stay as they are."""
    places = [place for place, one in enumerate(differences) if one.p_value is not None]
    adjusted = holm([one.p_value for one in differences if one.p_value is not None])
    found = list(differences)
    for place, p_holm in zip(places, adjusted, strict=True):
        found[place] = replace(found[place], p_holm=p_holm)
    return tuple(found)


def beats_all(differences: Sequence[Difference]) -> bool:
    """Says whether the first system is better in every difference, corrected for all of them.

    Each must have an interval wholly on the better side of zero and `p_holm` below 0.05; a difference that is
    undefined or was not corrected is no win, and neither is a family of none.

    Args:
        differences: From `corrected`; the system claimed to be better is the first of each.
    """
    return bool(differences) and all(_is_win(one) for one in differences)


def reads_as(one: Difference) -> Literal["better", "worse", "not shown"]:
    """Says what a corrected difference shows of its first system, by the rule of `beats_all`."""
    if _is_win(one):
        return "better"
    interval = one.interval
    ends = (interval.low, interval.high)
    turned = replace(
        interval,
        low=None if ends[1] is None else -ends[1],
        high=None if ends[0] is None else -ends[0],
    )
    return "worse" if _is_win(replace(one, interval=turned)) else "not shown"


def _is_win(one: Difference) -> bool:
    low, high = one.interval.low, one.interval.high
    if low is None or high is None or one.p_holm is None or one.p_holm >= SIGNIFICANCE:
        return False
    return high < 0.0 if one.metric in LOWER_IS_BETTER else low > 0.0
