"""From an upload to a Record, through a private folder in which every name is ours.

What a client calls its files is used in memory only: to tell a table from a header, and which data file a
WFDB header means. Zip archives are opened here for the same reason. Nothing uploaded is run or unpickled.
"""

import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import read
from anylead.record import Record

SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".json", ".npy", ".parquet", ".hdf5", ".h5"),
    *(".edf", ".bdf", ".dcm", ".xml", ".ecg", ".scp", ".hea", ".dat", ".mat", ".gz"),
)
"""Endings of names that a reader may see; any other is left out, and the content tells the format."""
MAXIMUM_PARTS = 64
"""Files of one recording."""

_CHUNK_BYTES = 2**20
_HEADER_BYTES = 2**20
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One uploaded file."""

    name: str
    """What the client calls it."""
    file: Any
    """Open, binary; it can be sought in."""


def read_upload(
    parts: Sequence[Part],
    *,
    fs: float | None = None,
    unit: str | None = None,
    leads: str | None = None,
    most_bytes: int = 256 * 2**20,
) -> Record:
    """Reads the files of one recording.

    Args:
        parts: A file of any format, a zip of one, the files of a WFDB record, or a table and its sidecar.
        fs: Sampling rate in Hz, of a file that does not say it.
        unit: Unit of voltage, likewise.
        leads: Names of the leads with commas between, likewise.
        most_bytes: Most that a zip may become.

    Returns:
        The recording, called ``upload``.

    Raises:
        RecordFileError: If it cannot be read; the message names no path of this machine.
        ConfigError: If its format needs a package that is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="anylead-upload-") as name:
        folder = Path(name)
        try:
            main = _write(parts, folder, most_bytes)
            return read(main, fs=fs, unit=unit, leads=leads)
        except (RecordFileError, ConfigError) as error:
            told = str(error.args[0]).replace(f"{folder}/", "").replace(str(folder), "upload")
            raise type(error)(told) from None


def _write(parts: Sequence[Part], folder: Path, most_bytes: int) -> Path:
    """Writes the files under names of ours; returns the one to read."""
    with _members(parts) as files:
        names = _our_names([part.name for part in files])
        left = most_bytes
        for part in files:
            left -= _copy(part.file, folder / names[part.name], left)
            _refuse_archive(folder / names[part.name], inner=files is not parts)
    headers = [name for name in names.values() if name.endswith(".hea")]
    for header in headers:
        _rename_inside(folder / header, names)
    return folder / (_main_header(folder, headers) if headers else _only_recording(list(names.values())))


@contextmanager
def _members(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Yields the parts, or what is in the one zip that they are."""
    head = parts[0].file.read(4) if len(parts) == 1 else b""
    parts[0].file.seek(0)
    if head not in _ZIP_MARKS:
        yield parts
        return
    try:
        with zipfile.ZipFile(parts[0].file) as archive:
            infos = [info for info in archive.infolist() if _counts(info.filename) and not info.is_dir()]
            if not 1 <= len(infos) <= MAXIMUM_PARTS:
                raise RecordFileError(
                    f"upload: the zip holds {len(infos)} files; pack those of one recording."
                )
            yield [Part(name=info.filename, file=archive.open(info)) for info in infos]
    except RecordFileError:
        raise
    except _BROKEN as error:
        raise RecordFileError(
            f"upload: the zip cannot be unpacked ({type(error).__name__}); pack it again."
        ) from error


def _counts(name: str) -> bool:
    """Says whether a member is no addition of a file manager."""
    pure = PurePosixPath(name)
    return bool(pure.parts) and pure.parts[0] != "__MACOSX" and not pure.name.startswith(".")


def _copy(source: Any, target: Path, limit: int) -> int:
    size = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise RecordFileError("upload: the content is larger than is accepted; send a part of it.")
            file.write(chunk)
    return size


def _refuse_archive(path: Path, *, inner: bool) -> None:
    with path.open("rb") as file:
        head = file.read(4)
    if head in _ZIP_MARKS or (inner and head[:2] == b"\x1f\x8b"):
        raise RecordFileError("upload: this is an archive in an archive, or beside other files; unpack it.")


def _our_names(given: Sequence[str]) -> dict[str, str]:
    """Returns what each file is called here: files of one stem keep one stem."""
    stems: dict[str, str] = {}
    names: dict[str, str] = {}
    for name in given:
        base = PurePosixPath(name.replace("\\", "/")).name
        ending = _ending(base)
        stem = stems.setdefault(base[: len(base) - len(ending)], f"upload{len(stems) or ''}")
        if name in names or f"{stem}{ending.lower()}" in names.values():
            raise RecordFileError("upload: two files have the same name; send each file once.")
        names[name] = f"{stem}{ending.lower()}"
    return names


def _ending(base: str) -> str:
    """Returns the suffix of a name, two before ``.gz``, if it is on the list."""
    suffixes = PurePosixPath(base).suffixes
    last = suffixes[-1] if suffixes and suffixes[-1].lower() in SUFFIXES else ""
    if last.lower() == ".gz" and len(suffixes) > 1 and suffixes[-2].lower() in SUFFIXES:
        return suffixes[-2] + last
    return last


def _rename_inside(header: Path, names: dict[str, str]) -> None:
    """Writes our names into a WFDB header, which may name no file but those sent along.

    Raises:
        RecordFileError: If it names another one.
    """
    if header.stat().st_size > _HEADER_BYTES:
        raise RecordFileError("upload: the WFDB header is too large; send the header of one record.")
    ours = {PurePosixPath(name.replace("\\", "/")).name: our for name, our in names.items()}
    ours |= {name[:-4]: our[:-4] for name, our in ours.items() if our.endswith(".hea")}
    lines = header.read_bytes().decode("latin-1").splitlines()
    places = [place for place, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    for place in places:
        word, space, rest = lines[place].lstrip().partition(" ")
        if place == places[0]:
            lines[place] = f"{header.stem}{word[len(word.partition('/')[0]) :]}{space}{rest}"
        elif word in ours:
            lines[place] = f"{ours[word]}{space}{rest}"
        elif word != "~":
            raise RecordFileError(
                "upload: the WFDB header names a file that was not sent; send all files of the record."
            )
    header.write_bytes("\n".join([*lines, ""]).encode("latin-1"))


def _main_header(folder: Path, headers: Sequence[str]) -> str:
    """Returns the header that no other one names as a segment."""
    named = {
        line.split(maxsplit=1)[0]
        for header in headers
        for line in (folder / header).read_text("latin-1").splitlines()[1:]
        if line.strip()
    }
    main = [header for header in headers if header.removesuffix(".hea") not in named]
    if len(main) != 1:
        raise RecordFileError(f"upload: these are {len(main)} WFDB records; send the files of one.")
    return main[0]


def _only_recording(names: Sequence[str]) -> str:
    found = [name for name in names if not name.endswith(".json")]
    if len(found) != 1:
        raise RecordFileError(
            f"upload: these are {len(found)} recordings; send one, with its sidecar if any."
        )
    return found[0]
