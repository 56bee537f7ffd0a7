"""The index as it is used: an Arrow twin of ``index.parquet``, mapped instead of read.

Parquet is compressed, so that reading it puts all of it into memory, in every process that trains. The twin
holds the same columns, those of ``quality.parquet`` where that was measured, and the leads as one word. It is
made when a store is prepared, and again whenever one of the two files has changed.
"""

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anylead.errors import FileError, StoreError
from anylead.provenance import atomic_path
from anylead.store.layout import INDEX, INDEX_SCHEMA, LEAD_SET, QUALITY, QUALITY_STORE, TWIN
from anylead.store.manifest import StoreManifest
from anylead.store.splits import require_disjoint

_STAMP = b"anylead.twin"
"""Key of the twin's metadata: what it was made of."""
_LAYOUT = 1
"""Number of the twin's layout; another number makes it anew."""
_BETWEEN_LEADS = "\x1f"

_log = logging.getLogger(__name__)


def open_index(store: Path, manifest: StoreManifest) -> pa.Table:
    """Maps the index of a store, and makes its twin first where that is missing or stale.

    Returns:
        One row a recording: the columns of `INDEX_SCHEMA`, `LEAD_SET`, and those of the quality where it was
        measured. Where the folder cannot be written to, the table is in memory.

    Raises:
        StoreError: If the index cannot be read, is of another store, or two splits share a person.
    """
    stamp = _stamp(store, manifest)
    twin = _mapped(store / TWIN, stamp)
    if twin is not None:
        return twin
    table = _read(store, manifest).replace_schema_metadata({_STAMP: stamp})
    try:
        with (
            atomic_path(store / TWIN) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
    except FileError as error:
        _log.info("the index is kept in memory: %s", error)
        return table
    mapped = _mapped(store / TWIN, stamp)
    return table if mapped is None else mapped


def lead_sets(index: pa.Table) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Returns the distinct lead sets of an index, and the number of each recording's, int32 (recordings,)."""
    column = index.column(LEAD_SET).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    names = [tuple(word.split(_BETWEEN_LEADS)) for word in column.dictionary.to_pylist()]
    return names, column.indices.to_numpy()


def _stamp(store: Path, manifest: StoreManifest) -> bytes:
    """Returns what the twin must have been made of: times and sizes, as ``make`` looks at them."""
    files = {}
    for name in (INDEX, QUALITY):
        try:
            stat = (store / name).stat()
        except OSError:
            continue
        files[name] = [stat.st_size, stat.st_mtime_ns]
    made_of = {"layout": _LAYOUT, "store": manifest.fingerprint, "recordings": manifest.counts["recordings"]}
    return json.dumps(made_of | files).encode()


def _mapped(path: Path, stamp: bytes) -> pa.Table | None:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid):
        return None
    return table if (table.schema.metadata or {}).get(_STAMP) == stamp else None


def _read(store: Path, manifest: StoreManifest) -> pa.Table:
    try:
        index = pq.read_table(store / INDEX)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(
            f"{store / INDEX}: the index cannot be read ({str(error).splitlines()[0]}); "
            "prepare the store again."
        ) from error
    if index.schema.names != INDEX_SCHEMA.names or len(index) != manifest.counts["recordings"]:
        raise StoreError(
            f"{store / INDEX}: the index does not belong to the manifest; prepare the store again."
        )
    require_disjoint(
        index.column("patient_id"), index.column("hash"), index.column("split"), where=str(store)
    )
    index = index.append_column(LEAD_SET, _joined(index.column("leads")))
    for field, column in _quality(store, manifest, rows=len(index)):
        index = index.append_column(field, column)
    # One batch: its columns are contiguous arrays of the file.
    return index.combine_chunks()


def _joined(leads: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.dictionary_encode(pc.binary_join(leads, _BETWEEN_LEADS))


def _quality(store: Path, manifest: StoreManifest, *, rows: int) -> list[tuple[pa.Field, pa.ChunkedArray]]:
    """Returns the columns that were measured of this store; none where the file is of another."""
    path = store / QUALITY
    if not path.exists():
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        _log.warning("%s cannot be read (%s): measure the quality again.", path, str(error).splitlines()[0])
        return []
    measured = (table.schema.metadata or {}).get(QUALITY_STORE)
    if measured != manifest.fingerprint.encode() or len(table) != rows:
        _log.warning("%s was measured of another store and is left out: measure the quality again.", path)
        return []
    return [
        (field, column)
        for field, column in zip(table.schema, table.columns, strict=True)
        if field.name not in INDEX_SCHEMA.names
    ]
