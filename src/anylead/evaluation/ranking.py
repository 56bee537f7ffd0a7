"""Ranks that say how far they can be told: ties wherever the difference of two systems could be chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from anylead.errors import InputError
from anylead.evaluation.multiplicity import holm

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Where a system may stand, 1 being the best."""

    best: int
    """One more than the number of systems that are better beyond chance."""
    worst: int
    """The number of systems, less those that are worse beyond chance."""

    def __str__(self) -> str:
        """Returns ``3`` or ``2-9``."""
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


def ranks_with_ties(values: Mapping[str, Float[np.ndarray, "draws1"]]) -> dict[str, Rank]:
    """Ranks systems by a score of which more is better.

    The difference of two systems is taken on the same resamples; its p-value is two-sided, normal with the
    deviation of the resamples, because percentiles of some thousand resamples end above what many pairs
    ask for. All pairs are corrected together by Holm's method, at 5 %.

    Args:
        values: System to its score on all patients, then on each resample; the same resamples for all.

    Raises:
        InputError: If the systems have different numbers of resamples.

    Source: Mogstad et al. 2024 (Review of Economic Studies 91), who give ranks intervals in this way.
    """
    lengths = {name: len(one) for name, one in values.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length - 1}" for name, length in lengths.items())
        raise InputError(f"ranks: the systems have different numbers of resamples ({told}); use the same.")
    names = list(values)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    corrected = holm([_p_value(values[a] - values[b]) for a, b in pairs]) if pairs else []
    better = {name: 0 for name in names}
    worse = dict(better)
    for (a, b), p in zip(pairs, corrected, strict=True):
        if p < LEVEL:
            first, second = (a, b) if values[a][0] > values[b][0] else (b, a)
            worse[first] += 1
            better[second] += 1
    return {name: Rank(best=1 + better[name], worst=len(names) - worse[name]) for name in names}


def _p_value(apart: Float[np.ndarray, "draws1"]) -> float:
    spread = float(np.nanstd(apart[1:], ddof=1))
    if not np.isfinite(apart[0]) or not spread > 0.0:
        return 1.0 if not apart[0] else 0.0
    return float(2.0 * norm.sf(abs(apart[0]) / spread))
