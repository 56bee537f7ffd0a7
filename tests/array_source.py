"""A source of random recordings without files, for the tests of store and feeds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.errors import RecordFileError
from anylead.leads import STANDARD_12
from anylead.record import Record
from anylead.seeding import generator
from anylead.sources.base import Labels, RecordRef, Source


@dataclass(frozen=True, kw_only=True)
class ArraySource(Source):
    """Recording i is noise keyed by (seed, i), of patient i // per_patient."""

    name: ClassVar[str] = "array"
    title: ClassVar[str] = "Noise"
    url: ClassVar[str] = "https://example.org/noise"
    licence: ClassVar[str] = "none"
    citation: ClassVar[str] = "none"
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True

    records: int = 12
    per_patient: int = 2
    samples: int = 5000
    rate_hz: float = 500.0
    leads: tuple[str, ...] = STANDARD_12
    seed: int = 0
    family: str = "array"
    broken: tuple[int, ...] = ()
    """Recordings that cannot be read."""
    copies: tuple[tuple[int, int], ...] = ()
    """(i, j): recording i holds the samples of recording j."""
    gaps: tuple[tuple[int, int, int], ...] = ()
    """(i, start, stop): missing in all leads of recording i."""
    without_fold: int = 0
    delay_s: float = 0.0
    """Time a recording takes."""
    journal: str = ""
    """File that gets a line for every recording loaded."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        return [
            RecordRef(
                record_id=f"r{i:04d}",
                path=Path(f"r{i:04d}"),
                patient_id=f"{self.family}:{i // self.per_patient}",
                fold=i // self.per_patient % 10 + 1 if i >= self.without_fold else None,
                details={"number": str(i)},
            )
            for i in range(self.records)
        ]

    def load(self, ref: RecordRef) -> Record:
        number = int(ref.details["number"])
        if self.journal:
            with open(self.journal, "a") as file:
                file.write(ref.record_id + "\n")
        time.sleep(self.delay_s)
        if number in self.broken:
            raise RecordFileError(f"{ref.path}: is broken; there is nothing to do.")
        signal = self.noise(dict(self.copies).get(number, number))
        for i, start, stop in self.gaps:
            if i == number:
                signal[:, start:stop] = np.nan
        return Record(signal=signal, leads=self.leads, sampling_rate_hz=self.rate_hz, record_id=ref.record_id)

    def noise(self, number: int) -> np.ndarray:
        """Returns recording `number` before gaps, in whole microvolts."""
        draws = generator(self.seed, "noise", number).integers(-900, 900, (len(self.leads), self.samples))
        return (draws / 1000).astype(np.float32)

    def labels(self, ref: RecordRef) -> Labels:
        number = int(ref.details["number"])
        codes = ("426783006",) if number % 2 == 0 else ("164889003", "270492004")
        return Labels(codes=codes, unknown=("what",) if number % 5 == 0 else ())
