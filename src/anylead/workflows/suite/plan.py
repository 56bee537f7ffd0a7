"""Which conditions the parts of the suite look at, and the passes they need."""

from collections.abc import Iterable, Sequence

from anylead.evaluation.conditions import Condition, condition, conditions_of, lead_subset
from anylead.evaluation.lead_protocol import sample_subsets
from anylead.leads import STANDARD_12
from anylead.workflows.suite.config import LEAD_SETS
from anylead.workflows.suite.embedders import Embedder
from anylead.workflows.suite.passes import Pass

CLEAN = condition("clean")
ROBUSTNESS = ("noise", "rate", "duration", "gain", "offset")
"""Families whose conditions are graded: each becomes a curve."""
FITTED = ("train", "valid", "test")
"""Parts a probe of its own needs."""
REFITTED = ("train", "test")
"""Parts a probe needs that takes its strength from another."""
ASKED = ("test",)
"""Parts that a probe fitted elsewhere is asked about."""
PERSONS, VALID_PERSONS, SCATTER = "persons", "validation persons", "scatter"
"""Recordings of known persons of the test and of validation; training recordings on which whitening is
fitted."""


def fixed_lead_sets() -> tuple[Condition, ...]:
    """Returns the conditions of the named lead sets."""
    return tuple(condition(f"lead-set-{name}") for name in LEAD_SETS)


def lead_subsets() -> tuple[Condition, ...]:
    """Returns the conditions of the protocol's sample of subsets of the twelve leads."""
    return tuple(lead_subset(leads) for leads in sample_subsets())


def single_leads() -> tuple[Condition, ...]:
    """Returns the conditions of each of the twelve leads alone."""
    return tuple(lead_subset((lead,)) for lead in STANDARD_12)


def disturbed() -> tuple[Condition, ...]:
    """Returns the conditions on which a probe fitted on clean recordings is asked."""
    graded = [one for family in ROBUSTNESS for one in conditions_of(family)]
    return (*conditions_of("drop_lead"), *conditions_of("wrong_lead"), *graded)


def asked_of(judged: Embedder, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Returns the conditions under which the judged model gives anything.

    Under others there is nothing to compare with, and nobody need be asked.
    """
    return tuple(one for one in conditions if judged.knows(one))


def passes_over(
    embedders: Iterable[Embedder], conditions: Sequence[Condition], parts: Sequence[str]
) -> list[Pass]:
    """Returns one pass for each."""
    return [
        Pass(embedder=embedder, condition=one, part=part)
        for embedder in embedders
        for one in conditions
        for part in parts
    ]
