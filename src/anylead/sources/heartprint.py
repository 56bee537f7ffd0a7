"""Heartprint: lead I of 199 people from their thumbs, fifteen seconds, in visits up to ten years apart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.errors import RecordFileError
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers

SESSIONS = ("Session-1", "Session-2", "Session-3R", "Session-3L")
"""In the order in which they are searched; 3R and 3L are of one visit, and share 135 recordings."""
SAMPLES = 3747
"""Samples of a file; behind them stand the places of its R waves, and zeros up to 7,500 lines."""
RATE_HZ = 250.0

MV_PER_UNIT = 0.1
"""The numbers are taken to be millimetres of ECG paper, which nothing says: half of the recordings have R
waves of 8 to 15, and lead I has them of about 1 mV."""


@dataclass(frozen=True, kw_only=True)
class Heartprint(Source):
    """Heartprint as published on figshare: ``Session-<n>/<person>/<date>_<time>_<number>_ECG.txt``.

    139 recordings lie in two sessions, with the same name and content: each is read once. Dates are those of
    the names.
    """

    name: ClassVar[str] = "heartprint"
    title: ClassVar[str] = "Heartprint: multisession ECG with long interval, captured from fingers"
    url: ClassVar[str] = "https://doi.org/10.6084/m9.figshare.20105354.v3"
    licence: ClassVar[str] = "see https://doi.org/10.6084/m9.figshare.20105354.v3"
    citation: ClassVar[str] = (
        "Islam M. S. et al., Heartprint: A Dataset of Multisession ECG Signal with Long Interval Captured "
        "from Fingers for Biometric Recognition, Data 7(10):141, 2022, doi:10.3390/data7100141."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="1,400 recordings of 199 people, 15 s",
        leads="I",
        rate="250 Hz",
        download=(
            "wget -O heartprint.zip https://figshare.com/ndownloader/articles/20105354/versions/3; "
            "unzip heartprint.zip; unar Heartprint.rar"
        ),
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by session, person and name; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording in a folder ``Session-<n>``.
        """
        found: dict[tuple[str, str], Path] = {}
        paths = find_headers(root, "Session-*/*/*_ECG.txt", what="Heartprint that holds Session-1")
        for path in sorted(paths, key=lambda path: SESSIONS.index(_session(path))):
            found.setdefault((path.parent.name, path.name), path)
        return [_ref(path) for path in found.values()]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`.

        Raises:
            RecordFileError: If the file is absent, is cut off or holds something that is no number.
        """
        try:
            lines = ref.path.read_text(encoding="ascii").split()
            if len(lines) < SAMPLES:
                raise ValueError(f"{len(lines)} lines, and {SAMPLES} and more are published")
            signal = np.array(lines[:SAMPLES], dtype=np.float32)
        except (OSError, ValueError) as error:
            raise RecordFileError(
                f"{ref.path}: the recording cannot be read ({error}); download it again, as published."
            ) from error
        return Record(
            signal=signal[None] * np.float32(MV_PER_UNIT),
            leads=("I",),
            sampling_rate_hz=RATE_HZ,
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            recorded_at=ref.recorded_at,
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Returns nothing: the data set is about persons."""
        return Labels()


def _session(path: Path) -> str:
    session = path.parent.parent.name
    if session not in SESSIONS:
        raise RecordFileError(
            f"{path}: {session} is no session of Heartprint, which has {', '.join(SESSIONS)}; use the "
            "folders as published."
        )
    return session


def _ref(path: Path) -> RecordRef:
    person = path.parent.name
    return RecordRef(
        record_id=f"{_session(path)}/{person}/{path.stem.removesuffix('_ECG')}",
        path=path,
        patient_id=f"heartprint:{person}",
        recorded_at=_recorded_at(path.name),
    )


def _recorded_at(name: str) -> datetime | None:
    """Returns the date and time of a name, which begins with the year or, in some, with the day."""
    if match := re.match(r"(\d{8}_\d{4})_", name):
        for form in ("%Y%m%d_%H%M", "%d%m%Y_%H%M"):
            try:
                when = datetime.strptime(match[1], form)
            except ValueError:
                continue
            if 2000 <= when.year < 2100:
                return when
    return None
