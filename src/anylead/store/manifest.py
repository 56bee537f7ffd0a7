"""StoreManifest: what a store says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anylead.config import from_plain, to_plain
from anylead.errors import ConfigError, StoreError
from anylead.store.layout import FORMAT, MANIFEST, PREPARING
from anylead.store.splits import SplitConfig


@dataclass(frozen=True, kw_only=True)
class StoreManifest:
    """What a store was made of and how."""

    format: int
    """Number of the layout."""
    source: str
    """Name of the data set."""
    source_options: dict[str, Any]
    """Options it was read with."""
    licence: str
    citation: str
    preparation: dict[str, Any]
    """Steps, as `Preparation.to_plain` gives them."""
    preparation_fingerprint: str
    split: SplitConfig
    patients_known: bool
    """Whether the patient ids are those of persons; where not, splits are by recording."""
    labelled: bool
    shards: int
    fingerprint: str
    """Of everything that decides the content: source, options, files, steps, split, layout."""
    parts: dict[str, str] = field(default_factory=dict)
    """Fingerprints of the single parts of it, to say which one differs."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Recordings, persons, rejected, per split, duplicates, unknown labels, flags."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions and command."""

    @classmethod
    def read(cls, store: Path) -> "StoreManifest":
        """Reads the manifest of a store.

        Raises:
            StoreError: If the folder is not a store, is unfinished, damaged, or of a newer format.
        """
        values = read_json(store / MANIFEST)
        if values is None:
            if (store / PREPARING).exists():
                raise StoreError(
                    f"{store}: the preparation of this store did not finish; run the same prepare command "
                    "again, it continues where it stopped."
                )
            raise StoreError(
                f"{store}: there is no {MANIFEST}, so this is not a store; "
                "give a folder made by anylead prepare."
            )
        number = values.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise StoreError(
                f"{store}: the store has the newer format {number}, this anylead reads up to {FORMAT}; "
                "update anylead or prepare the store again."
            )
        try:
            return from_plain(cls, values, where=f"{store / MANIFEST}")
        except ConfigError as error:
            raise StoreError(f"{error} The store is damaged: prepare it again.") from error

    def to_plain(self) -> dict[str, Any]:
        """Returns nested plain values for a file."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def read_json(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object, None where there is no such file.

    Raises:
        StoreError: If the file is not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); prepare the store again.") from error
    if not isinstance(values, Mapping):
        raise StoreError(f"{path}: holds {type(values).__name__}, not an object; prepare the store again.")
    return dict(values)
