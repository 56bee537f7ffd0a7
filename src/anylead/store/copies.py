"""A store elsewhere, read through a folder of this machine: the index at once, each shard when it is used.

Shards are memory-mapped, so they have to be files here.
"""

import hashlib
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from anylead.provenance import atomic_path, write_json
from anylead.store.addresses import locate, open_address, reaching, told_as
from anylead.store.layout import MANIFEST, PREPARING, SHARDS, TWIN
from anylead.store.manifest import StoreManifest, read_json

CACHE = "ANYLEAD_CACHE"
"""Variable that names the folder for copies; without it they are in the user's cache folder."""
ORIGIN = "origin.json"
"""File of a copy that says where the store is."""


def local_copy(path: str | Path) -> Path:
    """Returns the folder of a store; of one elsewhere, a folder with all of it but the shards.

    The folder above it is named after the manifest, so another store at the same address has another.

    Raises:
        ConfigError: If a package is missing that reads such addresses.
        StoreError: If there is no store, or an unfinished one.
        FileError: If it cannot be reached, or the copy cannot be written.
    """
    place = locate(path)
    if isinstance(place, Path):
        return place
    files, root = open_address(place)
    with reaching(place):
        found = files.find(root, detail=True)
    sizes = {name[len(root) + 1 :]: int(facts["size"]) for name, facts in found.items()}
    with tempfile.TemporaryDirectory(prefix="anylead-") as made, told_as({Path(made): place}):
        for name in sizes.keys() & {MANIFEST, PREPARING}:
            _fetch(place, name, Path(made))
        manifest = StoreManifest.read(Path(made))
        digest = hashlib.sha256((Path(made) / MANIFEST).read_bytes()).hexdigest()
    # Reports name stores by their folder.
    folder = _cache() / "stores" / f"{manifest.fingerprint}-{digest[:16]}" / PurePosixPath(root).name
    for name, size in sizes.items():
        there = folder / name
        if (
            "/" not in name
            and name not in (PREPARING, TWIN)
            and not (there.is_file() and there.stat().st_size == size)
        ):
            _fetch(place, name, folder)
    shards = sorted(name.rpartition("/")[2] for name in sizes if name.startswith(f"{SHARDS}/"))
    write_json(folder / ORIGIN, {"address": place, "shards": shards})
    return folder


def is_there(shard: Path) -> bool:
    """Says whether a shard of a store is a file, or can be fetched."""
    return shard.is_file() or shard.name in (_origin(shard) or {}).get("shards", ())


def fetched(shard: Path) -> Path:
    """Returns the path of a shard, after fetching it where it is of a copy and not there yet.

    Raises:
        FileError: If it cannot be fetched.
    """
    if not shard.is_file():
        origin = _origin(shard)
        if origin is not None:
            _fetch(origin["address"], f"{SHARDS}/{shard.name}", shard.parent.parent)
    return shard


def _origin(shard: Path) -> dict[str, Any] | None:
    return read_json(shard.parent.parent / ORIGIN)


def _fetch(address: str, name: str, folder: Path) -> None:
    files, root = open_address(address)
    with atomic_path(folder / name) as temporary, reaching(address):
        files.get_file(f"{root}/{name}", str(temporary))


def _cache() -> Path:
    named = os.environ.get(CACHE)
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anylead"
