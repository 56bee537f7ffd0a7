"""LUDB, the Lobachevsky University Database: 200 recordings of 200 people, ten seconds, twelve leads."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.wfdb_tree import load_wfdb, natural_key, sort_labels

TABLE = "ludb.csv"

COUNTS_PER_MV = 1000.0
"""An assumption: one stored unit is 1 µV in every lead.

The gains in the headers differ from lead to lead and stretch each lead to about the same range; the
millivolts they give break Einthoven's law (II = I + III), which the stored integers obey to within rounding.
So the integers have one common unit; that it is the microvolt is what the amplitudes suggest, and is written
down nowhere.
"""

_FINDINGS: dict[str, str] = {
    "sinus rhythm": "NSR", "sinus bradycardia": "SB", "sinus tachycardia": "STach", "sinus arrhythmia": "SA",
    "irregular sinus rhythm": "SA", "atrial fibrillation": "AF", "atrial flutter, typical": "AFL",
    "wandering atrial pacemaker": "WAP",
    "electric axis of the heart: left axis deviation": "LAD",
    "electric axis of the heart: right axis deviation": "RAD",
    "electric axis of the heart: normal": "", "electric axis of the heart: vertical": "",
    "electric axis of the heart: horizontal": "",
    "incomplete right bundle branch block": "IRBBB", "complete right bundle branch block": "CRBBB",
    "incomplete left bundle branch block": "ILBBB", "complete left bundle branch block": "CLBBB",
    "left anterior hemiblock": "LAnFB", "i degree av block": "IAVB", "iii degree av-block": "CHB",
    "non-specific intravintricular conduction delay": "NSIVCB", "sinoatrial blockade, undefined": "SAB",
    "atrial extrasystole: undefined": "PAC", "atrial extrasystole: low atrial": "PAC",
    "atrial extrasystole: left atrial": "PAC", "atrial extrasystole: sa-nodal extrasystole": "PAC",
    "atrial extrasystole, type: single pac": "PAC", "atrial extrasystole, type: bigemini": "PAC AB",
    "atrial extrasystole, type: quadrigemini": "PAC",
    "atrial extrasystole, type: allorhythmic pattern": "PAC",
    "ventricular extrasystole, morphology: polymorphic": "PVC",
    "ventricular extrasystole, localisation: rvot, anterior wall": "PVC",
    "ventricular extrasystole, localisation: rvot, antero-septal part": "PVC",
    "ventricular extrasystole, localisation: ivs, middle part": "PVC",
    "ventricular extrasystole, localisation: lvot, lvs": "PVC",
    "ventricular extrasystole, localisation: lv, undefined": "PVC",
    "ventricular extrasystole, type: single pvc": "PVC",
    "ventricular extrasystole, type: intercalary pvc": "PVC",
    "ventricular extrasystole, type: couplet": "PVC VPVC",
    "left ventricular hypertrophy": "LVH", "right ventricular hypertrophy": "RVH",
    "left atrial hypertrophy": "LAH", "right atrial hypertrophy": "RAH",
    "left atrial overload": "LAE", "right atrial overload": "RAH",
    "unipolar ventricular pacing": "PR VPP", "bipolar ventricular pacing": "PR VPP",
    "biventricular pacing": "PR VPP", "unipolar atrial pacing": "PR AP", "p-synchrony": "PR",
    "ischemia: anterior wall": "AnMIs", "ischemia: inferior wall": "IIs", "ischemia: lateral wall": "LIs",
    "ischemia: apical": "MIs", "ischemia: septal": "MIs", "ischemia: posterior wall": "MIs",
    "early repolarization syndrome": "ERe",
}  # fmt: skip
"""Statement in lower case -> findings. Axes within the normal range are none. Without a code of their own and
so unknown: aberrant conduction, left ventricular overload, the mere presence of a pacemaker, and
"undefined ischemia/scar/supp. NSTEMI"."""

_WALLS = ("anterior wall", "inferior wall", "lateral wall", "posterior wall", "septal", "apical")
_FINDINGS |= {f"scar formation: {wall}": "OldMI" for wall in _WALLS}
_FINDINGS |= {f"stemi: {wall}": "AMI" for wall in _WALLS}
_FINDINGS |= {f"non-specific repolarization abnormalities: {wall}": "NSSTTA" for wall in _WALLS}

_LABELS = {statement: tuple(CODES[part] for part in to.split()) for statement, to in _FINDINGS.items()}


@dataclass(frozen=True, kw_only=True)
class Ludb(Source):
    """LUDB as published on PhysioNet: ``ludb.csv`` and ``data/<id>.hea``, ``.dat``; one recording a person.

    Amplitudes rest on an assumption; see `COUNTS_PER_MV`.
    """

    name: ClassVar[str] = "ludb"
    title: ClassVar[str] = "Lobachevsky University Electrocardiography Database"
    url: ClassVar[str] = "https://physionet.org/content/ludb/1.0.1/"
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str] = (
        "Kalyakulina A. et al., LUDB: A New Open-Access Validation Tool for Electrocardiogram Delineation "
        "Algorithms, IEEE Access 8:186181-186190, 2020, doi:10.1109/ACCESS.2020.3029211."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="200 recordings of 200 people, 10 s",
        leads="12",
        rate="500 Hz",
        download="wget -r -N -c -np https://physionet.org/files/ludb/1.0.1/",
        checksums="SHA256SUMS.txt",
        layout_known_from="files",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table by id; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent or has no column ID.
        """
        table = root / TABLE
        if not table.is_file():
            raise RecordFileError(f"{root}: there is no {TABLE}; give the folder of LUDB that holds it.")
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))  # cells hold line breaks
        if not rows or "ID" not in rows[0]:
            raise RecordFileError(f"{table}: there is no row with an ID; use the table as published.")
        return sorted((_ref(root, row) for row in rows), key=lambda ref: natural_key(ref.record_id))

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording, its stored integers as microvolts; see `COUNTS_PER_MV`."""
        return load_wfdb(ref, counts_per_mv=COUNTS_PER_MV)

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the statements of all columns: rhythm, axis, conduction, pacing, ischemia and the rest."""
        return sort_labels(ref.details["findings"].split("\n"), _LABELS)


def _ref(root: Path, row: dict[str, str | None]) -> RecordRef:
    number = (row["ID"] or "").strip()
    statements = (cell or "" for column, cell in row.items() if column not in ("ID", "Sex", "Age"))
    return RecordRef(
        record_id=number,
        path=root / "data" / number,
        patient_id=f"ludb:{number}",
        age_years=parse_age(row.get("Age") or ""),
        sex=parse_sex(row.get("Sex") or ""),
        details={"findings": "\n".join(statements).lower()},
    )
