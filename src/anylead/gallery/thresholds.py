"""Thresholds for a false acceptance rate, and how well the impostors at hand know that rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv

from anylead.errors import GalleryError
from anylead.evaluation.verification import MINIMUM_FALSE_ACCEPTANCES, is_resolved


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which similarity on a recording is accepted."""

    value: float
    """The lowest at which impostors are accepted no more often than asked."""
    false_acceptance: float
    """Asked for."""
    accepted: int
    """Impostor comparisons at or above the value."""
    comparisons: int
    low: float
    """Lower end of the 95 % interval of the true rate at this threshold."""
    high: float
    note: str | None
    """A sentence where the comparisons are too few for the rate asked for."""


def threshold_at(impostors: Float[np.ndarray, "comparisons"], false_acceptance: float) -> Threshold:
    """Returns the lowest threshold at which impostors are accepted no more often than asked.

    A rate that means fewer than ten of the comparisons gets a threshold and a sentence that says so.

    Args:
        impostors: Similarities of recordings of different persons.
        false_acceptance: From above 0 to below 1.

    Raises:
        GalleryError: If there is no comparison, one is NaN, or the rate is not between 0 and 1.
    """
    count = len(impostors)
    if not count or np.isnan(impostors).any() or not 0.0 < false_acceptance < 1.0:
        raise GalleryError(
            f"threshold: got {count} impostor comparisons and a false acceptance rate of "
            f"{false_acceptance:g}; give numbers without NaN and a rate between 0 and 1."
        )
    down = np.sort(np.asarray(impostors, dtype=np.float64))[::-1]
    allowed = math.floor(false_acceptance * count * (1.0 + 1e-12))
    value = float(np.nextafter(down[min(allowed, count - 1)], np.inf))
    accepted = int((down >= value).sum())
    low, high = rate_interval(accepted, count)
    return Threshold(
        value=value,
        false_acceptance=false_acceptance,
        accepted=accepted,
        comparisons=count,
        low=low,
        high=high,
        note=_note(false_acceptance, count, high),
    )


def rate_interval(events: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a rate of independent events; without any event it starts at 0.

    Args:
        events: How often it was seen.
        trials: Of how many; 0 gives an interval from 0 to 1.
        confidence: How often the interval holds the truth, at least.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of
    the binomial".
    """
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if events == 0 else float(betaincinv(events, trials - events + 1, tail))
    high = 1.0 if events == trials else float(betaincinv(events + 1, trials - events, 1.0 - tail))
    return low, high


def nearest_threshold(table: Sequence[Threshold], false_acceptance: float) -> Threshold | None:
    """Returns the threshold for the highest rate in a table that is not above the one asked for."""
    strict = [one for one in table if one.false_acceptance <= false_acceptance * (1.0 + 1e-9)]
    return max(strict, key=lambda one: one.false_acceptance, default=None)


def _note(false_acceptance: float, count: int, high: float) -> str | None:
    if is_resolved(false_acceptance, count):
        return None
    needed = math.ceil(MINIMUM_FALSE_ACCEPTANCES / false_acceptance)
    return (
        f"{count} comparisons of different persons cannot show a false acceptance rate of "
        f"{false_acceptance:g}, for which {needed} are needed: it may be as high as {high:.2g}."
    )
