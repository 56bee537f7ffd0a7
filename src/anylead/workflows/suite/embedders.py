"""What turns recordings under a condition into vectors: an encoder, hand-made features, somebody's table."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int64

from anylead.bundle import Bundle
from anylead.bundle.inference import Window, cut, record_means, stack_rows
from anylead.encoders.base import Readout
from anylead.evaluation.baselines import handmade_features, median_beat_embedding
from anylead.evaluation.conditions import Condition
from anylead.evaluation.embedding_table import EmbeddingTable
from anylead.leads import STANDARD_12
from anylead.provenance import fingerprint
from anylead.record import Record
from anylead.workflows.selection import Selection

Wrap = Callable[[Iterator[Record | None]], Iterator[Record | None]]
"""Wraps recordings as they are read, to show progress."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedder(ABC):
    """One thing that is judged, or compared with."""

    name: str
    """In tables."""
    seed: int = 0
    """Of the noise that conditions add: the same for everything that is compared."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The same for the same vectors: what is kept on disk is found again by it."""

    @abstractmethod
    def embed(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> Float32[np.ndarray, "n E"]:
        """Returns one vector a recording, NaN where the condition or the model does not apply to it."""

    def knows(self, condition: Condition) -> bool:
        """Returns whether it can give anything under a condition: where not, nobody need be asked."""
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class BundleEmbedder(Embedder):
    """An encoder with its preparation, read at one layer."""

    bundle: Bundle
    readout: Readout
    batch_size: int = 64

    @property
    def key(self) -> str:
        """Weights, preparation and read-out."""
        return fingerprint([self.bundle.fingerprint(), self.readout.layer, self.readout.pooling, self.seed])

    def embed(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> Float32[np.ndarray, "n E"]:
        """Returns the mean over the windows of each recording."""
        windows = self._windows(selection, condition, wrap)
        rows = self.bundle.run(self.bundle.reader(self.readout), windows, batch_size=self.batch_size)
        return record_means(rows, len(selection))[0]

    def embed_windows(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
        """Returns one vector a window, and the place of its recording."""
        windows = self._windows(selection, condition, wrap)
        return stack_rows(
            self.bundle.run(self.bundle.reader(self.readout), windows, batch_size=self.batch_size)
        )

    def predict(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> Float32[np.ndarray, "n C"]:
        """Returns what the bundle's only classification head says of each recording."""
        windows = self._windows(selection, condition, wrap)
        rows = self.bundle.run(self.bundle.classifier(), windows, batch_size=self.batch_size)
        return record_means(rows, len(selection))[0]

    def reading(self, readout: Readout) -> "BundleEmbedder":
        """Returns the same encoder, read otherwise."""
        return replace(self, readout=readout)

    def _windows(self, selection: Selection, condition: Condition, wrap: Wrap | None) -> Iterator[Window]:
        own = self.bundle.preparation.fingerprint()
        prepared = [store.manifest.preparation_fingerprint == own for store in selection.stores]
        records = conditioned(selection, condition, seed=self.seed)
        for number, record in enumerate(records if wrap is None else wrap(records)):
            if record is None or not set(record.leads) & set(self.bundle.encoder.leads):
                continue
            # What the store holds was prepared already; what a condition changed is prepared again.
            if condition.changes_signal or not prepared[selection.recordings[number][0]]:
                record = self.bundle.preparation(record)
            if self.bundle.encoder.num_tokens(record.samples) < 1:
                continue
            yield from cut(
                lambda start, count, signal=record.signal: signal[:, start : start + count],  # type: ignore[misc]
                samples=record.samples,
                leads=record.leads,
                known=self.bundle.encoder.leads,
                length=self.bundle.manifest.window_samples,
                record=number,
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureEmbedder(Embedder):
    """Features that need no learning: hand-made ones, or the median beat."""

    kind: str
    """``hand-made`` or ``median beat``."""

    @property
    def key(self) -> str:
        """The features' name: they have no weights."""
        return fingerprint(["features", self.kind, self.seed])

    def embed(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> Float32[np.ndarray, "n E"]:
        """Returns features of whole recordings; zeros stand where a lead is absent."""
        make = handmade_features if self.kind == "hand-made" else median_beat_embedding
        found: dict[int, np.ndarray] = {}
        records = conditioned(selection, condition, seed=self.seed)
        for number, record in enumerate(records if wrap is None else wrap(records)):
            if record is not None and set(record.leads) & set(STANDARD_12):
                found[number] = make(
                    record.signal, record.leads, rate_hz=record.sampling_rate_hz, vocabulary=STANDARD_12
                )
        width = len(next(iter(found.values()))) if found else 0
        result = np.full((len(selection), width), np.nan, dtype=np.float32)
        for number, values in found.items():
            result[number] = values
        return result


@dataclass(frozen=True, kw_only=True, eq=False)
class TableEmbedder(Embedder):
    """Embeddings that somebody else's model made."""

    table: EmbeddingTable

    @property
    def key(self) -> str:
        """The content of the table."""
        return self.table.fingerprint

    def embed(
        self, selection: Selection, condition: Condition, *, wrap: Wrap | None = None
    ) -> Float32[np.ndarray, "n E"]:
        """Returns the rows of the table."""
        return self.table.array(selection.record_ids, condition.name)

    def knows(self, condition: Condition) -> bool:
        """Returns whether the table has a row for a condition."""
        return condition.name in self.table.conditions


def conditioned(selection: Selection, condition: Condition, *, seed: int) -> Iterator[Record | None]:
    """Yields each recording as the condition has it; None where it does not apply."""
    for number, row in selection.recordings:
        yield condition.apply(selection.stores[number].record(row), seed=seed)
