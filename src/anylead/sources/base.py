"""Source: one public data set — where its files, labels and patients are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from anylead.record import Record


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a data set before one has it; empty where it is not known to us."""

    size: str = ""
    """How many recordings, of how many people, how long."""
    leads: str = ""
    rate: str = ""
    """Sampling rate."""
    download: str = ""
    """The command that fetches it, for a POSIX shell."""
    checksums: str = ""
    """Published list of SHA-256 sums, a file in the folder of the data set; `prepare` checks against it."""
    layout_known_from: Literal["files", "documentation", "unverified"] = "unverified"
    """``files``: we have read published files; ``documentation``: only what `layout_page` says of them."""
    layout_page: str = ""
    """Where the layout is documented."""


@dataclass(frozen=True, kw_only=True)
class RecordRef:
    """One recording of a source that has been found but not read."""

    record_id: str
    """Unique within the source."""
    path: Path
    """File to read, for WFDB without its suffix."""
    patient_id: str
    """``<family>:<id>``, the same person's in every source of a family; the record's where nobody knows.
    Empty leaves it to the record that `load` gives: the file says it, and it is not opened by `scan`."""
    recorded_at: datetime | None = None
    fold: int | None = None
    """The fold the publishers recommend, where they do."""
    age_years: float | None = None
    sex: Literal["F", "M"] | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    """Whatever `load` and `labels` need besides the path."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Published checksums of its files, by suffix (``.dat``); see `anylead.sources.checksums`."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Findings of one recording."""

    codes: tuple[str, ...] = ()
    """SNOMED CT codes, sorted, each once."""
    unknown: tuple[str, ...] = ()
    """What the file says that no table maps; counted by `prepare`."""


class Source(ABC):
    """A data set as published; a subclass is a frozen keyword-only dataclass of its options."""

    name: ClassVar[str]
    """What users type: ``ptb-xl``."""
    title: ClassVar[str]
    url: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    patient_ids: ClassVar[Literal["known", "unknown"]]
    """Whether patient ids are published; where they are not, splits are by record and say so."""
    labelled: ClassVar[bool]
    facts: ClassVar[Facts] = Facts()
    """Size, leads, rate, download and how the layout is known."""
    opened_by_scan: ClassVar[tuple[str, ...]] = ()
    """Suffixes of signal files that `scan` opens nevertheless, to list the recordings in them."""

    @abstractmethod
    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Finds the recordings below `root` without reading signals, in a stable order.

        Raises:
            RecordFileError: If the layout is not that of the data set, or its tables are absent.
        """

    def folders(self, root: Path) -> Sequence[Path]:
        """Returns what decides what `scan` finds, of a data set in `root`: folders, and single tables."""
        return [root]

    def part(self, ref: RecordRef) -> "Source":
        """Returns the data set a recording is of: this one, but for a source that joins several."""
        return self

    def patient_known(self, record_id: str, patient_id: str) -> bool:
        """Says whether a patient id that this source gave is a person's, and not the recording's own."""
        return self.patient_ids == "known"

    @abstractmethod
    def load(self, ref: RecordRef) -> Record:
        """Reads one recording.

        Raises:
            RecordFileError: If it cannot be read.
        """

    @abstractmethod
    def labels(self, ref: RecordRef) -> Labels:
        """Returns the findings of one recording, as SNOMED CT codes."""
