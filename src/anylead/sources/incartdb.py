"""INCART: 75 half-hour extracts of the Holter recordings of 32 people, twelve leads at 257 Hz."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb

_AGE = re.compile(r"<age>:\s*(\S+)")
_SEX = re.compile(r"<sex>:\s*(\S+)")
_PATIENT = re.compile(r"patient\s+(\d+)")


@dataclass(frozen=True, kw_only=True)
class Incartdb(Source):
    """The St Petersburg INCART database: ``I<number>.hea`` and ``.dat`` in one folder.

    Every header tells the patient by a number, and age, sex and diagnoses in one comment line. Its beats are
    annotated and its recordings are not, so there are no findings here. 74 of them are also the Challenge
    2021's ``st_petersburg_incart``, stored more coarsely and without patients; use one of the two.
    """

    name: ClassVar[str] = "incartdb"
    title: ClassVar[str] = "St Petersburg INCART 12-lead Arrhythmia Database"
    url: ClassVar[str] = "https://physionet.org/content/incartdb/1.0.0/"
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str] = (
        "Tihonenko V., Khaustov A., Ivanov S., Rivin A., Yakushenko E., St Petersburg INCART 12-lead "
        "Arrhythmia Database, PhysioNet, 2008, doi:10.13026/C2V88N."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="75 recordings of 32 people, 30 min",
        leads="12",
        rate="257 Hz",
        download="wget -r -N -c -np https://physionet.org/files/incartdb/1.0.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="documentation",
        layout_page="https://github.com/vlbthambawita/ECGBench/blob/main/ecgbench/labels/incartdb.py",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording.
        """
        headers = find_headers(root, "I[0-9][0-9].hea", what="INCART with its I01.hea")
        return [_ref(header) for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns no finding: INCART annotates beats."""
        return Labels()


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    comments = "\n".join(header.comments) if header else ""
    patient, age, sex = (pattern.search(comments) for pattern in (_PATIENT, _AGE, _SEX))
    return RecordRef(
        record_id=path.stem,
        path=path.with_suffix(""),
        patient_id=f"incartdb:{patient[1] if patient else path.stem}",
        age_years=parse_age(age[1]) if age else None,
        sex=parse_sex(sex[1]) if sex else None,
    )
