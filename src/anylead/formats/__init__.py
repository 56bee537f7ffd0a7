"""Bytes to Record, one file format a file."""

from pathlib import Path

from anylead.errors import RecordFileError
from anylead.formats.wfdb import SUFFIXES, header_path, read_wfdb
from anylead.record import Record

__all__ = ["read"]


def read(path: str | Path) -> Record:
    """Reads one recording, by its content rather than its name.

    Args:
        path: A file. A WFDB record may be named by its header, by its data file or without a suffix.

    Returns:
        The record in millivolts; missing samples are NaN, its id is the file's name.

    Raises:
        RecordFileError: If there is no such file, its content is unknown, or it is truncated, empty or
            contradictory.
    """
    path = Path(path)
    if header_path(path) is not None or (path.is_file() and path.suffix.lower() in SUFFIXES):
        return read_wfdb(path)
    if path.is_dir():
        raise RecordFileError(f"{path}: this is a folder; give one recording, such as {path / 'record.hea'}.")
    if not path.exists():
        raise RecordFileError(f"{path}: there is no such file; give a recording, such as record.hea.")
    raise RecordFileError(
        f"{path}: the content is of no known format; WFDB records are read (record.hea beside record.dat "
        "or record.mat)."
    )
