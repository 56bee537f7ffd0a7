"""Passes of a model over recordings: said beforehand, done once, kept on disk, found again."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from tqdm import tqdm

from anylead.evaluation.conditions import Condition
from anylead.provenance import atomic_path, fingerprint
from anylead.record import Record
from anylead.workflows.selection import Selection
from anylead.workflows.suite.embedders import BundleEmbedder, Embedder, Wrap

logger = logging.getLogger(__name__)


Gives = Literal["embeddings", "probabilities", "windows"]
"""One embedding a recording, what a classification head says of each, or one embedding a window."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """One model over some recordings under one condition."""

    embedder: Embedder
    condition: Condition
    part: str
    """Which recordings: a key of `Passes.parts`."""
    gives: Gives = "embeddings"

    @property
    def key(self) -> str:
        """Names what it gives."""
        return fingerprint([self.embedder.key, self.condition.name, self.gives])


@dataclass(kw_only=True, eq=False)
class Passes:
    """What models gave, each computed the first time it is asked for."""

    folder: Path
    """Where it is kept."""
    parts: dict[str, Selection]
    """Recordings by what they are for."""
    progress: bool = False
    done: int = 0
    """Passes computed by this process."""
    found: int = 0
    """Passes found on disk."""
    _samples: dict[str, str] = field(default_factory=dict)

    def vectors(self, embedder: Embedder, condition: Condition, part: str) -> Float32[np.ndarray, "n E"]:
        """Returns embeddings of the recordings of one part; NaN where there are none.

        Raises:
            FileError: If they cannot be kept.
        """
        return np.asarray(self._get(Pass(embedder=embedder, condition=condition, part=part))["values"])

    def probabilities(
        self, embedder: BundleEmbedder, condition: Condition, part: str
    ) -> Float32[np.ndarray, "n C"]:
        """Returns what the classification head of a bundle says; arguments and errors as `vectors`."""
        asked = Pass(embedder=embedder, condition=condition, part=part, gives="probabilities")
        return np.asarray(self._get(asked)["values"])

    def windows(
        self, embedder: BundleEmbedder, condition: Condition, part: str
    ) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
        """Returns one vector a window and the place of its recording; arguments and errors as `vectors`."""
        found = self._get(Pass(embedder=embedder, condition=condition, part=part, gives="windows"))
        return np.asarray(found["values"]), np.asarray(found["records"])

    def _get(self, wanted: Pass) -> dict[str, np.ndarray]:
        path = self._path(wanted)
        if path.is_file():
            self.found += 1
            with np.load(path) as kept:
                return dict(kept)
        self.done += 1
        made = self._make(wanted)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            # numpy's signature takes a switch among the names of the arrays.
            np.savez(file, **made)  # type: ignore[arg-type]
        return made

    def _make(self, wanted: Pass) -> dict[str, np.ndarray]:
        embedder: Any = wanted.embedder
        selection = self.parts[wanted.part]
        wrap = self._wrap(f"{embedder.name}, {wanted.condition.name}, {wanted.part}", len(selection))
        if wanted.gives == "probabilities":
            return {"values": embedder.predict(selection, wanted.condition, wrap=wrap)}
        if wanted.gives == "windows":
            values, records = embedder.embed_windows(selection, wanted.condition, wrap=wrap)
            return {"values": values, "records": records}
        return {"values": embedder.embed(selection, wanted.condition, wrap=wrap)}

    def missing(self, planned: Sequence[Pass]) -> list[Pass]:
        """Returns those that have to be computed, each once."""
        distinct = {self._path(one): one for one in planned}
        return [one for path, one in distinct.items() if not path.is_file()]

    def run(self, planned: Sequence[Pass], *, say: Callable[[str], None] = logger.info) -> None:
        """Says how many passes there are, and computes those that are not on disk.

        Args:
            planned: All that will be asked for.
            say: Where the sentence goes.
        """
        missing = self.missing(planned)
        distinct = len({self._path(one) for one in planned})
        records = sum(len(self.parts[one.part]) for one in missing)
        say(
            f"{distinct} passes of a model over recordings; {distinct - len(missing)} are there already, "
            f"{len(missing)} over {records} recordings are to be made"
        )
        for one in tqdm(missing, desc="passes", unit="pass", disable=not self.progress):
            self._get(one)

    def _path(self, one: Pass) -> Path:
        return self.folder / f"{one.key}-{self.part_key(one.part)}.npz"

    def part_key(self, part: str) -> str:
        """Names the recordings of a part: the same for the same ones."""
        if part not in self._samples:
            selection = self.parts[part]
            stores = [store.manifest.fingerprint for store in selection.stores]
            self._samples[part] = fingerprint([stores, list(selection.recordings)])
        return self._samples[part]

    def _wrap(self, label: str, total: int) -> Wrap | None:
        if not self.progress:
            return None

        def shown(records: Iterator[Record | None]) -> Iterator[Record | None]:
            return iter(tqdm(records, desc=label, unit="recording", total=total, leave=False))

        return shown
