"""Ningbo First Hospital, on figshare: 334 recordings in CSV, taken during ablations at 2000 Hz."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.formats import read
from anylead.formats.wfdb_header import parse_sex
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import natural_key, sort_labels

TABLE = "Diagnosis.csv"
"""`Diagnosis.xlsx` of the release, saved as CSV: anylead reads no spreadsheets."""
RATE_HZ = 2000.0

COUNTS_PER_MV = 16384.0
"""Estimated, to about 20 %: the files hold integers, and nothing that is published says of what unit.

Source: the page of the layout, by the height of R waves in lead II beside those of SPH.
"""

_LABELS: dict[str, tuple[str, ...]] = {"PVC": (CODES["PVC"],)}


@dataclass(frozen=True, kw_only=True)
class NingboCsv(Source):
    """Idiopathic ventricular arrhythmia: `TABLE` and ``PVCVTRawECGData/<HospitalID>.csv``.

    Every recording is of another patient. The place where the arrhythmia began, which the ablation showed,
    has no code of a finding and counts as unknown. Not the Ningbo of `EcgArrhythmia`.
    """

    name: ClassVar[str] = "ningbo-csv"
    title: ClassVar[str] = "A 12-lead ECG database to identify origins of idiopathic ventricular arrhythmia"
    url: ClassVar[str] = "https://doi.org/10.6084/m9.figshare.c.4668086.v2"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Zheng J. et al., A 12-lead ECG database to identify origins of idiopathic ventricular arrhythmia "
        "containing 334 patients, Scientific Data 7:98, 2020, doi:10.1038/s41597-020-0440-8."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="334 recordings of 334 people, 3 to 59 s",
        leads="12",
        rate="2000 Hz",
        layout_known_from="documentation",
        layout_page="https://github.com/vlbthambawita/ECGBench/blob/main/ecgbench/labels/ningbo_iva.py",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table by number, opening no file; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
        """
        what = f"the CSV release of Ningbo First Hospital, and save its Diagnosis.xlsx there as {TABLE}"
        refs = read_refs(root, TABLE, lambda row: _ref(root, row), what=what)
        return sorted(refs, key=lambda ref: natural_key(ref.record_id))

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording, whose leads stand in the order of the alphabet; see `Source.load`."""
        record = read(ref.path, fs=RATE_HZ, unit="nV")  # counts / 10^6: as millivolts they would be refused
        return replace(
            record,
            signal=record.signal * np.float32(1e6 / COUNTS_PER_MV),
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            sex=ref.sex,
            flags=(*record.flags, "scale_estimated"),
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the arrhythmia; where it began is unknown to our codes."""
        return sort_labels([ref.details["type"], ref.details["origin"]], _LABELS)


def _ref(root: Path, row: Mapping[str, str]) -> RecordRef:
    name = str(int(float(row["HospitalID"])))
    return RecordRef(
        record_id=name,
        path=root / "PVCVTRawECGData" / f"{name}.csv",
        patient_id=f"ningbo-csv:{name}",
        sex=parse_sex(row["Gender"]),
        details={
            "type": row["Type"].strip(),
            "origin": " ".join(f"origin {row['LeftRight']} {row['Sublocation']}".split()),
        },
    )
