"""What every source of WFDB files does: find headers in a natural order, read a record, read a Dx line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from anylead.errors import RecordFileError
from anylead.formats.wfdb import read_wfdb
from anylead.formats.wfdb_header import WfdbHeader, read_header
from anylead.record import Record
from anylead.sources.base import Labels, RecordRef


def natural_key(path: Path | str) -> str:
    """Returns a sort key under which ``rec_2`` comes before ``rec_10``: numbers begin with their length."""
    return re.sub(r"\d+", _with_length, path.as_posix() if isinstance(path, Path) else path)


def _with_length(digits: re.Match[str]) -> str:
    number = digits[0].lstrip("0")
    # A number comes before any other character; of equal ones the one with fewer zeros in front.
    return f"\0{len(number):03d}{number}{len(digits[0]):03d}"


def find_headers(root: Path, pattern: str, *, what: str) -> list[Path]:
    """Returns the headers below a folder that match a glob pattern, in natural order of their path.

    Args:
        root: The folder.
        pattern: Relative to `root`, such as ``Person_*/rec_*.hea``.
        what: What the folder should be, for the error.

    Raises:
        RecordFileError: If there is no such folder or no header in it.
    """
    if not root.is_dir():
        raise RecordFileError(f"{root}: there is no such folder; give the folder of {what}.")
    found = [path for path in root.glob(pattern) if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise RecordFileError(f"{root}: there is no {pattern} in it; give the folder of {what}.")
    return sorted(found, key=lambda path: natural_key(path.relative_to(root)))


def header_or_none(path: Path) -> WfdbHeader | None:
    """Reads a header for a scan; a broken one is None, so that `load` refuses that recording alone."""
    try:
        return read_header(path)
    except RecordFileError:
        return None


def load_wfdb(ref: RecordRef, *, counts_per_mv: float | None = None) -> Record:
    """Reads the record of a reference and gives it the reference's ids, date, age and sex.

    Args:
        ref: Its `path` is the record, with or without a suffix.
        counts_per_mv: As in `read_wfdb`.

    Raises:
        RecordFileError: If the record cannot be read.
    """
    return replace(
        read_wfdb(ref.path, counts_per_mv=counts_per_mv),
        record_id=ref.record_id,
        patient_id=ref.patient_id,
        recorded_at=ref.recorded_at,
        age_years=ref.age_years,
        sex=ref.sex,
    )


def sort_labels(findings: Iterable[str], table: Mapping[str, Iterable[str]] | None = None) -> Labels:
    """Sorts what a file says into SNOMED CT codes and the rest.

    Args:
        findings: As the file gives them, blanks around them ignored, empty ones dropped.
        table: Finding -> SNOMED CT codes, empty for a finding that is known to need none. A finding that is
            not in it and consists of digits is a code itself.
    """
    codes: set[str] = set()
    unknown: list[str] = []
    for finding in (text.strip() for text in findings):
        if table is not None and finding in table:
            codes.update(table[finding])
        elif finding.isascii() and finding.isdecimal():
            codes.add(finding)
        elif finding:
            unknown.append(finding)
    return Labels(codes=tuple(sorted(codes)), unknown=tuple(dict.fromkeys(unknown)))
