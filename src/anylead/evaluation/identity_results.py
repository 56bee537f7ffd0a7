"""What the full evaluation of identification returns, ready for JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anylead.evaluation.results import Interval, TarAtFar


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a curve over counts: places looked at, persons enrolled, recordings a person."""

    at: int
    rate: Interval


@dataclass(frozen=True, kw_only=True)
class RankCount:
    """How many probes found their person at these places."""

    first: int
    last: int
    probes: int

    def __str__(self) -> str:
        """Returns the places, ``3`` or ``6-10``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, kw_only=True)
class GapScore:
    """Probes at one distance in time from the enrolment, or why they are not scored."""

    name: str
    probes: int
    persons: int
    rank1: Interval | None = None
    eer: Interval | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class DirAtFar:
    """Detection and identification rate at one false acceptance rate, or why there is none."""

    rate: Interval | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """Probes of enrolled persons found, while persons who are not enrolled are turned away."""

    splits: int
    """Seeded halves over which the rates are averaged."""
    enrolled: int
    """Persons in the gallery of a split."""
    probes: float
    """Probes of enrolled persons, mean over the splits."""
    others: int
    """Persons who are not enrolled in a split."""
    other_probes: int
    """Their recordings, in the split that has the fewest."""
    dir: Mapping[str, DirAtFar]
    """False acceptance rate, as text such as ``"0.01"``, to the rate at it."""
    curve: tuple[tuple[float, float], ...]
    """False acceptance rate and detection and identification rate, where the first can be looked at."""


@dataclass(frozen=True, kw_only=True)
class EnrolmentPoint:
    """Enrolment by so many recordings of each person, as far as they have them."""

    recordings: int
    rank1: Interval
    eer: Interval


@dataclass(frozen=True, kw_only=True)
class EnrolmentCurve:
    """The same probes against galleries made of more and more recordings."""

    persons: int
    """Persons with a recording after the last that is enrolled."""
    probes: int
    points: tuple[EnrolmentPoint, ...]


@dataclass(frozen=True, kw_only=True)
class IdentitySuite:
    """How well one system tells whose heart a recording is, by every protocol."""

    system: str
    lead_set: str
    recordings: int
    """Recordings that take part: neither duplicates nor left out."""
    enrolled: int
    """Persons in the gallery."""
    probes: int
    persons: int
    """Persons who have a probe."""
    impostor_comparisons: int
    duplicates_dropped: int
    not_embedded: int
    """Recordings left out because a number of their embedding is NaN or infinite."""
    rank1: Interval
    rank5: Interval
    rank10: Interval
    cmc: tuple[CurvePoint, ...]
    """Cumulative match characteristic: part of the probes whose person is among the first places."""
    ranks: tuple[RankCount, ...]
    median_rank: float
    eer: Interval
    tar: Mapping[str, TarAtFar]
    """False acceptance rate, as text such as ``"0.01"``, to the true acceptance rate at it."""
    det: tuple[tuple[float, float], ...]
    """False acceptance and false rejection rates, 200 at most."""
    open_set: OpenSet | None
    gaps: tuple[GapScore, ...]
    gallery_sizes: tuple[CurvePoint, ...]
    """Rank-1 expected in a random gallery of so many persons; the last is the whole gallery."""
    enrolment: EnrolmentCurve | None
    missing: tuple[str, ...] = field(default=())
    """Sentences: which parts cannot be made from these recordings, and why."""
