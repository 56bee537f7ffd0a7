"""Published checksums: is what was downloaded what was published?

A list is read once for a data set, each recording carries the sums of its own files, and they are compared in
the process that reads it, just before it does: a file that was cut off or changed is quarantined with its
reason, and the others are prepared.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from anylead.errors import RecordFileError
from anylead.sources.base import RecordRef, Source
from anylead.sources.packed_refs import PackedRefs

_LINE = re.compile(r"(?P<sum>[0-9a-fA-F]{64})\s+\*?(?P<path>.+)")

PublishedSums = Mapping[str, Mapping[str, str]]
"""Path below the data set without its last suffix -> suffix -> SHA-256 in lower case."""


def scan_checked(source: Source, root: Path) -> Sequence[RecordRef]:
    """Finds the recordings of a data set, with the checksums that were published for their files.

    Raises:
        RecordFileError: If the layout is not that of the data set, or a table is not the published one.
    """
    sums = read_sums(root, source.facts.checksums)
    check_tables(root, source.facts.checksums, sums)
    return attach_sums(source.scan(root), root, sums)


def read_sums(root: Path, name: str) -> PublishedSums:
    """Reads the published list of a data set; empty where it publishes none or the list was not downloaded.

    Args:
        root: Folder of the data set.
        name: Of the list, such as ``SHA256SUMS.txt``; empty for none.

    Raises:
        RecordFileError: If a line is not a sum and a path.
    """
    path = root / name
    if not name or not path.is_file():
        return {}
    found: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(map(str.strip, file), start=1):
            match = _LINE.fullmatch(line)
            if match is not None:
                stem, suffix = _parts(PurePosixPath(match["path"]))
                found.setdefault(stem, {})[suffix] = match["sum"].lower()
            elif line:
                raise RecordFileError(
                    f"{path}: line {number} is not a SHA-256 sum and a path; download the list again."
                )
    return found


def check_tables(root: Path, name: str, sums: PublishedSums) -> None:
    """Compares the CSV tables in the folder of a data set with the published list.

    They decide who the patients are and what every recording shows, so a changed one is not quarantined.

    Args:
        root: Folder of the data set.
        name: Of the list, for the error.
        sums: As `read_sums` gives them.

    Raises:
        RecordFileError: If a table is not the published one.
    """
    for stem, by_suffix in sums.items():
        table = root / f"{stem}.csv"
        if "/" not in stem and ".csv" in by_suffix and table.is_file():
            _compare(table, by_suffix[".csv"], f"delete {name} if you changed it on purpose")


def attach_sums(refs: Sequence[RecordRef], root: Path, sums: PublishedSums) -> Sequence[RecordRef]:
    """Returns the references with the published sums of their files."""
    if not sums:
        return refs
    return PackedRefs(replace(ref, sha256=sums.get(_stem_of(ref.path, root), {})) for ref in refs)


def check_recording(ref: RecordRef) -> None:
    """Compares the files of a recording with their published sums; one that is absent is left to `load`.

    Raises:
        RecordFileError: If a file is not the published one.
    """
    stem = ref.path.with_suffix("") if ref.path.suffix in ref.sha256 else ref.path
    for suffix, expected in ref.sha256.items():
        path = stem.with_name(f"{stem.name}{suffix}")
        if path.is_file():
            _compare(path, expected, "the recording is left out")


def _parts(path: PurePosixPath) -> tuple[str, str]:
    return path.with_suffix("").as_posix(), path.suffix


def _stem_of(path: Path, root: Path) -> str:
    """Returns the path of a recording below the data set, without a suffix that its reference may carry."""
    relative = PurePosixPath(path.relative_to(root).as_posix())
    return _parts(relative)[0] if relative.suffix in (".h5", ".hdf5") else relative.as_posix()


def _compare(path: Path, expected: str, otherwise: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise RecordFileError(
            f"{path}: its SHA-256 is {actual[:12]}... and the published one {expected[:12]}..., so it was "
            f"cut off or changed; download it again ({otherwise})."
        )
