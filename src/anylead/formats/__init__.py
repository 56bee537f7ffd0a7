"""Bytes to Record, one file format a file. Adding one: its file, a line in `FORMATS`, one test."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import (
    aecg,
    delimited,
    dicom,
    edf,
    hdf5,
    ishne,
    muse,
    npy,
    parquet,
    philips,
    scp,
    wfdb,
)
from anylead.formats.base import HEAD_BYTES, Format
from anylead.formats.unpack import is_packed, list_members, peek, unpacked
from anylead.record import Record

__all__ = ["FORMATS", "identify", "is_known", "list_items", "read", "stored_unit"]

# Those that content gives away stand first, those that only a name tells last.
FORMATS: tuple[Format, ...] = (
    dicom.FORMAT,
    ishne.FORMAT,
    aecg.FORMAT,
    muse.FORMAT,
    philips.FORMAT,
    scp.FORMAT,
    edf.FORMAT,
    hdf5.FORMAT,
    parquet.FORMAT,
    npy.FORMAT,
    delimited.FORMAT,
    wfdb.FORMAT,
)
"""Every format that is read, in the order in which they are asked."""


def read(
    path: str | Path,
    *,
    fs: float | int | None = None,
    unit: str | None = None,
    leads: Sequence[str] | str | None = None,
) -> Record:
    """Reads one recording, by its content rather than its name.

    Args:
        path: A file. A WFDB record may be named by its header, by its data file or without a suffix.
            ``file::item`` names one recording of a file that holds several. gzip and zip are unpacked.
        fs: Sampling rate in Hz, of a file that does not say it (a table, an array).
        unit: Unit of voltage, likewise.
        leads: Names of the leads, likewise.

    Returns:
        The record in millivolts; missing samples are NaN, its id is the file's name.

    Raises:
        RecordFileError: If there is no such file, its content is unknown, or it is truncated, empty or
            contradictory; or if something was given that the file says itself.
        ConfigError: If the format needs a package that is not installed.
    """
    path, item = _split(Path(path))
    described = {"fs": fs, "unit": unit, "leads": leads}
    head = _head(path)
    if not is_packed(head):
        return _read(path, head, {**described, "item": item})
    with unpacked(path, head, item) as (inner, left):
        head = _head(inner)
        if is_packed(head):
            raise RecordFileError(f"{inner}: this is an archive in an archive; unpack the outer one first.")
        return _read(inner, head, {**described, "item": left})


def identify(path: str | Path) -> Format:
    """Says of which format a recording is, inside an archive too; the arguments are those of `read`.

    Raises:
        RecordFileError: If there is no such file, or its content is unknown.
    """
    with _opened(Path(path)) as (_, known):
        return known


def stored_unit(path: str | Path) -> str | None:
    """Returns the unit in which a file stores its samples; None where it, or its format, does not tell.

    Raises:
        RecordFileError: If there is no such file, or its content is unknown or damaged.
    """
    with _opened(Path(path)) as (inner, known):
        return known.unit(inner) if known.unit else None


def is_known(path: Path) -> bool:
    """Says from the beginning of a file, or its name, whether it looks like a recording or an archive.

    Raises:
        RecordFileError: If it cannot be opened.
    """
    head = _head(path)
    return is_packed(head) or any(known.recognises(head, path) for known in FORMATS)


def list_items(path: Path) -> tuple[str, ...]:
    """Returns what may follow ``::`` to name each recording of a file; nothing where it holds one.

    Every member of a zip counts that is no part of another, and every exam of HDF5, in an archive too; a
    damaged member counts once.

    Raises:
        RecordFileError: If the file is damaged.
        ConfigError: If its format needs a package that is not installed.
    """
    head = _head(path)
    if not is_packed(head):
        names = _own_items(path, head)
    else:
        members = list_members(path, head)
        names = tuple(name for member in members for name in _items_inside(path, head, member))
    return names if len(names) > 1 else ()


def _items_inside(path: Path, head: bytes, member: str) -> Sequence[str]:
    """Returns the names of the recordings of one member of an archive, which gzip does not name."""
    try:
        beginning = peek(path, head, member)
        if not any(known.items and known.recognises(beginning, Path(member)) for known in FORMATS):
            return [member]
        with unpacked(path, head, member or None) as (inner, _):
            exams = _own_items(inner, _head(inner))
    except (RecordFileError, ConfigError):
        return [member]  # reading it says what is wrong, and the others are not lost with it
    return [f"{member}::{exam}" if member else exam for exam in exams] if len(exams) > 1 else [member]


def _own_items(path: Path, head: bytes) -> tuple[str, ...]:
    listing = next((known.items for known in FORMATS if known.recognises(head, path)), None)
    return listing(path) if listing else ()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Path, Format]]:
    """Yields the file, or what is in the archive, and its format."""
    path, item = _split(path)
    head = _head(path)
    if not is_packed(head):
        yield path, _format(path, head)
        return
    with unpacked(path, head, item) as (inner, _):
        yield inner, _format(inner, _head(inner))


def _format(path: Path, head: bytes) -> Format:
    chosen = next((candidate for candidate in FORMATS if candidate.recognises(head, path)), None)
    if chosen is None:
        raise _unknown(path)
    return chosen


def _read(path: Path, head: bytes, told: dict[str, Any]) -> Record:
    chosen = _format(path, head)
    given = {key: value for key, value in told.items() if value is not None}
    unasked = sorted(set(given) - set(chosen.takes))
    if unasked:
        raise RecordFileError(
            f"{path}: {', '.join(unasked)} was given, and a file of {chosen.name} says "
            "it itself; leave it out."
        )
    return chosen.read(path, **given)


def _split(path: Path) -> tuple[Path, str | None]:
    """Returns the file and what follows ``::``, unless a file has the two colons in its own name."""
    text = str(path)
    if "::" not in text or path.exists():
        return path, None
    file, _, item = text.partition("::")
    return Path(file), item


def _head(path: Path) -> bytes:
    """Returns the beginning of a file; nothing where there is none, as for a WFDB record without suffix."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordFileError(
            f"{path}: the file cannot be read ({reason}); give one that you may read."
        ) from error


def _unknown(path: Path) -> RecordFileError:
    if path.is_dir():
        return RecordFileError(
            f"{path}: this is a folder; give one recording, such as {path / 'record.hea'}."
        )
    if not path.exists():
        return RecordFileError(f"{path}: there is no such file; give a recording, such as record.hea.")
    names = "; ".join(known.name for known in FORMATS)
    return RecordFileError(
        f"{path}: the content is of no known format; read are {names}; and gzip or zip of these."
    )
