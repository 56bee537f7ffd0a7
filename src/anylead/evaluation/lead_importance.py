"""What each lead is worth, and what a fault costs: falls of a score, taken resample by resample."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from anylead.evaluation.lead_protocol import Kind, check_draws, score_interval
from anylead.evaluation.results import Interval


@dataclass(frozen=True, kw_only=True)
class LeadWorth:
    """What one lead is worth to one system."""

    lead: str
    fall: Interval
    """Score with all leads less the score without this one: above zero where the lead helps."""
    alone: Interval | None = None
    """Score from this lead alone; None where that was not asked."""


@dataclass(frozen=True, kw_only=True)
class LeadImportance:
    """What each lead is worth to one system."""

    system: str
    kind: Kind
    metric: str
    all_leads: Interval
    leads: tuple[LeadWorth, ...]


def lead_importance(
    all_leads: Float[np.ndarray, "draws1"],
    without: Mapping[str, Float[np.ndarray, "draws1"]],
    alone: Mapping[str, Float[np.ndarray, "draws1"]] | None = None,
    *,
    system: str,
    kind: Kind = "shift",
    metric: str = "macro AUROC",
) -> LeadImportance:
    """Returns what each lead is worth, falls taken resample by resample.

    Args:
        all_leads: Score with all leads, from all patients and then from each resample.
        without: Lead to the score without it.
        alone: Lead to the score from it alone.
        system: What to call the system.
        kind: On what the probe was trained.
        metric: What the scores are.

    Raises:
        InputError: If the numbers of resamples differ.
    """
    falls = falls_from(all_leads, without)
    alone = alone or {}
    return LeadImportance(
        system=system,
        kind=kind,
        metric=metric,
        all_leads=score_interval(all_leads),
        leads=tuple(
            LeadWorth(lead=lead, fall=fall, alone=score_interval(alone[lead]) if lead in alone else None)
            for lead, fall in falls.items()
        ),
    )


def falls_from(
    clean: Float[np.ndarray, "draws1"], changed: Mapping[str, Float[np.ndarray, "draws1"]]
) -> dict[str, Interval]:
    """Returns by how much the score falls under each condition, taken resample by resample.

    Args:
        clean: Score without any condition, from all patients and then from each resample.
        changed: Condition to the score under it, on the same recordings and resamples.

    Raises:
        InputError: If the numbers of resamples differ.
    """
    check_draws([clean, *changed.values()])
    return {name: score_interval(clean - values) for name, values in changed.items()}
