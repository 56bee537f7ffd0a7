"""Store: prepared recordings on disk, memory-mapped."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int16, Int64

from anylead.errors import InputError, StoreError
from anylead.record import Record
from anylead.store.copies import fetched, is_there, local_copy
from anylead.store.index import lead_sets, open_index
from anylead.store.layout import INDEX_SCHEMA, shard_path
from anylead.store.manifest import StoreManifest
from anylead.store.open_files import room_for_files
from anylead.store.quantise import MISSING, dequantise
from anylead.store.shards import Shard
from anylead.store.splits import SPLITS

Places: TypeAlias = slice | list[int]
"""Places in an array: a slice, which costs no copy, or any."""

_ALL = np.ones(1, dtype=bool)


class Store:
    """Prepared recordings: index and signals on disk, mapped, and in memory only as far as they are used."""

    def __init__(self, path: Path, manifest: StoreManifest, index: pa.Table) -> None:
        self.path = path
        self.manifest = manifest
        self.index = index
        """One row a recording: the columns of `layout.INDEX_SCHEMA`, `layout.LEAD_SET` and, where quality was
        measured, of `quality_table.QUALITY_SCHEMA`."""
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self._shards_at_once = room_for_files(manifest.shards)

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Opens a store: maps the index, reads no signal.

        Args:
            path: Its folder, or its address elsewhere; see `anylead.store.copies`.

        Raises:
            StoreError: If it is not a store, unfinished, damaged, of a newer format, or its splits
                share a person.
        """
        path = local_copy(path)
        manifest = StoreManifest.read(path)
        index = open_index(path, manifest)
        missing = [n for n in range(manifest.shards) if not is_there(shard_path(path, n))]
        if missing:
            raise StoreError(
                f"{path}: {len(missing)} of {manifest.shards} shards are missing, the first is "
                f"{shard_path(path, missing[0]).name}; prepare the store again."
            )
        return cls(path, manifest, index)

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        # Memory maps don't travel to another process; the path does.
        return (Store.open, (self.path,))

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {}

    def column(self, name: str) -> list[Any]:
        """Returns one column of the index as Python values, kept after the first time.

        Of a large store this takes some hundred bytes a recording; see `numbers`, and `index` itself.
        """
        if name not in self._columns:
            self._columns[name] = self.index.column(name).to_pylist()
        return self._columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """Returns one column of numbers, (recordings,), without a copy where none is missing."""
        if name not in self._arrays:
            self._arrays[name] = self.index.column(name).to_numpy()
        return self._arrays[name]

    @cached_property
    def lead_sets(self) -> list[tuple[str, ...]]:
        """The distinct lead sets of the recordings."""
        return lead_sets(self.index)[0]

    @cached_property
    def lead_set_numbers(self) -> np.ndarray:
        """Place in `lead_sets` of each recording's leads, int32 (recordings,)."""
        return lead_sets(self.index)[1]

    def lead_set_of(self, i: int) -> int:
        """Returns the place in `lead_sets` of one recording's leads."""
        return self._lead_set_places[i]

    @cached_property
    def _lead_set_places(self) -> memoryview:
        return np.ascontiguousarray(self.lead_set_numbers).data

    @cached_property
    def leads(self) -> list[tuple[str, ...]]:
        """Lead names of each recording; equal ones are one and the same object."""
        sets = self.lead_sets
        return [sets[number] for number in self.lead_set_numbers.tolist()]

    @cached_property
    def gaps(self) -> Bool[np.ndarray, "recordings"]:
        """Whether a recording has a missing sample in any lead."""
        flags = self.index.column("flags").combine_chunks()
        missing = pc.starts_with(pc.list_flatten(flags), "missing:").to_numpy(zero_copy_only=False)
        result = np.zeros(len(self), dtype=bool)
        result[pc.list_parent_indices(flags).to_numpy()[missing]] = True
        return result

    @cached_property
    def _gaps(self) -> bytes:
        # A byte of bytes is looked up in a fifth of the time that an element of an array takes.
        return self.gaps.tobytes()

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
        counts, scale_mv = self._counts(i, start, length)
        return dequantise(counts, scale_mv)

    def signal_into(
        self,
        out: Float32[np.ndarray, "columns samples"],
        i: int,
        start: int,
        length: int,
        rows: Places,
        columns: Places,
    ) -> Bool[np.ndarray, "rows"]:
        """Reads leads of part of a recording into rows of an array: `signal` with one copy less.

        Args:
            out: Gets millivolts, in its first `length` samples; a lead with a missing sample is not written.
            i: Row of the index.
            start: First sample.
            length: Number of samples.
            rows: Which of `leads[i]` to read.
            columns: Rows of `out` for them, as many.

        Returns:
            Which of them have no missing sample; a single True where all have none.

        Raises:
            InputError: If the recording has no such samples.
        """
        counts, scale_mv = self._counts(i, start, length)
        counts, scale_mv = counts[rows], scale_mv[rows]
        if self._gaps[i]:
            return self._whole_leads_into(out, counts, scale_mv, columns)
        # One number for all leads, as nearly always, is multiplied in two thirds of the time.
        scales = scale_mv.tobytes()
        is_one = len(scales) > 0 and scales == scales[:4] * len(scale_mv)
        factor = scale_mv[0] if is_one else scale_mv[:, None]
        if isinstance(columns, slice):
            np.multiply(counts, factor, out=out[columns, :length])
        else:
            out[columns, :length] = counts * factor
        return _ALL

    def _whole_leads_into(
        self,
        out: Float32[np.ndarray, "columns samples"],
        counts: Int16[np.ndarray, "rows length"],
        scale_mv: Float32[np.ndarray, "rows"],
        columns: Places,
    ) -> Bool[np.ndarray, "rows"]:
        whole: Bool[np.ndarray, "rows"] = counts.min(axis=1) != MISSING
        places = range(len(counts)) if isinstance(columns, slice) else columns
        for row in np.flatnonzero(whole).tolist():
            np.multiply(counts[row], scale_mv[row], out=out[places[row], : counts.shape[1]])
        return whole

    def record(self, i: int) -> Record:
        """Reads one recording with what is known of it."""
        row = {name: self._value(name, i) for name in INDEX_SCHEMA.names}
        return Record(
            signal=self.signal(i),
            leads=tuple(row["leads"]),
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
        return np.flatnonzero(pc.equal(self.index.column("split"), split).to_numpy()).astype(np.int64)

    @property
    def sampling_rate_hz(self) -> float:
        """The one sampling rate of the recordings.

        Raises:
            StoreError: If there are several.
        """
        rates = np.unique(self.numbers("sampling_rate_hz"))
        if len(rates) != 1:
            raise StoreError(
                f"{self.path}: the recordings have {', '.join(f'{rate:g}' for rate in rates)} Hz; "
                "prepare the store with a Resample step."
            )
        return float(rates[0])

    def _counts(
        self, i: int, start: int, length: int | None
    ) -> tuple[Int16[np.ndarray, "leads samples"], Float32[np.ndarray, "leads"]]:
        samples = self._samples[i]
        stop = samples if length is None else start + length
        if not 0 <= start < stop <= samples:
            raise InputError(
                f"{self.path}: recording {self._value('record_id', i)} has samples 0 to {samples - 1}; "
                f"samples {start} to {stop - 1} were asked for."
            )
        counts, scale_mv = self._shard(self._shard_numbers[i]).counts(self._rows[i])
        return counts.reshape(len(scale_mv), samples)[:, start:stop], scale_mv

    @cached_property
    def _samples(self) -> memoryview:
        # Elements of a memoryview are plain integers.
        return self.numbers("samples").data

    @cached_property
    def _shard_numbers(self) -> memoryview:
        return self.numbers("shard").data

    @cached_property
    def _rows(self) -> memoryview:
        return self.numbers("row").data

    def _value(self, name: str, i: int) -> Any:
        return self.index.column(name)[i].as_py()

    def _shard(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            shard = self._shards[number] = Shard(fetched(shard_path(self.path, number)))
            if len(self._shards) > self._shards_at_once:
                # The one opened first: with a global shuffle, the one used last says nothing of the next.
                self._shards.popitem(last=False)
        return shard


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
