"""Which files of a folder and its subfolders are recordings, whatever their format.

Parts of a recording are none of their own: the data files and segments that a WFDB header names, and
sidecars. Hidden files and folders do not count, and neither do stores, whose tables would be taken for
recordings.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anylead.errors import RecordFileError
from anylead.formats.delimited import SUFFIXES
from anylead.formats.wfdb import header_path
from anylead.formats.wfdb_header import WfdbHeader, read_header

_DESCRIBED = (*SUFFIXES, ".parquet", ".npy")
_PACKED = (".gz", ".gzip")
_OF_A_STORE = frozenset({"store.json", "preparing.json"})


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds."""

    files: tuple[str, ...]
    """Paths of every file that is no part of another one, sorted as paths are; not all need be recordings. As
    text, which takes a fifth of the memory of path objects."""
    headers: Mapping[str, WfdbHeader | None]
    """The WFDB headers among `files`, without their paths and signals; None for one that cannot be
    understood."""


def look_through(folder: Path, *, ignore: Path | None = None) -> Folder:
    """Lists a folder and reads its WFDB headers, and no other content.

    Args:
        folder: Where the recordings are.
        ignore: A folder below it that does not count.

    Raises:
        RecordFileError: If a folder may not be read, whose recordings would be lost without a word.
    """
    found = sorted(_files(folder, None if ignore is None else os.path.realpath(ignore)), key=_by_parts)
    headers: dict[str, WfdbHeader | None] = {}
    parts: set[str] = set()
    for path in found:
        if path.lower().endswith(".hea"):
            header = _header(Path(path))
            if header is not None:
                parts.update(os.path.join(os.path.dirname(path), name) for name in _named_by(header))
                # What is not asked for later is let go: there may be a million of them.
                header = replace(header, path=folder, signals=(), parts=())
            headers[path] = header
    files = tuple(path for path in found if path not in parts and not _is_beside_another(Path(path)))
    return Folder(files=files, headers={path: headers[path] for path in files if path in headers})


def _by_parts(path: str) -> str:
    """Returns a key by which a folder's files stand together, as path objects sort them."""
    return path.replace(os.sep, "\0")


def _files(folder: Path, ignored: str | None) -> Iterator[str]:
    for name, folders, files in os.walk(folder, onerror=_refuse):
        if _OF_A_STORE.intersection(files) or os.path.realpath(name) == ignored:
            folders.clear()
            continue
        folders[:] = [one for one in folders if not one.startswith(".")]
        places = (os.path.join(name, one) for one in files if not one.startswith("."))
        yield from filter(os.path.isfile, places)


def _refuse(error: OSError) -> None:
    raise RecordFileError(
        f"{error.filename}: the folder cannot be read ({error.strerror or error}); ask for the right to read "
        "it, or move it out of the folder that was given."
    ) from error


def _header(path: Path) -> WfdbHeader | None:
    try:
        return read_header(path)
    except RecordFileError:
        return None  # whoever reads the recording is told


def _named_by(header: WfdbHeader) -> Iterator[str]:
    """Returns the names of the files that a header needs beside it."""
    names = [*(f"{name}.hea" for name, _ in header.parts), *(line.file for line in header.signals)]
    return (name for name in names if name != header.path.name and Path(name).name == name)


def _is_beside_another(path: Path) -> bool:
    """Says whether a file is the sidecar of a table, an array or an archive, or the data of a header."""
    if path.suffix.lower() == ".json":
        packed = [f"{suffix}{around}" for suffix in _DESCRIBED for around in _PACKED]
        return any(path.with_suffix(suffix).is_file() for suffix in (*_DESCRIBED, *packed, ".zip"))
    header = header_path(path)
    return path.suffix.lower() in (".dat", ".mat") and header is not None and header != path
