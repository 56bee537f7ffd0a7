"""What lies below a folder, or in a table, as a fingerprint."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from anylead.errors import RecordFileError


def listing_fingerprint(root: Path | None, *, ignore: Path | None = None) -> str:
    """Returns 16 hexadecimal digits of the names and sizes of all files below a folder.

    Times don't enter, so a copy of a data set has the same fingerprint; a change that keeps a
    file's size is not seen. Hidden files and folders don't count.

    Args:
        root: The folder; None, or one that does not exist, has no files. Of a file, its content counts.
        ignore: A folder below it that does not count.

    Raises:
        RecordFileError: If a folder or the file may not be read.
    """
    digest = hashlib.sha256()
    try:
        if root is not None and root.is_file():
            digest.update(root.read_bytes())
        elif root is not None:
            ignored = None if ignore is None else os.path.realpath(ignore)
            for name, size in _files(os.path.realpath(root), "", ignored):
                digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise RecordFileError(
            f"{error.filename or root}: cannot be read ({error.strerror or error}); ask for the right to "
            "read it, or move it out of the data set."
        ) from error
    return digest.hexdigest()[:16]


def _files(folder: str, prefix: str, ignored: str | None) -> Iterator[tuple[str, int]]:
    if not os.path.isdir(folder) or folder == ignored:
        return
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda e: e.name)
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path, f"{prefix}{entry.name}/", ignored)
        elif entry.is_file():
            yield f"{prefix}{entry.name}", entry.stat().st_size
