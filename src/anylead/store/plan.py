"""What a store is to be made of, and whether a folder already holds it or part of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anylead.config import to_plain
from anylead.errors import StoreError
from anylead.provenance import fingerprint, write_json
from anylead.sources.base import Source
from anylead.store.layout import FORMAT, MANIFEST, PREPARING
from anylead.store.listing import listing_fingerprint
from anylead.store.manifest import StoreManifest, read_json
from anylead.store.splits import SplitConfig

_NAMES = {
    "source": "another data set",
    "options": "other options of the source",
    "files": "other files",
    "preparation": "other preparation steps",
    "split": "other splits",
    "layout": "another layout of the store",
}


@dataclass(frozen=True, kw_only=True)
class StorePlan:
    """Fingerprints of everything that decides what a store holds."""

    parts: dict[str, str]

    @classmethod
    def of(
        cls,
        source: Source,
        root: Path | None,
        out: Path,
        *,
        preparation: Mapping[str, Any],
        split: SplitConfig,
        shard_records: int,
    ) -> "StorePlan":
        """Fingerprints what a store is made of."""
        folders = [None] if root is None else source.folders(root)
        files = [listing_fingerprint(folder, ignore=out) for folder in folders]
        return cls(
            parts={
                "source": fingerprint(source.name),
                "options": fingerprint(to_plain(source)),
                "files": files[0] if len(files) == 1 else fingerprint(files),
                "preparation": fingerprint(preparation),
                "split": fingerprint(to_plain(split)),
                "layout": fingerprint([FORMAT, shard_records]),
            }
        )

    @property
    def fingerprint(self) -> str:
        """One fingerprint of all parts."""
        return fingerprint(self.parts)

    def begin(self, out: Path) -> Literal["finished", "begun"]:
        """Claims a folder for this plan, or finds that it already holds the finished store.

        Raises:
            StoreError: If the folder holds a store made of something else, or other files.
        """
        if (out / MANIFEST).exists():
            self._require_same(StoreManifest.read(out).parts, out)
            (out / PREPARING).unlink(missing_ok=True)
            return "finished"
        begun = read_json(out / PREPARING)
        if begun is not None:
            self._require_same(begun.get("parts", {}), out)
            return "begun"
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise StoreError(
                f"{out}: there are other files here, and this is not a store; "
                "give --out a new or empty folder."
            )
        write_json(out / PREPARING, {"parts": self.parts})
        return "begun"

    def _require_same(self, parts: Mapping[str, str], out: Path) -> None:
        different = [name for key, name in _NAMES.items() if parts.get(key) != self.parts[key]]
        if different:
            raise StoreError(
                f"{out}: holds a store made with {' and '.join(different)} than this command asks for; "
                "give --out another folder, or delete this one to make it anew."
            )
