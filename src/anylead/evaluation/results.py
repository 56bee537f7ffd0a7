"""What an evaluation returns: frozen records of numbers with their intervals, ready for JSON.

A number that does not exist is None here and NaN in the arrays of the metric modules; it is never replaced
by another number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Subset = Literal["all", "same_day", "cross_session"]
IntervalMethod = Literal["percentile", "score", "logit"]
"""How an interval was made: percentiles of the resamples; the score interval of `auroc_interval`; the spread
of the resamples on the logit scale."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its 95 % interval over patients."""

    value: float | None
    """From all patients, each once; None where it is undefined."""
    low: float | None = None
    high: float | None = None
    resamples_used: int = 0
    """Resamples in which the value was defined: the others are left out, not replaced."""
    resamples_undefined: int = 0
    """Resamples left out."""
    method: IntervalMethod = "percentile"

    def __str__(self) -> str:
        """Returns ``0.812 [0.78, 0.84]``, or ``undefined``."""
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


@dataclass(frozen=True, kw_only=True)
class ReliabilityPoint:
    """Recordings of about one probability: what was said of them and what was true."""

    predicted: float
    """Mean probability."""
    observed: float
    """Part that has the class."""
    decisions: int


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How one class is told from the rest; without intervals where either outcome has fewer than 10."""

    name: str
    positives: int
    """Records that have the class."""
    auroc: Interval
    auprc: Interval
    """Chance is the prevalence."""
    prevalence: float | None = None
    sensitivity: Mapping[str, Interval] = field(default_factory=dict)
    """Specificity, as text such as ``"0.95"``, to the highest sensitivity at no lower one."""
    threshold: float | None = None
    """Chosen on validation recordings, for F1; None where none was given."""
    f1: Interval | None = None
    """At the threshold; None where none was given."""
    brier: Interval | None = None
    """Mean squared error of the probability; None where the scores are not probabilities."""
    ece: float | None = None
    """Expected calibration error, over ten bins of equally many recordings. It has no interval: resampling
    raises it above its own value."""
    ece_if_calibrated: float | None = None
    """What it would be on average if every probability were right, from so few recordings."""
    reliability: tuple[ReliabilityPoint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClassificationResult:
    """How well one system classifies recordings from one set of leads."""

    system: str
    lead_set: str
    macro_auroc: Interval
    """Mean over the classes that have both outcomes; in a resample, over those that have both in it."""
    macro_auprc: Interval
    """Average precision of few positives lies too high, and the mean over classes keeps it: the interval
    holds what samples of this size give on average, not the value of endlessly many recordings."""
    challenge_score: Interval
    """PhysioNet/CinC Challenge 2021; undefined where no credit matrix was given."""
    per_class: tuple[ClassScore, ...]
    records: int
    patients: int
    undefined_classes: tuple[str, ...] = ()
    """Classes with one outcome only, which the means leave out."""
    clean_classes: tuple[str, ...] = ()
    """Classes with at least 10 of either outcome."""
    clean_macro_auroc: Interval = Interval(value=None)
    """Mean over the clean classes."""
    clean_macro_auprc: Interval = Interval(value=None)
    micro_auroc: Interval = Interval(value=None)
    """Of all decisions in one heap."""
    micro_auprc: Interval = Interval(value=None)
    macro_sensitivity: Mapping[str, Interval] = field(default_factory=dict)
    """Specificity to the mean over classes."""
    macro_f1: Interval | None = None
    """None where no thresholds were given."""
    macro_brier: Interval | None = None
    """None where the scores are not probabilities, as for the calibration errors."""
    macro_ece: float | None = None
    macro_ece_if_calibrated: float | None = None
    reliability: tuple[ReliabilityPoint, ...] = ()
    """Of all decisions in one heap."""


@dataclass(frozen=True, kw_only=True)
class TarAtFar:
    """True acceptance rate at one false acceptance rate, or why there is none."""

    rate: Interval | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class IdentificationResult:
    """How well one system tells whose heart a recording is."""

    system: str
    lead_set: str
    subset: Subset
    """Which probes: all, those of the day of enrolment, or those of another date."""
    rank1: Interval
    rank5: Interval
    eer: Interval
    tar: Mapping[str, TarAtFar] = field(default_factory=dict)
    """False acceptance rate, as text such as ``"0.01"``, to the true acceptance rate at it."""
    probes: int = 0
    persons: int = 0
    """Persons who have a probe."""
    enrolled: int = 0
    """Persons in the gallery, those without a probe included."""
    impostor_comparisons: int = 0
    duplicates_dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two systems on the same resamples: the first minus the second."""

    a: str
    b: str
    metric: str
    interval: Interval
    excludes_zero: bool
    lead_set: str = ""
    """Of the first, and of the second after a slash where it is another."""
    subset: Subset | None = None
    p_value: float | None = None
    """Two-sided, from the resamples."""
    p_holm: float | None = None
    """Corrected for the family the difference is claimed in; None where it was not, see `multiplicity`."""


def defined(value: float) -> float | None:
    """Returns a plain float, or None in place of NaN."""
    return None if math.isnan(value) else float(value)
