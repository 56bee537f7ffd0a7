"""One shard: written in bounded memory, read through a memory map."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int16

from anylead.errors import StoreError
from anylead.provenance import atomic_path
from anylead.store.layout import FACTS, SHARD_SCHEMA

BATCH_COUNTS = 32 * 2**20
"""Counts collected before they are written: 64 MiB, so that hour-long recordings don't add up in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardRow:
    """One prepared recording on its way to a shard."""

    facts: dict[str, Any]
    """The columns of `layout.FACTS`."""
    scale_mv: Float32[np.ndarray, "leads"]
    counts: Int16[np.ndarray, "leads samples"]


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One recording that could not be used."""

    record_id: str
    path: str
    reason: str


def write_shard(path: Path, rows: Iterable[ShardRow | Rejection]) -> None:
    """Writes one shard, atomically; rejections travel in the metadata of the last batch.

    Raises:
        FileError: If the disk refuses; nothing is left behind.
    """
    rejected: list[Rejection] = []
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, SHARD_SCHEMA) as writer,
    ):
        for batch in _batches(rows, rejected):
            writer.write_batch(batch)
        metadata = {
            f"rejected.{number}.{name}": getattr(rejection, name)
            for number, rejection in enumerate(rejected)
            for name in ("record_id", "path", "reason")
        }
        empty = pa.RecordBatch.from_pylist([], schema=SHARD_SCHEMA)
        writer.write_batch(empty, custom_metadata={**metadata, "rejected": str(len(rejected))})


def _batches(rows: Iterable[ShardRow | Rejection], rejected: list[Rejection]) -> Iterator[pa.RecordBatch]:
    waiting: list[ShardRow] = []
    for row in rows:
        if isinstance(row, Rejection):
            rejected.append(row)
            continue
        waiting.append(row)
        if sum(item.counts.size for item in waiting) >= BATCH_COUNTS:
            yield _batch(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting)


def _batch(rows: list[ShardRow]) -> pa.RecordBatch:
    facts = {name: [row.facts[name] for row in rows] for name in rows[0].facts}
    ends = np.cumsum([0, *(row.counts.size for row in rows)], dtype=np.int64)
    values = np.concatenate([row.counts.ravel() for row in rows])
    counts = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values))
    scales = pa.array([row.scale_mv.tolist() for row in rows], SHARD_SCHEMA.field("scale_mv").type)
    columns = [pa.array(facts[field.name], field.type) for field in SHARD_SCHEMA if field.name in facts]
    return pa.RecordBatch.from_arrays([*columns, scales, counts], schema=SHARD_SCHEMA)


class Shard:
    """A shard on disk, memory-mapped: a signal that is not asked for is not read.

    Raises:
        StoreError: If the file is absent or not a shard.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{path}: the shard cannot be read ({str(error).splitlines()[0]}); prepare the store again."
            ) from error
        if not self._reader.schema.equals(SHARD_SCHEMA):
            raise StoreError(f"{path}: the columns are not those of a shard; prepare the store again.")
        self._batches = [self._reader.get_batch(i) for i in range(self._reader.num_record_batches)]
        self._starts: list[int] = [0, *accumulate(batch.num_rows for batch in self._batches)]
        self._counts = [_list_parts(batch.column("counts")) for batch in self._batches]
        self._scales = [_list_parts(batch.column("scale_mv")) for batch in self._batches]

    def __len__(self) -> int:
        return self._starts[-1]

    def counts(self, row: int) -> tuple[Int16[np.ndarray, "values"], Float32[np.ndarray, "leads"]]:
        """Returns the counts of one recording, lead after lead, and millivolts per count of each lead."""
        batch = bisect_right(self._starts, row) - 1
        place = row - self._starts[batch]
        ends, values = self._counts[batch]
        scale_ends, scales = self._scales[batch]
        return (
            values[ends[place] : ends[place + 1]],
            scales[scale_ends[place] : scale_ends[place + 1]],
        )

    def facts(self) -> pa.Table:
        """Returns everything but the signals."""
        return pa.Table.from_batches(self._batches, SHARD_SCHEMA).drop_columns(["counts", "scale_mv"])

    def rejections(self) -> list[Rejection]:
        """Returns what could not be used."""
        return _rejections(self._reader)


def read_facts(file: Any, name: str) -> tuple[pa.Table, list[Rejection]]:
    """Returns what a shard says of its recordings, and what could not be used, reading no signal.

    Args:
        file: The shard, opened for binary reading; it may be far away.
        name: What to call it in an error.

    Raises:
        StoreError: If it is not a shard.
    """
    columns = list(range(len(FACTS)))
    try:
        reader = pa.ipc.open_file(
            pa.PythonFile(file, "r"), options=pa.ipc.IpcReadOptions(included_fields=columns)
        )
        facts = pa.Table.from_batches([reader.get_batch(i) for i in range(reader.num_record_batches)], FACTS)
        return facts, _rejections(reader)
    except pa.ArrowInvalid as error:
        raise StoreError(
            f"{name}: the shard cannot be read ({str(error).splitlines()[0]}); prepare the store again."
        ) from error


def _rejections(reader: Any) -> list[Rejection]:
    _, raw = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
    metadata = {key.decode(): value.decode() for key, value in dict(raw).items()}
    return [
        Rejection(
            record_id=metadata[f"rejected.{number}.record_id"],
            path=metadata[f"rejected.{number}.path"],
            reason=metadata[f"rejected.{number}.reason"],
        )
        for number in range(int(metadata["rejected"]))
    ]


def _list_parts(column: pa.Array) -> tuple[memoryview, np.ndarray]:
    # Elements of a memoryview are plain integers, as slices want them.
    return column.offsets.to_numpy().data, column.values.to_numpy(zero_copy_only=True)
