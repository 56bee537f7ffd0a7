"""gzip and zip around any other format: what is needed is unpacked into a temporary folder, within bounds.

An archive is input of unknown origin: names that lead out of it, links, encrypted members and contents out of
proportion to their packed size are refused.
"""

import gzip
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from anylead.errors import ConfigError, RecordFileError
from anylead.formats.base import HEAD_BYTES

MAXIMUM_BYTES = 2**30
"""How much is unpacked at most."""
MAXIMUM_RATIO = 100
"""How many bytes one packed byte may become, beyond `FREE_BYTES`; a flat line packs about as well."""
FREE_BYTES = 2**26
"""How much may be unpacked whatever the ratio."""

_GZIP_MARK = b"\x1f\x8b"
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_CHUNK_BYTES = 2**20
_MAXIMUM_HEADER_BYTES = 2**20


def is_packed(head: bytes) -> bool:
    """Says whether a file begins as gzip or zip does."""
    return head.startswith((_GZIP_MARK, *_ZIP_MARKS))


@contextmanager
def unpacked(path: Path, head: bytes, item: str | None) -> Iterator[tuple[Path, str | None]]:
    """Unpacks one recording while the context lasts.

    Args:
        path: A file of gzip or zip.
        head: Its beginning.
        item: In a zip that holds several recordings, the name of one, and after another ``::`` its own item.

    Yields:
        The unpacked file, beside what belongs to it, and what of `item` is left for its reader.

    Raises:
        RecordFileError: If the archive is broken, unsafe, too large, or does not hold the one file asked for.
    """
    with tempfile.TemporaryDirectory(prefix="anylead-") as name:
        folder = Path(name)
        try:
            if head.startswith(_GZIP_MARK):
                inner, left = _gunzip(path, folder), item
            else:
                inner, left = _unzip(path, folder, item)
        except RecordFileError:
            raise
        except _BROKEN as error:
            raise _cannot_be_unpacked(path, error) from error
        _add_sidecar(path, inner)
        try:
            yield inner, left
        except (RecordFileError, ConfigError) as error:
            told = str(error).replace(str(folder / "_")[:-1], f"{path}::")
            raise type(error)(told) from error


def list_members(path: Path, head: bytes) -> tuple[str, ...]:
    """Returns the names of the recordings of a zip; of gzip, which has one without a name, an empty one.

    Raises:
        RecordFileError: If the archive is broken or unsafe.
    """
    if head.startswith(_GZIP_MARK):
        return ("",)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            for info in infos:
                _check_member(path, info)
            names = list(dict.fromkeys(info.filename for info in infos))
            headers = [name for name in names if PurePosixPath(name).suffix.lower() == ".hea"]
            parts = {name for header in headers for name in _needed(archive, header)[1:]}
    except RecordFileError:
        raise
    except _BROKEN as error:
        raise _cannot_be_unpacked(path, error) from error
    return tuple(name for name in names if name not in parts and _is_recording(name, names))


def peek(path: Path, head: bytes, member: str) -> bytes:
    """Returns the beginning of what is packed.

    Args:
        path: A file of gzip or zip.
        head: Its beginning.
        member: As `list_members` names it.

    Raises:
        RecordFileError: If the archive is broken.
    """
    try:
        if head.startswith(_GZIP_MARK):
            with gzip.open(path) as packed:
                return packed.read(HEAD_BYTES)
        with zipfile.ZipFile(path) as archive, archive.open(member) as inner:
            return inner.read(HEAD_BYTES)
    except _BROKEN as error:
        raise _cannot_be_unpacked(path, error) from error


def _cannot_be_unpacked(path: Path, error: Exception) -> RecordFileError:
    return RecordFileError(
        f"{path}: the archive cannot be unpacked ({type(error).__name__}: {error}); pack it again."
    )


def _gunzip(path: Path, folder: Path) -> Path:
    inner = folder / (path.stem if path.suffix.lower() in {".gz", ".gzip"} else path.name)
    with gzip.open(path) as packed:
        _copy(packed.read, inner, path, limit=_limit(path.stat().st_size))
    return inner


def _unzip(path: Path, folder: Path, item: str | None) -> tuple[Path, str | None]:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        for info in archive.infolist():
            _check_member(path, info)
        wanted, _, left = (item or "").partition("::")
        member = _member(path, list(members), wanted)
        needed = [members[name] for name in _needed(archive, member)]
        limit = _limit(sum(info.compress_size for info in needed))
        for info in needed:
            with archive.open(info) as packed:
                limit -= _copy(packed.read, folder / PurePosixPath(info.filename).name, path, limit=limit)
    return folder / PurePosixPath(member).name, left or None


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise RecordFileError(f"{path}: member {info.filename!r} lies outside the archive; do not trust it.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise RecordFileError(f"{path}: member {info.filename!r} is a link; pack the file itself.")
    if info.flag_bits & 1:
        raise RecordFileError(f"{path}: member {info.filename!r} is encrypted; unpack it with its password.")


def _member(path: Path, names: list[str], wanted: str) -> str:
    """Returns the member that was asked for, or the only recording there is."""
    if wanted:
        found = [name for name in (wanted, f"{wanted}.hea", _header_of(wanted)) if name in names]
        if found:
            return _header_of(found[0]) if _header_of(found[0]) in names else found[0]
        raise RecordFileError(f"{path}: there is no member {wanted}; it holds {_some(names)}.")
    recordings = [name for name in names if _is_recording(name, names)]
    if len(recordings) != 1:
        example = (recordings or names or ["record.hea"])[0]
        raise RecordFileError(
            f"{path}: the archive holds {len(recordings)} recordings ({_some(recordings)}); name one, as in "
            f"{path.name}::{example}."
        )
    return recordings[0]


def _is_recording(name: str, names: list[str]) -> bool:
    pure = PurePosixPath(name)
    if pure.parts[0] == "__MACOSX" or pure.name.startswith(".") or pure.suffix.lower() == ".json":
        return False
    return _header_of(name) == name or _header_of(name) not in names


def _header_of(name: str) -> str:
    """Returns the WFDB header that belongs to a data file; any other name stays as it is."""
    is_data = PurePosixPath(name).suffix.lower() in {".dat", ".mat"}
    return str(PurePosixPath(name).with_suffix(".hea")) if is_data else name


def _needed(archive: zipfile.ZipFile, member: str) -> list[str]:
    """Returns a member and those beside it that it names: a sidecar; of a WFDB header, data and segments."""
    names = set(archive.namelist())
    needed = dict.fromkeys([member])
    pending = [member]
    while pending:
        pure = PurePosixPath(pending.pop())
        beside = [f"{pure.stem}.json"]
        if pure.suffix.lower() == ".hea":
            with archive.open(str(pure)) as packed:
                lines = packed.read(_MAXIMUM_HEADER_BYTES).decode("latin-1").splitlines()
            words = [line.split()[0] for line in lines if line.strip()]
            beside = [*words, *(f"{word}.hea" for word in words)]
        found = [
            name
            for name in dict.fromkeys(str(pure.with_name(w)) for w in beside if _is_plain(w))
            if name in names and name not in needed
        ]
        needed.update(dict.fromkeys(found))
        pending += found
    return list(needed)


def _is_plain(name: str) -> bool:
    return PurePosixPath(name).name == name and name not in {"", ".", ".."}


def _limit(packed_bytes: int) -> int:
    return min(MAXIMUM_BYTES, max(FREE_BYTES, MAXIMUM_RATIO * packed_bytes))


def _copy(read: Callable[[int], bytes], target: Path, path: Path, *, limit: int) -> int:
    """Unpacks a file, and no more of it than the limit; returns its size."""
    size = 0
    with target.open("wb") as file:
        while chunk := read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise RecordFileError(
                    f"{path}: what is packed is larger than {limit} bytes, the most that is unpacked "
                    "for a file of this size; unpack it yourself if you trust it."
                )
            file.write(chunk)
    return size


def _add_sidecar(path: Path, inner: Path) -> None:
    """Puts the sidecar of an archive beside what it held, which may have brought its own."""
    outer = path.with_suffix("") if path.suffix.lower() in {".gz", ".gzip"} else path
    sidecar, target = outer.with_suffix(".json"), inner.with_suffix(".json")
    if sidecar.is_file() and not target.exists():
        shutil.copyfile(sidecar, target)


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "") if names else "none"
