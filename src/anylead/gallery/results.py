"""What a gallery answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def numbers(self) -> str:
        """Returns it as ``24 [13.5, 35]``."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def percent(self) -> str:
        """Returns a share as ``99.7 % [99.3, 99.9]``; what is nearly certain is not rounded to certain."""
        return f"{_percent(self.value)} % [{_percent(self.low)}, {_percent(self.high)}]"


def _percent(share: float) -> str:
    rest = 100.0 * (1.0 - share)
    if share <= 0.5 or share >= 1.0:
        return f"{100.0 * share:.3g}"
    return ">99.99" if rest < 0.01 else f"{100.0 * share:.{max(1, -math.floor(math.log10(rest)))}f}"


@dataclass(frozen=True, kw_only=True)
class Match:
    """How well a recording fits one patient."""

    patient_id: str
    record_id: str
    """The patient's most similar template."""
    similarity: float
    """Cosine; of several templates as the gallery fuses them."""
    probability: Interval | None
    """That it is this patient, given the prior; None where there is no calibration for the lead set."""
    recorded_at: datetime | None = None
    days_apart: float | None = None


@dataclass(frozen=True, kw_only=True)
class Identification:
    """Who a recording may be of."""

    record_id: str
    lead_set: str
    """Through which leads it was compared."""
    matches: Sequence[Match]
    """The most similar first, one a patient."""
    nobody: Interval | None
    """Probability that the person is not in the gallery."""
    verdict: Literal["known", "nobody here", "undecided"]
    """By the threshold for the false acceptance rate asked for; undecided without a calibration."""
    threshold: float | None
    notes: Sequence[str] = ()
    """Sentences: few genuine persons behind the calibration, no false acceptance seen, quality."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Whether a recording is of the patient named."""

    record_id: str
    patient_id: str
    lead_set: str
    similarity: float
    probability: Interval | None
    accepted: bool | None
    """None without a calibration."""
    threshold: float | None
    own: Match | None
    best_other: Match | None
    notes: Sequence[str] = ()


CaseKind = Literal["wrong patient", "duplicate", "reversed leads"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recording of a worklist."""

    case_id: str
    """Stable: of the gallery, the recording and the partner."""
    kind: CaseKind
    """``reversed leads`` is the innocent explanation of a recording that fits its patient badly."""
    record_id: str
    patient_id: str
    lead_set: str
    probability: Interval | None
    """That it is filed under the wrong patient; of a duplicate, that it is and not its partner. None where
    nothing speaks for or against."""
    own: Match | None
    """The most similar other recording of its own patient."""
    other: Match | None
    """The most similar recording of somebody else."""
    partner: str | None = None
    """Recording with which it may have been exchanged, or which it repeats."""
    evidence: Sequence[str] = ()
    """Sentences for the reviewer."""
    review: Literal["accept", "reject", "unsure"] | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """What reviewing the first so many cases would catch, at one share of recordings exchanged."""

    prevalence: float
    budget: int
    """Cases looked at; 0 stands for those beyond every recording as it is filed."""
    sensitivity: Interval
    """Share of exchanged recordings that are among the first `budget` cases."""
    false_alerts: Interval
    """Expected among them."""
    precision: Interval
    """Of a case, by Bayes."""
    bounded: bool
    """Whether no false alert was seen and the bound 3/n stands in."""


@dataclass(frozen=True, kw_only=True)
class Worklist:
    """Suspects, the most worth a look first."""

    cases: Sequence[Case]
    screened: int
    """Recordings compared with something."""
    not_screened: int
    """Recordings of patients with no other, which only strangers can be compared with."""
    prevalence: float
    budget_table: Sequence[BudgetLine] = ()
    expected_false_alerts: Interval | None = None
    notes: Sequence[str] = ()

    def expectation(self) -> str:
        """Returns in a sentence how many suspects, duplicates aside, are right; nothing where unknown."""
        false = self.expected_false_alerts
        if false is None:
            return ""
        suspects = sum(case.kind != "duplicate" and case.probability is not None for case in self.cases)
        right = Interval(
            value=suspects - false.value, low=suspects - false.high, high=suspects - false.low
        ).numbers()
        return (
            f"If {100.0 * self.prevalence:g} % of recordings are filed wrongly, {right} of these {suspects} "
            "suspects are expected to be; the others are false alerts."
        )


@dataclass(frozen=True, kw_only=True)
class EnrolSummary:
    """What `enrol` did."""

    enrolled: int
    already: int
    failed: Sequence[tuple[str, str]] = ()
    """(recording, reason)."""


@dataclass(frozen=True, kw_only=True)
class GalleryInfo:
    """What a gallery holds."""

    url: str
    model: str
    preparation: str
    dimension: int
    patients: int
    recordings: int
    templates: dict[str, int]
    """Lead set -> templates."""
    several: int
    """Patients with more than one recording."""
    keep_signals: bool
    projected: bool
    calibrated: dict[str, int] = field(default_factory=dict)
    """Lead set -> genuine persons behind its calibration."""
    audit_lines: int = 0
    bytes: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
