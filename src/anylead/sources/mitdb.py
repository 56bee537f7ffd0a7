"""MIT-BIH Arrhythmia: 48 half-hour recordings of 47 people, two leads at 360 Hz."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.record import Record
from anylead.sources.base import Facts, Labels, RecordRef, Source
from anylead.sources.wfdb_tree import find_headers, header_or_none, load_wfdb

_PERSON = re.compile(r"(-?\d+)\s+([MF])\b")
_SAME_PERSON = {"202": "201"}
"""Records 201 and 202 are of one man; everybody else is recorded once."""


@dataclass(frozen=True, kw_only=True)
class Mitdb(Source):
    """The MIT-BIH Arrhythmia Database: ``100.hea`` and ``.dat`` to ``234`` in one folder.

    The leads differ: mostly MLII, which is read as II, and V1; in some V2, V4 or V5, and in one the two are
    the other way round, so they are taken by name. The extracts in ``x_mitdb`` are the same recordings once
    more and are not read. Its beats are annotated and its recordings are not, so there are no findings here.
    """

    name: ClassVar[str] = "mitdb"
    title: ClassVar[str] = "MIT-BIH Arrhythmia Database"
    url: ClassVar[str] = "https://physionet.org/content/mitdb/1.0.0/"
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str] = (
        "Moody G., Mark R., The impact of the MIT-BIH Arrhythmia Database, IEEE Engineering in Medicine and "
        "Biology Magazine 20(3):45-50, 2001, doi:10.13026/C2F305."
    )
    patient_ids: ClassVar[Literal["known", "unknown"]] = "known"
    labelled: ClassVar[bool] = False
    facts: ClassVar[Facts] = Facts(
        size="48 recordings of 47 people, 30 min",
        leads="2 of II, V1, V2, V4, V5",
        rate="360 Hz",
        download="wget -r -N -c -np https://physionet.org/files/mitdb/1.0.0/",
        checksums="SHA256SUMS.txt",
        layout_known_from="documentation",
        layout_page="https://github.com/vlbthambawita/ECGBench/blob/main/ecgbench/labels/mitdb.py",
    )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings by number; see `Source.scan`.

        Raises:
            RecordFileError: If there is no recording.
        """
        headers = find_headers(root, "[12][0-9][0-9].hea", what="MIT-BIH with its 100.hea")
        return [_ref(header) for header in headers]

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording; see `Source.load`."""
        return load_wfdb(ref)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns no finding: MIT-BIH annotates beats and rhythms within a recording."""
        return Labels()


def _ref(path: Path) -> RecordRef:
    header = header_or_none(path)
    person = _PERSON.match(header.comments[0]) if header and header.comments else None
    return RecordRef(
        record_id=path.stem,
        path=path.with_suffix(""),
        patient_id=f"mitdb:{_SAME_PERSON.get(path.stem, path.stem)}",
        age_years=parse_age(person[1]) if person else None,  # -1 where unknown
        sex=parse_sex(person[2]) if person else None,
    )
