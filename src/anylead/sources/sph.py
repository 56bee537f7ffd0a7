"""SPH, Shandong Provincial Hospital: 25,770 recordings of 24,666 people, ten seconds to one minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.leads import STANDARD_12
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.hdf5 import open_hdf5
from anylead.sources.snomed import CODES
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import natural_key, sort_labels

TABLE = "metadata.csv"
RATE_HZ = 500.0

_STATEMENTS: dict[str, str] = {
    "1": "NSR", "20": "NSR", "21": "STach", "22": "SB", "23": "SA",
    "30": "PAC", "31": "PAC", "33": "WAP", "36": "JPC", "37": "JE", "50": "AF", "51": "AFL", "54": "JTach",
    "55": "SVT", "60": "PVC", "80": "SPRI", "82": "LPR", "83": "MoI", "84": "IIAVBII", "85": "IIAVB",
    "88": "CHB", "101": "LAnFB", "102": "LPFB", "104": "LBBB", "105": "IRBBB", "106": "RBBB", "107": "NSIVCB",
    "108": "VPEx", "120": "RAD", "121": "LAD", "123": "ICA", "125": "LQRSV",
    "140": "LAE", "142": "LVH", "143": "RVH", "145": "STC", "146": "STC TAb", "147": "TAb", "148": "LQT",
    "155": "ERe", "160": "AnMI", "161": "MI", "162": "MI", "163": "MI", "165": "MI", "166": "AnMI",
}  # fmt: skip
"""Primary statement of AHA/ACC/HRS -> findings; a normal ECG carries the code of sinus rhythm, as in PTB-XL.

Source: Mason, Hancock, Gettes, Recommendations for the Standardization and Interpretation of the
Electrocardiogram, part II, Circulation 115:1325-1332, 2007, table 1.
"""

_LABELS = {statement: tuple(CODES[part] for part in to.split()) for statement, to in _STATEMENTS.items()}


@dataclass(frozen=True, kw_only=True)
class Sph(Source):
    """SPH as published on figshare: `TABLE` and ``records/A<number>.h5``, float16 millivolts in ``ecg``.

    A recording has statements separated by ``;``, each a primary code and modifiers joined by ``+``; the
    modifiers (frequent, old, depression, ...) are dropped. Needs the package `h5py`.
    """

    name: ClassVar[str] = "sph"
    title: ClassVar[str] = "Shandong Provincial Hospital 12-lead ECG database"
    url: ClassVar[str] = "https://doi.org/10.6084/m9.figshare.c.5779802.v1"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Liu H. et al., A large-scale multi-label 12-lead electrocardiogram database with standardized "
        "diagnostic statements, Scientific Data 9:272, 2022, doi:10.1038/s41597-022-01403-5."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="25,770 recordings of 24,666 people, 10 to 60 s",
        leads="12",
        rate="500 Hz",
        download=(
            "wget -O metadata.csv https://springernature.figshare.com/ndownloader/files/34793152; "
            "wget -O records.tar.gz https://springernature.figshare.com/ndownloader/files/32630684; "
            "tar -xf records.tar.gz"
        ),
        layout_known_from="documentation",
        layout_page="https://github.com/vlbthambawita/ECGBench/blob/main/ecgbench/labels/sph.py",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table by number, opening no file; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
        """
        refs = read_refs(root, TABLE, lambda row: _ref(root, row), what=f"SPH that holds {TABLE}")
        return sorted(refs, key=lambda ref: natural_key(ref.record_id))

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`.

        Raises:
            RecordFileError: If it cannot be read or has not twelve leads.
        """
        with open_hdf5(ref.path) as file:
            signal = np.asarray(file["ecg"][:], dtype=np.float32)
        if signal.ndim != 2 or signal.shape[0] != len(STANDARD_12) or signal.shape[1] == 0:
            raise RecordFileError(
                f"{ref.path}: the array has shape {signal.shape}; one of 12 leads by samples is published: "
                "download it again."
            )
        return Record(
            signal=signal,
            leads=STANDARD_12,
            sampling_rate_hz=RATE_HZ,
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            recorded_at=ref.recorded_at,
            age_years=ref.age_years,
            sex=ref.sex,
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the primary codes; one that is in no table is unknown, not a code of SNOMED CT."""
        primary = [statement.partition("+")[0].strip() for statement in ref.details["aha"].split(";")]
        return sort_labels([code if code in _LABELS else f"AHA {code}" for code in primary if code], _LABELS)


def _ref(root: Path, row: Mapping[str, str]) -> RecordRef:
    name = row["ECG_ID"].strip()
    return RecordRef(
        record_id=name,
        path=root / "records" / f"{name}.h5",
        patient_id=f"sph:{row['Patient_ID'].strip()}",
        recorded_at=_date(row["Date"].strip()),
        age_years=parse_age(row["Age"]),
        sex=parse_sex(row["Sex"]),
        details={"aha": row["AHA_Code"]},
    )


def _date(text: str) -> datetime | None:
    """Returns a date written year first; other ways are dropped, as nothing documents the table's."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
