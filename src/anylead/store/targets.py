"""Where a store is made: in a folder of this machine, or elsewhere shard by shard."""

import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from anylead.errors import ConfigError, StoreError
from anylead.store.addresses import locate, open_address, reaching, told_as
from anylead.store.layout import MANIFEST, PREPARING, SHARDS, TWIN, shard_path
from anylead.store.shards import Rejection, Shard, read_facts

_READ_ONLY = {"zip", "tar", "libarchive", "http", "https", "github", "git", "reference", "data"}
_WHOLE_PUTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}
"""Where a file that is put appears whole or not at all; elsewhere it is put under another name and moved."""


class Target(ABC):
    """A store in the making. Its manifest, index and list of rejected files are made in `folder`."""

    folder: Path

    @abstractmethod
    def shard(self, number: int) -> Path | str:
        """Returns the path or the address of a shard, for `anylead.store.task.prepare_shard`."""

    @abstractmethod
    def whole(self) -> set[int]:
        """Returns the numbers of the shards that are there."""

    @abstractmethod
    def read(self, number: int) -> tuple[pa.Table, list[Rejection]]:
        """Returns what a shard says of its recordings, and what could not be used."""

    @abstractmethod
    def claim(self) -> None:
        """Makes the claim in the folder known, where there is one, and removes what a kill has left."""

    @abstractmethod
    def publish(self) -> None:
        """Makes the finished files in the folder known, the manifest last, and takes back the claim."""

    @abstractmethod
    def abandon(self) -> None:
        """Takes back the claim where no shard has been made."""

    @abstractmethod
    def remove_shards(self) -> None:
        """Removes all shards."""


class LocalTarget(Target):
    """A store that is made in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._interrupted = (folder / PREPARING).exists()

    def shard(self, number: int) -> Path:
        """Returns the file of a shard."""
        return shard_path(self.folder, number)

    def whole(self) -> set[int]:
        """Returns the numbers of the shards that can be read."""
        names = (self.folder / SHARDS).glob("shard-*.arrow")
        return {_number(path.name) for path in names if _is_whole(path)}

    def read(self, number: int) -> tuple[pa.Table, list[Rejection]]:
        """Returns what a shard says of its recordings, and what could not be used."""
        shard = Shard(self.shard(number))
        return shard.facts(), shard.rejections()

    def claim(self) -> None:
        """Removes what a kill has left of shards and other files."""
        if self._interrupted:
            for folder in (self.folder, self.folder / SHARDS):
                for leftover in folder.glob(".*.partial"):
                    leftover.unlink(missing_ok=True)

    def publish(self) -> None:
        """Takes back the claim."""
        (self.folder / PREPARING).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Takes back the claim where no shard has been made."""
        if not any((self.folder / SHARDS).glob("*.arrow")):
            (self.folder / PREPARING).unlink(missing_ok=True)
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def remove_shards(self) -> None:
        """Removes all shards."""
        shutil.rmtree(self.folder / SHARDS)


class RemoteTarget(Target):
    """A store that is made elsewhere: shards go there one by one, the rest when all is there."""

    def __init__(self, address: str, folder: Path) -> None:
        self.folder = folder
        self._address = address.rstrip("/")
        if "::" in address or address.partition("://")[0] in _READ_ONLY:
            raise ConfigError(
                f"{address}: a store cannot be written there; give --out a folder or a bucket instead."
            )
        self._files, self._root = open_address(address)
        with reaching(address):
            there = {path[len(self._root) + 1 :] for path in self._files.find(self._root)}
            told = there & {MANIFEST, PREPARING}
            for name in told:
                self._files.get_file(self._at(name), str(folder / name))
            if len(told) == 2:
                self._take_back()  # killed after the last file was put there
            if there and not told:
                (folder / min(there).partition("/")[0]).touch()  # `StorePlan.begin` refuses other files

    def shard(self, number: int) -> str:
        """Returns the address of a shard."""
        return f"{self._address}/{shard_path(Path(), number).as_posix()}"

    def whole(self) -> set[int]:
        """Returns the numbers of the shards that end as a shard does."""
        with reaching(self._address):
            return {
                _number(path) for path in self._shards(".arrow") if self._files.tail(path, 6) == b"ARROW1"
            }

    def read(self, number: int) -> tuple[pa.Table, list[Rejection]]:
        """Returns what a shard says; its signals are not fetched."""
        with (
            reaching(self._address),
            self._files.open(self._at(shard_path(Path(), number).as_posix()), "rb", block_size=2**18) as file,
        ):
            return read_facts(file, self.shard(number))

    def claim(self) -> None:
        """Puts the claim there, and removes what a kill has left of shards."""
        if (self.folder / PREPARING).exists():
            self._put(PREPARING)
        with reaching(self._address):
            for path in self._shards(".partial"):
                self._files.rm_file(path)

    def publish(self) -> None:
        """Puts the finished files there, the manifest last, and takes back the claim."""
        for path in sorted(self.folder.iterdir()):
            if path.name not in (MANIFEST, PREPARING, TWIN) and path.is_file():  # each reader makes the twin
                self._put(path.name)
        self._put(MANIFEST)
        self._take_back()

    def abandon(self) -> None:
        """Takes back the claim where no shard has been made."""
        if not self._shards(".arrow"):
            self._take_back()

    def remove_shards(self) -> None:
        """Removes all shards."""
        with reaching(self._address):
            self._files.rm(self._at(SHARDS), recursive=True)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _shards(self, suffix: str) -> list[str]:
        with reaching(self._address):
            self._files.invalidate_cache()
            return [path for path in self._files.find(self._at(SHARDS)) if path.endswith(suffix)]

    def _put(self, name: str) -> None:
        put_whole(self.folder / name, f"{self._address}/{name}")

    def _take_back(self) -> None:
        with reaching(self._address):
            if self._files.exists(self._at(PREPARING)):
                self._files.rm_file(self._at(PREPARING))


@contextmanager
def reached_target(out: Path | str) -> Iterator[Target]:
    """Yields where a store is to be made.

    Raises:
        ConfigError: If a package is missing for such addresses, or nothing can be written there.
        FileError: If it cannot be reached.
    """
    place = locate(out)
    if isinstance(place, Path):
        yield LocalTarget(place)
        return
    with tempfile.TemporaryDirectory(prefix="anylead-") as made:
        folder = Path(made)
        with told_as({folder: place}):
            yield RemoteTarget(place, folder)


def put_whole(path: Path, address: str) -> None:
    """Copies a file to an address, where it appears whole or not at all.

    Raises:
        ConfigError: If a package is missing for such addresses.
        FileError: If it cannot be written.
    """
    files, target = open_address(address)
    with reaching(address):
        if _protocols(files) & _WHOLE_PUTS:
            files.put_file(str(path), target)
            return
        parent, _, name = target.rpartition("/")
        files.makedirs(parent, exist_ok=True)
        temporary = f"{parent}/.{name}.{uuid.uuid4().hex}.partial"
        files.put_file(str(path), temporary)
        if files.exists(target):
            files.rm_file(target)
        files.mv(temporary, target)


def _protocols(files: Any) -> set[str]:
    return {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)


def _number(name: str) -> int:
    return int(name.rpartition("shard-")[2].removesuffix(".arrow"))


def _is_whole(path: Path) -> bool:
    try:
        Shard(path)
    except StoreError:
        return False
    return True
