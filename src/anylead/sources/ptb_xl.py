"""PTB-XL: 21,799 recordings of 18,869 patients, ten seconds, twelve leads."""

import ast
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import parse_age
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.snomed import CODES
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import load_wfdb, sort_labels

TABLE = "ptbxl_database.csv"

_STATEMENTS: dict[str, str] = {
    "NORM": "NSR", "SR": "NSR", "AFIB": "AF", "AFLT": "AFL", "STACH": "STach", "SBRAD": "SB", "SARRH": "SA",
    "SVARR": "SVPB", "SVTAC": "SVT", "PSVT": "PSVT", "PACE": "PR", "BIGU": "VBig", "TRIGU": "VTrig",
    "PAC": "PAC", "PVC": "VEB",
    "CLBBB": "LBBB", "CRBBB": "CRBBB", "ILBBB": "ILBBB", "IRBBB": "IRBBB", "LAFB": "LAnFB", "LPFB": "LPFB",
    "IVCD": "NSIVCB", "1AVB": "IAVB", "2AVB": "IIAVB", "3AVB": "CHB", "WPW": "WPW", "LPR": "LPR",
    "LNGQT": "LQT",
    "LVH": "LVH", "VCLVH": "LVH", "RVH": "RVH", "SEHYP": "VH", "LAO/LAE": "LAE", "RAO/RAE": "RAH",
    "LVOLT": "LQRSV", "ABQRS": "abQRS", "HVOLT": "abQRS", "QWAVE": "QAb",
    "NDT": "TAb", "NT_": "TAb", "LOWT": "TAb", "TAB_": "TAb", "INVT": "TInv",
    "NST_": "STC", "STD_": "STD", "STE_": "STE", "DIG": "NSSTTA", "EL": "NSSTTA", "ANEUR": "NSSTTA",
    "IMI": "MI", "ASMI": "MI", "ILMI": "MI", "ALMI": "MI", "LMI": "MI", "IPLMI": "MI", "IPMI": "MI",
    "PMI": "MI", "AMI": "AnMI",
    "ISC_": "MIs", "ISCAL": "MIs", "ISCIL": "MIs", "ISCAS": "MIs", "ISCAN": "AnMIs", "ISCIN": "IIs",
    "ISCLA": "LIs",
    "INJAS": "MIs", "INJAL": "MIs", "INJIN": "MIs", "INJLA": "MIs", "INJIL": "MIs",
}  # fmt: skip
"""SCP-ECG statement -> finding.

Normal ECGs carry the code of sinus rhythm, complete LBBB that of LBBB, and ventricular premature complexes
that of ventricular ectopics, which the Challenge does not score: so it labelled its copy of PTB-XL. Where one
cannot see how it did, the statement's category in SCP-ECG decides: injury is ischemia. ``PRC(S)``, premature
complexes of any origin, has no code.
"""

_AXES: dict[str, str] = {"LAD": "LAD", "ALAD": "LAD", "RAD": "RAD", "ARAD": "RAD", "SAG": "ICA", "MID": ""}
"""``heart_axis`` -> finding; a normal axis (MID) is none. AXL and AXR, borderline axes, have no code."""

_LABELS: dict[str, tuple[str, ...]] = {statement: (CODES[to],) for statement, to in _STATEMENTS.items()}
_LABELS |= {f"heart_axis:{axis}": (CODES[to],) if to else () for axis, to in _AXES.items()}

_INFARCTIONS = [one for one, to in _STATEMENTS.items() if to in ("MI", "AnMI") or one.startswith("INJ")]
_LABELS |= {f"{one}_AC": (CODES["AMI"],) for one in _INFARCTIONS}
_LABELS |= {f"{one}_OLD": (CODES["OldMI"],) for one in _INFARCTIONS}
# PTB-XL+ writes the stage of an infarction behind its statement, which stands beside it without, too.

_12SL_STATEMENTS: dict[str, str] = {
    "NSR": "NSR", "SRTH": "NSR", "SBRAD": "SB", "MSBRAD": "SB", "STACH": "STach", "SAR": "SA", "MSAR": "SA",
    "AFIB": "AF", "FLUT": "AFL", "JTACH": "JTach", "PAC": "PAC", "PSVC": "SVPB", "PVC": "VEB",
    "APR": "PR", "VPR": "PR", "ASVPR": "PR", "AVDPR": "PR",
    "FAV": "IAVB", "SAV": "IIAVB", "MBZI": "MoI", "MBZII": "IIAVBII", "CHB": "CHB", "SPR": "SPRI",
    "LBBB": "LBBB", "ILBBB": "ILBBB", "RBBB": "RBBB", "IRBBB": "IRBBB", "AFB": "LAnFB", "PFB": "LPFB",
    "IVCB": "NSIVCB", "IVCD": "NSIVCB", "WPW": "WPW", "WPWA": "WPW", "WPWB": "WPW", "LNGQT": "LQT",
    "LVH": "LVH", "LVH2": "LVH", "RVH": "RVH", "BIVH": "LVH RVH", "LAE": "LAE", "RAE": "RAH",
    "LOWV": "LQRSV",
    "AMI": "AnMI", "ASMI": "MI", "SMI": "MI", "LMI": "MI", "ALMI": "MI", "IMI": "MI", "IPMI": "MI",
    "POSTMI": "MI",
    "NST": "STC", "NT": "TAb", "NSTT": "NSSTTA", "NML": "", "PO": "",
}  # fmt: skip
"""Acronym of the 12SL program -> findings, named as for `_STATEMENTS`; NML is a normal ECG, PO "possible".

Those for which we have no meaning, or the Challenge no code, are unknown.
"""

_12SL_LABELS = {
    acronym: tuple(CODES[part] for part in to.split()) for acronym, to in _12SL_STATEMENTS.items()
}

_PLUS_TABLES = {
    "scp": ("labels/ptbxl_statements.csv", "scp_codes_ext"),
    "12sl": ("labels/12sl_statements.csv", "statements"),
}
"""Statements of PTB-XL+ -> its table and the column of them."""

_SEXES: dict[str, Literal["F", "M"]] = {"0": "M", "1": "F"}


@dataclass(frozen=True, kw_only=True)
class PtbXl(Source):
    """PTB-XL as published on PhysioNet: one table, one WFDB record a recording at 500 and at 100 Hz.

    PTB-XL+, which has further statements of the same recordings and no recordings of its own, is an option.
    Its columns ``..._snomed`` hold concept ids of OMOP, not codes of SNOMED CT, and are not read.
    """

    name: ClassVar[str] = "ptb-xl"
    title: ClassVar[str] = "PTB-XL, a large publicly available electrocardiography dataset"
    url: ClassVar[str] = "https://physionet.org/content/ptb-xl/1.0.3/"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Wagner P. et al., PTB-XL, a large publicly available electrocardiography dataset, "
        "Scientific Data 7:154, 2020, doi:10.1038/s41597-020-0495-6."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="21,799 recordings of 18,869 patients, 10 s",
        leads="12",
        rate="500 and 100 Hz",
        download="wget -r -N -c -np https://physionet.org/files/ptb-xl/1.0.3/",
        checksums="SHA256SUMS.txt",
        layout_known_from="files",
    )

    sampling_rate_hz: Literal[500, 100] = 500
    """Which of the two copies to read: 500 Hz, or the publishers' own 100 Hz."""
    plus: Path | None = None
    """Folder of PTB-XL+ (https://physionet.org/content/ptb-xl-plus/1.0.1/), whose statements replace the
    table's."""
    plus_statements: Literal["scp", "12sl"] = "scp"
    """Which statements of PTB-XL+: those of PTB-XL with the stage of infarctions, or the 12SL program's."""

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table, by ECG id; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood, or
                the folder of this sampling rate is absent; likewise the table of PTB-XL+, where it is given.
        """
        plus = None if self.plus is None else _plus(self.plus, self.plus_statements)
        refs = read_refs(root, TABLE, lambda row: self._ref(root, row, plus), what="PTB-XL that holds it")
        folder = root / f"records{self.sampling_rate_hz}"
        if not folder.is_dir():
            raise RecordFileError(
                f"{root}: there is no folder {folder.name}; download it or choose the other sampling rate."
            )
        return sorted(refs, key=lambda ref: int(ref.record_id))

    def folders(self, root: Path) -> Sequence[Path]:
        """Returns the folder, and that of PTB-XL+ where it is given."""
        return [root] if self.plus is None else [root, self.plus]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the statements, whatever their likelihood (0 means not given), and the heart axis.

        The 12SL program's statements stand alone, without the axis that PTB-XL gives.
        """
        statements = _statements(ref.details["scp_codes"])
        if self.plus is not None and self.plus_statements == "12sl":
            return _12sl_labels(statements)
        axis = ref.details["heart_axis"]
        return sort_labels([*statements, f"heart_axis:{axis}" if axis else ""], _LABELS)

    def _ref(self, root: Path, row: Mapping[str, str], plus: Mapping[int, str] | None) -> RecordRef:
        age = row["age"].strip()
        return RecordRef(
            record_id=str(int(row["ecg_id"])),
            path=root / row["filename_hr" if self.sampling_rate_hz == 500 else "filename_lr"],
            patient_id=f"ptb-xl:{int(float(row['patient_id']))}",
            recorded_at=datetime.fromisoformat(row["recording_date"]),
            fold=int(row["strat_fold"]),
            age_years=90.0 if age in ("300", "300.0") else parse_age(age),  # 300: older than 89
            sex=_SEXES.get(row["sex"].removesuffix(".0")),
            details={
                "scp_codes": row["scp_codes"] if plus is None else plus[int(row["ecg_id"])],
                "heart_axis": (row["heart_axis"] or "").strip(),
            },
        )


def _statements(text: str) -> list[str]:
    """Returns the statements of a cell such as ``{'NORM': 100.0, 'SR': 0.0}``, or the cell itself.

    PTB-XL+ writes lists, of ``'NSR'`` or ``('NORM', 100.0)``.
    """
    try:
        found = list(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError):
        return [text]
    return [str(one[0] if isinstance(one, tuple) and one else one) for one in found]


def _12sl_labels(statements: Sequence[str]) -> Labels:
    """Maps the statements of the 12SL program but those behind CRO, which it "cannot rule out"."""
    kept = [
        one for before, one in zip(["", *statements], statements, strict=False) if "CRO" not in (before, one)
    ]
    return sort_labels([one if one in _12SL_LABELS else f"12SL {one}" for one in kept], _12SL_LABELS)


def _plus(folder: Path, statements: str) -> dict[int, str]:
    """Returns ecg_id -> the cell of statements of PTB-XL+, whose tables are in no order."""
    name, column = _PLUS_TABLES[statements]
    try:
        with (folder / name).open(newline="", encoding="utf-8-sig") as file:
            return {int(float(row["ecg_id"])): row[column] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RecordFileError(
            f"{folder}: {name} with ecg_id and {column} cannot be read ({type(error).__name__}: {error}); "
            "give the folder of PTB-XL+ as published."
        ) from error
