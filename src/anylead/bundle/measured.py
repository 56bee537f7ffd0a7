"""What was measured of a bundle, as its `config.json` carries it and its card tells it.

Plain numbers with names: where they come from is the business of who measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from anylead.config import from_plain
from anylead.encoders.base import Readout
from anylead.errors import ConfigError
from anylead.sources import SOURCES

KEY = "evaluation"
"""Under which `BundleManifest.numbers` holds it."""

Role = Literal["this", "other", "baseline"]
"""This bundle's encoder, another model judged beside it, or what either has to beat."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval over patients."""

    value: float | None
    """None where it is undefined."""
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Returns ``0.812 [0.78, 0.84]``, or ``undefined``."""
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    name: str
    role: Role | None = None
    """Whose line it is, where a line is a system."""
    cells: tuple[Estimate | str, ...]
    """One for each column after the first."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A table."""

    title: str
    told: str
    """How to read it, and on how many recordings it rests."""
    columns: tuple[str, ...]
    """Names, the first column's included."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """All sampled subsets of so many leads."""

    leads: int
    subsets: int
    score: Estimate
    """Mean over the subsets."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How one system does by the number of leads."""

    system: str
    role: Role
    kind: Literal["shift", "information"]
    """Whether its probe was fitted on twelve leads, or anew on the leads it is asked about."""
    metric: str
    number: Estimate
    """Mean over the numbers of leads."""
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Recordings of one source."""

    source: str
    """Name among `anylead.sources.SOURCES`."""
    fingerprint: str = ""
    """Of the store they were in."""
    licence: str = ""
    citation: str = ""
    patients_known: bool = True
    """Whether patients are those of persons; where not, each recording counts as one."""

    @property
    def url(self) -> str:
        """Where it is published, empty where it is not."""
        known = SOURCES.get(self.source)
        return known.url if known else ""

    @property
    def shown(self) -> str:
        """Its title in Markdown, with a link where it is published."""
        known = SOURCES.get(self.source)
        title = known.title if known else self.source
        return f"[{title}]({self.url})" if self.url else title


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One report about one bundle."""

    judged: str
    """What the report calls the bundle."""
    bundle: str
    """Fingerprint of the bundle that was judged."""
    made: str
    """When, and by which version."""
    data: tuple[DataSet, ...]
    """What it was judged on; empty where the report does not say."""
    recordings: int | None = None
    """Of the test, for classification."""
    patients: int | None = None
    classes: int | None = None
    readout: Readout | None = None
    """How the encoder was read, where that is not what the bundle's `embed` does."""
    resamples: int
    """Of the patients, for the intervals."""
    quick: bool = False
    """Whether it is the short protocol, which trains nothing and has no any-lead curve."""
    summary: tuple[str, ...] = ()
    """What stands first in the report, word for word."""
    tables: tuple[Scores, ...] = ()
    curves: tuple[Curve, ...] = ()
    curve_recordings: int | None = None
    """Test recordings the curves rest on: those that have all twelve leads."""
    curve_patients: int | None = None


def measured(numbers: Mapping[str, Any]) -> Measured | None:
    """Returns what a manifest's numbers say of an evaluation; None where there is none that can be read.

    Args:
        numbers: Of a `BundleManifest`.
    """
    try:
        return from_plain(Measured, numbers[KEY], where=f"numbers.{KEY}")
    except (KeyError, ConfigError):
        return None
