"""Store: prepared recordings on disk, memory-mapped."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from anylead.errors import InputError, StoreError
from anylead.record import Record
from anylead.store.copies import fetched, is_there, local_copy
from anylead.store.layout import INDEX, INDEX_SCHEMA, shard_path
from anylead.store.manifest import StoreManifest
from anylead.store.quantise import dequantise
from anylead.store.shards import Shard
from anylead.store.splits import SPLITS, require_disjoint


class Store:
    """Prepared recordings: an index in memory, signals on disk until asked for."""

    def __init__(self, path: Path, manifest: StoreManifest, index: pa.Table) -> None:
        self.path = path
        self.manifest = manifest
        self.index = index
        """One row a recording; columns in `anylead.store.layout.INDEX_SCHEMA`."""
        self._shards: dict[int, Shard] = {}

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Opens a store. Reads the manifest and the index, no signal.

        Args:
            path: Its folder, or its address elsewhere; see `anylead.store.copies`.

        Raises:
            StoreError: If it is not a store, unfinished, damaged, of a newer format, or its splits
                share a person.
        """
        path = local_copy(path)
        manifest = StoreManifest.read(path)
        try:
            index = pq.read_table(path / INDEX)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{path / INDEX}: the index cannot be read ({str(error).splitlines()[0]}); "
                "prepare the store again."
            ) from error
        if index.schema.names != INDEX_SCHEMA.names or len(index) != manifest.counts.get("recordings"):
            raise StoreError(
                f"{path / INDEX}: the index does not belong to the manifest; prepare the store again."
            )
        missing = [n for n in range(manifest.shards) if not is_there(shard_path(path, n))]
        if missing:
            raise StoreError(
                f"{path}: {len(missing)} of {manifest.shards} shards are missing, the first is "
                f"{shard_path(path, missing[0]).name}; prepare the store again."
            )
        store = cls(path, manifest, index)
        require_disjoint(
            store.column("patient_id"), store.column("hash"), store.column("split"), where=str(path)
        )
        return store

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        # Memory maps don't travel to another process; the path does.
        return (Store.open, (self.path,))

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    def column(self, name: str) -> list[Any]:
        """Returns one column of the index as Python values, kept after the first time."""
        if name not in self._columns:
            self._columns[name] = self.index.column(name).to_pylist()
        return self._columns[name]

    @cached_property
    def leads(self) -> list[tuple[str, ...]]:
        """Lead names of each recording; equal ones are one and the same object."""
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        return [known.setdefault(names, names) for names in map(tuple, self.column("leads"))]

    def signal(
        self, i: int, start: int = 0, length: int | None = None
    ) -> Float32[np.ndarray, "leads samples"]:
        """Reads part of a recording.

        Args:
            i: Row of the index.
            start: First sample.
            length: Number of samples; None reads to the end.

        Returns:
            Millivolts, NaN where a sample is missing; the rows are `leads[i]`.

        Raises:
            InputError: If the recording has no such samples.
        """
        samples = self.column("samples")[i]
        stop = samples if length is None else start + length
        if not 0 <= start < stop <= samples:
            raise InputError(
                f"{self.path}: recording {self.column('record_id')[i]} has samples 0 to {samples - 1}; "
                f"samples {start} to {stop - 1} were asked for."
            )
        counts, scale_mv = self._shard(self.column("shard")[i]).counts(self.column("row")[i])
        return dequantise(counts.reshape(len(scale_mv), samples)[:, start:stop], scale_mv)

    def record(self, i: int) -> Record:
        """Reads one recording with what is known of it."""
        row = {name: self.column(name)[i] for name in INDEX_SCHEMA.names}
        return Record(
            signal=self.signal(i),
            leads=self.leads[i],
            sampling_rate_hz=row["sampling_rate_hz"],
            record_id=row["record_id"],
            patient_id=row["patient_id"],
            recorded_at=row["recorded_at"],
            age_years=row["age_years"],
            sex=row["sex"],
            flags=tuple(row["flags"]),
        )

    def split_indices(self, split: str) -> Int64[np.ndarray, "recordings"]:
        """Returns the rows of one split, in the order of the index.

        Raises:
            InputError: If there is no such split.
        """
        if split not in SPLITS:
            raise InputError(f"{self.path}: there is no split {split!r}; there are {', '.join(SPLITS)}.")
        return np.flatnonzero(np.array(self.column("split"), dtype=object) == split).astype(np.int64)

    @property
    def sampling_rate_hz(self) -> float:
        """The one sampling rate of the recordings.

        Raises:
            StoreError: If there are several.
        """
        rates = Counter(self.column("sampling_rate_hz"))
        if len(rates) != 1:
            raise StoreError(
                f"{self.path}: the recordings have {', '.join(f'{rate:g}' for rate in sorted(rates))} Hz; "
                "prepare the store with a Resample step."
            )
        return float(next(iter(rates)))

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            self._shards[number] = Shard(fetched(shard_path(self.path, number)))
        return self._shards[number]


def require_same_preparation(stores: Sequence[Store]) -> None:
    """Checks that stores used together were made by the same steps.

    Raises:
        InputError: If there is no store.
        StoreError: If the steps differ.
    """
    if not stores:
        raise InputError("stores: got none; give at least one store made by anylead prepare.")
    for other in stores[1:]:
        if other.manifest.preparation_fingerprint != stores[0].manifest.preparation_fingerprint:
            raise StoreError(
                f"{other.path}: was prepared by other steps than {stores[0].path}; stores used together need "
                "the same steps: prepare one of them again."
            )
