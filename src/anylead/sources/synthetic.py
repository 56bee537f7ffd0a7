"""Synthetic patients: the embedded default and the test data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.record import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ, Record
from anylead.seeding import generator
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.synthesis.patient import Session, draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record, session_findings

__all__ = ["Synthetic", "make_record"]


@dataclass(frozen=True, kw_only=True)
class Synthetic(Source):
    """Twelve-lead recordings of patients who do not exist.

    A heart dipole of Gaussian waves is seen through a lead field; heart, chest and findings stay with
    a patient, and rate, ectopy, breathing, electrode positions, posture and noise change from session to
    session. A recording depends on (seed, patient, session) and its length and rate alone, never on how
    many there are.

    It exists so that everything runs and is tested without a download. No claim about real ECGs
    rests on it: the shares of the findings are chosen for teaching, and what a network learns here says
    that the code works, not that the method does.

    Raises:
        ConfigError: If a number is out of range.
    """

    name: ClassVar[str] = "synthetic"
    title: ClassVar[str] = "anylead synthetic patients"
    url: ClassVar[str] = ""
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "Made by anylead; cite the package."
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True

    patients: int = 200
    """Number of patients."""
    sessions: int = 2
    """Recordings of each patient, months apart."""
    duration_s: float = 10.0
    """Length of a recording."""
    sampling_rate_hz: float = 500.0
    seed: int = 0
    """Another seed is another set of people."""

    def __post_init__(self) -> None:
        for field in ("patients", "sessions"):
            if getattr(self, field) < 1:
                raise ConfigError(
                    f"synthetic: {field} is {getattr(self, field)}; give a number of at least 1."
                )
        if not 1.0 <= self.duration_s <= 3600.0:
            raise ConfigError(
                f"synthetic: duration_s is {self.duration_s:g}; recordings of 1 to 3600 seconds can be made."
            )
        if not MINIMUM_RATE_HZ <= self.sampling_rate_hz <= MAXIMUM_RATE_HZ:
            raise ConfigError(
                f"synthetic: sampling_rate_hz is {self.sampling_rate_hz:g}; rates from "
                f"{MINIMUM_RATE_HZ:g} to {MAXIMUM_RATE_HZ:g} Hz can be made."
            )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings; `root` is not looked at.

        Returns:
            The recordings by patient, then by session.
        """
        return [
            self._ref(patient, session)
            for patient in range(1, self.patients + 1)
            for session in range(1, self.sessions + 1)
        ]

    def load(self, ref: RecordRef) -> Record:
        """Makes one recording."""
        samples = make_record(
            self._session(ref), duration_s=self.duration_s, sampling_rate_hz=self.sampling_rate_hz
        )
        return Record(
            signal=samples * np.float32(0.001),
            leads=STANDARD_12,
            sampling_rate_hz=self.sampling_rate_hz,
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            recorded_at=ref.recorded_at,
            age_years=ref.age_years,
            sex=ref.sex,
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the findings of one recording, as SNOMED CT codes."""
        return Labels(codes=session_findings(self._session(ref), duration_s=self.duration_s))

    def _ref(self, number: int, session: int) -> RecordRef:
        patient = draw_patient(self.seed, number)
        after = self._days(number, session)
        return RecordRef(
            record_id=f"synthetic-p{number:04d}-s{session}",
            path=Path(f"synthetic-p{number:04d}-s{session}"),
            patient_id=f"synthetic:{self.seed}:p{number:04d}",
            recorded_at=datetime(2020, 1, 1, 8) + timedelta(days=after, minutes=7 * (number % 60)),
            age_years=round(patient.age_years + after / 365.25, 1),
            sex=patient.sex,
            details={"patient": str(number), "session": str(session)},
        )

    def _days(self, number: int, session: int) -> int:
        """Days from the first date of the collection to a session: months between sessions."""
        gaps = (
            generator(self.seed, "synthetic date", number, s).integers(60, 300) for s in range(2, session + 1)
        )
        return int(generator(self.seed, "synthetic date", number).integers(0, 700)) + sum(map(int, gaps))

    def _session(self, ref: RecordRef) -> Session:
        patient = draw_patient(self.seed, int(ref.details["patient"]))
        return draw_session(patient, int(ref.details["session"]))
