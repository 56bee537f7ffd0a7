"""Chapman-Shaoxing as first released, on figshare: 10,646 recordings in CSV, ten seconds, twelve leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from anylead.formats import read
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.leads import STANDARD_12
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import natural_key, sort_labels

TABLE = "Diagnostics.csv"
"""`Diagnostics.xlsx` of the release, saved as CSV: anylead reads no spreadsheets."""
RATE_HZ = 500.0

_RHYTHMS: dict[str, str] = {
    "SB": "SB", "SR": "NSR", "AFIB": "AF", "ST": "STach", "AF": "AFL", "SA": "SA", "SI": "SA", "SVT": "SVT",
    "AT": "ATach", "AVNRT": "AVNRT", "AVRT": "AVRT", "SAAWR": "WAP",
}  # fmt: skip
"""Acronym of the release's RhythmNames -> finding; here AF is flutter."""

_CONDITIONS: dict[str, str] = {
    "1AVB": "IAVB", "2AVB": "IIAVB", "2AVB1": "MoI", "2AVB2": "IIAVBII", "3AVB": "CHB", "ABI": "AB",
    "ALS": "LAD", "APB": "PAC", "AQW": "QAb", "ARS": "RAD", "ERV": "ERe", "IDC": "NSIVCB", "IVB": "NSIVCB",
    "JEB": "JE", "JPT": "JPC", "LBBB": "LBBB", "LBBBB": "LPFB", "LFBBB": "LAnFB", "LVH": "LVH",
    "LVQRSAL": "LQRSV", "MI": "MI", "MIBW": "MI", "MIFW": "AnMI", "MILW": "MI", "MISW": "MI", "PRIE": "LPR",
    "QTIE": "LQT", "RAH": "RAH", "RBBB": "RBBB", "RVH": "RVH", "STDD": "STD", "STE": "STE", "STTC": "NSSTTA",
    "TWC": "TAb", "TWO": "TInv", "VB": "VBig", "VPB": "VPB", "VPE": "VPEx", "WAVN": "WAP", "WPW": "WPW",
    "NONE": "",
}  # fmt: skip
"""Acronym of the release's ConditionNames -> findings; those for which `CODES` has none are unknown."""

_LABELS = {
    acronym: tuple(CODES[part] for part in to.split())
    for acronym, to in {**_CONDITIONS, **{f"rhythm:{name}": to for name, to in _RHYTHMS.items()}}.items()
}


@dataclass(frozen=True, kw_only=True)
class ChapmanCsv(Source):
    """Chapman-Shaoxing in CSV: `TABLE` and ``ECGData/<name>.csv``, a column of microvolts for each lead.

    Every recording is of another patient. The same recordings are in `EcgArrhythmia`, under other names.
    """

    name: ClassVar[str] = "chapman-csv"
    title: ClassVar[str] = "A 12-lead electrocardiogram database for arrhythmia research (ChapmanECG)"
    url: ClassVar[str] = "https://figshare.com/collections/ChapmanECG/4560497/2"
    licence: ClassVar[str] = "CC0 1.0, its copies say"
    citation: ClassVar[str] = (
        "Zheng J. et al., A 12-lead electrocardiogram database for arrhythmia research covering more than "
        "10,000 patients, Scientific Data 7:48, 2020, doi:10.1038/s41597-020-0386-x."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="10,646 recordings of 10,646 people, 10 s",
        leads="12",
        rate="500 Hz",
        download=(
            "wget -O ECGData.zip https://ndownloader.figshare.com/files/15651326; "
            "wget -O Diagnostics.xlsx https://ndownloader.figshare.com/files/15653771; unzip ECGData.zip; "
            "python -c \"import pandas; pandas.read_excel('Diagnostics.xlsx')"
            ".to_csv('Diagnostics.csv', index=False)\""
        ),
        layout_known_from="documentation",
        layout_page=(
            "https://github.com/vlbthambawita/ECGBench/blob/main/docs/_datasets/"
            "chapman-shaoxing-ecg-database-10-646-patients.md"
        ),
    )

    denoised: bool = False
    """Read ``ECGDataDenoised``, the publishers' smoothed copy, whose files have no line of lead names."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table by name, opening no file; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
        """
        what = f"the CSV release of Chapman-Shaoxing, and save its Diagnostics.xlsx there as {TABLE}"
        folder = root / ("ECGDataDenoised" if self.denoised else "ECGData")
        refs = read_refs(root, TABLE, lambda row: _ref(folder, row), what=what)
        return sorted(refs, key=lambda ref: natural_key(ref.record_id))

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        record = read(ref.path, fs=RATE_HZ, unit="uV", leads=STANDARD_12)
        return replace(
            record,
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            age_years=ref.age_years,
            sex=ref.sex,
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the rhythm and the conditions."""
        return sort_labels([f"rhythm:{ref.details['rhythm']}", *ref.details["beat"].split()], _LABELS)


def _ref(folder: Path, row: Mapping[str, str]) -> RecordRef:
    name = row["FileName"].strip()
    return RecordRef(
        record_id=name,
        path=folder / f"{name}.csv",
        patient_id=f"chapman-csv:{name}",
        age_years=parse_age(row["PatientAge"]),
        sex=parse_sex(row["Gender"]),
        details={"rhythm": row["Rhythm"].strip(), "beat": row["Beat"]},
    )
