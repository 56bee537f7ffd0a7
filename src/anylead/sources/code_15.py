"""CODE-15 %: 345,779 recordings of 233,770 people, seven or ten seconds, twelve leads at 400 Hz."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anylead.errors import RecordFileError
from anylead.formats.wfdb_header import parse_age
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.hdf5 import open_hdf5
from anylead.sources.snomed import CODES
from anylead.sources.tables import read_refs
from anylead.sources.wfdb_tree import sort_labels

TABLE = "exams.csv"
LEADS = ("DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATE_HZ = 400.0

MV_PER_UNIT = 1.0
"""The arrays are taken to be millivolts.

The page of its sister data set says "at the scale 1e-4V", which would make them a tenth of that, and in the
same sentence something else again; readers of the files found R waves of about 1 mV, and so it is here.
"""

_ABNORMALITIES = {"1dAVb": "IAVB", "RBBB": "RBBB", "LBBB": "LBBB", "SB": "SB", "ST": "STach", "AF": "AF"}
"""Column of the table -> finding."""

_LABELS: dict[str, tuple[str, ...]] = {name: (CODES[to],) for name, to in _ABNORMALITIES.items()}
_LABELS["normal_ecg"] = (CODES["NSR"],)

_SEXES: dict[str, Literal["F", "M"]] = {"true": "M", "1": "M", "false": "F", "0": "F"}


@dataclass(frozen=True, kw_only=True)
class Code15(Source):
    """CODE-15 % as published on Zenodo, unpacked: `TABLE` and ``exams_part<number>.hdf5`` in one folder.

    Recordings of seven seconds stand in the middle of 4,096 samples of zeros, and those of ten nearly fill
    them; the zeros are cut off here. A normal ECG carries the code of sinus rhythm, as in `PtbXl`. Half of
    the recordings are neither normal nor have one of the six findings that are labelled: theirs are unknown.
    Needs the package `h5py`.
    """

    name: ClassVar[str] = "code-15"
    title: ClassVar[str] = "CODE-15 %: a large scale annotated dataset of 12-lead ECGs"
    url: ClassVar[str] = "https://zenodo.org/records/4916206"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Ribeiro A. H. et al., Automatic diagnosis of the 12-lead ECG using a deep neural network, Nature "
        "Communications 11:1760, 2020, doi:10.1038/s41467-020-15432-4; doi:10.5281/zenodo.4916206."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = True
    facts: ClassVar[Facts] = Facts(
        size="345,779 recordings of 233,770 people, 7 or 10 s",
        leads="12",
        rate="400 Hz",
        download=(
            "for f in exams.csv $(seq -f exams_part%g.zip 0 17); do "
            "wget -c https://zenodo.org/records/4916206/files/$f; done; unzip '*.zip'"
        ),
        layout_known_from="documentation",
        layout_page="https://zenodo.org/record/4916206",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the rows of the table by file and exam, opening no file; see `Source.scan`.

        Raises:
            RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
        """
        refs = read_refs(root, TABLE, lambda row: _ref(root, row), what=f"CODE-15 that holds {TABLE}")
        return sorted(refs, key=lambda ref: (ref.path, int(ref.record_id)))

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording and cuts the zeros around it; see `Source.load`.

        Raises:
            RecordFileError: If it cannot be read, or holds nothing but zeros.
        """
        if ref.path.suffix != ".hdf5":
            raise RecordFileError(
                f"{ref.path}: {TABLE} names no HDF5 file for exam {ref.record_id}; use the one published."
            )
        with open_hdf5(ref.path) as file:
            row = _rows(ref.path, ref.path.stat().st_mtime_ns).get(int(ref.record_id))
            if row is None:
                raise RecordFileError(f"{ref.path}: exam {ref.record_id} is not in it; download it again.")
            samples = np.asarray(file["tracings"][row], dtype=np.float32)
        recorded = np.flatnonzero(samples.any(axis=1))
        if recorded.size == 0:
            raise RecordFileError(f"{ref.path}: exam {ref.record_id} holds only zeros; nothing was recorded.")
        return Record(
            signal=samples[recorded[0] : recorded[-1] + 1].T * np.float32(MV_PER_UNIT),
            leads=LEADS,
            sampling_rate_hz=RATE_HZ,
            record_id=ref.record_id,
            patient_id=ref.patient_id,
            age_years=ref.age_years,
            sex=ref.sex,
        )

    def labels(self, ref: RecordRef) -> Labels:
        """Maps the columns that are true."""
        return sort_labels(ref.details["findings"].split(";"), _LABELS)


def _ref(root: Path, row: Mapping[str, str]) -> RecordRef:
    found = [name for name in _LABELS if row[name].strip().lower() in ("true", "1")]
    return RecordRef(
        record_id=str(int(row["exam_id"])),
        path=root / row["trace_file"].strip(),
        patient_id=f"code:{int(row['patient_id'])}",
        age_years=parse_age(row["age"]),
        sex=_SEXES.get(row["is_male"].strip().lower()),
        details={"findings": ";".join(found) or "neither normal nor one of the six labelled findings"},
    )


@lru_cache(maxsize=2)
def _rows(path: Path, changed: int) -> dict[int, int]:
    """Returns exam id -> row of a file; the table is in another order, and every file has a row too many."""
    with open_hdf5(path) as file:
        return {int(exam): row for row, exam in enumerate(file["exam_id"][:])}
