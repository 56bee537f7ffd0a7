"""A data set elsewhere: what a scan needs is fetched once, signals shard by shard.

`Source.scan` opens headers and tables and no signals. So it is given a folder in which signal files are empty
stand-ins of the right size, which also has the fingerprint of a full copy; the files of a shard's recordings
are fetched by the process that makes the shard, and removed with it.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from anylead.errors import RecordFileError
from anylead.sources.base import RecordRef
from anylead.sources.wfdb_tree import header_or_none
from anylead.store.addresses import locate, open_address, reaching, told_as

SIGNALS = (".dat", ".mat", ".xyz", ".h5", ".hdf5")
"""Suffixes of files that scans do not open, but for those of `Source.opened_by_scan`; of WFDB and of HDF5."""


@dataclass(frozen=True, kw_only=True)
class RemoteFiles:
    """The files of some recordings of a data set elsewhere, on their way to the process that reads them."""

    address: str
    """Of the data set."""
    scanned: Path
    """The folder that was scanned in its place, to which the references point."""
    names: tuple[str, ...]
    """Below the address."""

    @contextmanager
    def brought(self, refs: Sequence[RecordRef]) -> Iterator[tuple[Sequence[RecordRef], Path]]:
        """Fetches the files into a folder that is removed at the end.

        Yields:
            The references, pointing into the folder, and the folder.

        Raises:
            FileError: If a file cannot be fetched.
        """
        with tempfile.TemporaryDirectory(prefix="anylead-") as made:
            folder = Path(made) / self.scanned.name
            _fetch(self.address, self.names, folder)
            yield [replace(ref, path=folder / ref.path.relative_to(self.scanned)) for ref in refs], folder


@dataclass(frozen=True, kw_only=True)
class RemoteTree:
    """A data set elsewhere, as it was listed."""

    address: str
    folder: Path
    """What stands for it on this machine while it is scanned."""
    stems: Mapping[str, Sequence[str]]
    """Path without suffix -> names of files."""

    def files_of(self, refs: Sequence[RecordRef]) -> RemoteFiles:
        """Returns what reading recordings needs: files of their name, sidecars, and what headers name."""
        found: dict[str, None] = {}
        for ref in refs:
            found |= dict.fromkeys(self._files(ref.path.relative_to(self.folder).as_posix()))
        return RemoteFiles(address=self.address, scanned=self.folder, names=tuple(found))

    def _files(self, record: str, *, segments: bool = True) -> list[str]:
        if not self._named(record):
            record = record.partition("::")[0]  # one of several recordings of a file
        found = [*self._named(record), *self._sidecars(record), *self.stems.get(record, ())]
        header = header_or_none(self.folder / f"{record}.hea") if f"{record}.hea" in found else None
        if header is not None:
            beside = PurePosixPath(record).parent
            for line in header.signals:
                found += self._named((beside / line.file).as_posix())
            for part, _ in header.parts if segments else ():
                found += self._files((beside / part).as_posix(), segments=False)
        return found

    def _sidecars(self, name: str) -> list[str]:
        """Returns those of a file or of what is packed in it: ``x.json`` of ``x.csv`` and of ``x.csv.gz``."""
        outer = PurePosixPath(name).with_suffix("")
        return [found for stem in (outer, outer.with_suffix("")) for found in self._named(f"{stem}.json")]

    def _named(self, name: str) -> list[str]:
        return [name] if name in self.stems.get(PurePosixPath(name).with_suffix("").as_posix(), ()) else []


@contextmanager
def reached_tree(
    root: Path | str | None, *, ignore: Path | str, opened: Sequence[str] = ()
) -> Iterator[tuple[Path | None, RemoteTree | None]]:
    """Yields the folder to scan for a data set, and the data set where it is elsewhere.

    Args:
        root: Folder or address of the data set; None for a source without files.
        ignore: Folder or address that does not count where it is below it.
        opened: As `Source.opened_by_scan`.

    Raises:
        ConfigError: If a package is missing that reads such addresses.
        RecordFileError: If there are no files, or a name leads out of the folder.
        FileError: If it cannot be reached.
    """
    place = None if root is None else locate(root)
    if not isinstance(place, str):
        yield place, None
        return
    with tempfile.TemporaryDirectory(prefix="anylead-") as made:
        folder = Path(made).resolve() / _name(place)
        with told_as({folder: place}):
            signals = tuple(suffix for suffix in SIGNALS if suffix not in opened)
            yield folder, _mirror(place, folder, ignore, signals)


def _mirror(address: str, folder: Path, ignore: Path | str, signals: tuple[str, ...]) -> RemoteTree:
    sizes = _list(address, ignore)
    folder.mkdir(parents=True)
    stems: dict[str, list[str]] = {}
    for name, size in sizes.items():
        stems.setdefault(PurePosixPath(name).with_suffix("").as_posix(), []).append(name)
        if name.endswith(signals):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
            os.truncate(folder / name, size)
    _fetch(address, [name for name in sizes if not name.endswith(signals)], folder)
    return RemoteTree(address=address, folder=folder, stems=stems)


def _list(address: str, ignore: Path | str) -> dict[str, int]:
    """Returns the names and sizes of the files below an address, hidden ones left out as everywhere."""
    files, folder = open_address(address)
    with reaching(address):
        found = files.find(folder, detail=True)
    out = locate(ignore)
    ignored = open_address(out)[1] + "/" if isinstance(out, str) else None
    sizes = {}
    for path, facts in sorted(found.items()):
        if ignored is not None and path.startswith(ignored):
            continue
        name = path[len(folder) :].lstrip("/")
        parts = PurePosixPath(name).parts
        if ".." in parts or "\\" in name or (not folder and path.startswith("/")):
            raise RecordFileError(
                f"{address}: the name {path!r} leads out of the folder; use the data set as published."
            )
        if parts and not any(part.startswith(".") for part in parts):
            sizes[name] = int(facts["size"])
    if not sizes:
        raise RecordFileError(
            f"{address}: there are no files, or it is no folder; give the address of the data set's folder."
        )
    return sizes


def _fetch(address: str, names: Sequence[str], folder: Path) -> None:
    files, root = open_address(address)
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / name for name in names]
    for parent in {target.parent for target in targets}:
        parent.mkdir(parents=True, exist_ok=True)
    if names:
        with reaching(address):
            files.get([f"{root}/{name}" if root else name for name in names], [str(path) for path in targets])


def _name(address: str) -> str:
    """Returns the name that a copy of the folder would have: some sources make ids of it."""
    first, *rest = (part.rpartition("://")[2].strip("/") for part in address.split("::"))
    return PurePosixPath(first).name or (PurePosixPath(rest[0]).stem if rest else "") or "data"
