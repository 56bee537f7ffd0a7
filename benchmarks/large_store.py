"""A store of as many recordings as one likes on little disk: one shard, linked again and again.

Its index is whole: every recording has its own id, a hash of its own, and a patient with three recordings.
Used by the benchmark of the data path and by the test of a million recordings.
"""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anylead.preparation import Preparation
from anylead.provenance import write_json
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, write_store
from anylead.store.layout import INDEX, INDEX_SCHEMA, MANIFEST, TWIN, shard_path

SHARD_RECORDS = 256
PER_PATIENT = 3


def make_large_store(out: Path, records: int, *, duration_s: float = 10.0) -> Path:
    """Writes a store of synthetic recordings at 500 Hz, all shards of which are one and the same file.

    Args:
        out: Folder of the store.
        records: Number of recordings.
        duration_s: Length of one.
    """
    write_store(
        Synthetic(patients=SHARD_RECORDS, sessions=1, duration_s=duration_s),
        None,
        out,
        preparation=Preparation.default(),
        split=SplitConfig(),
        shard_records=SHARD_RECORDS,
    )
    shards = -(-records // SHARD_RECORDS)
    for number in range(1, shards):
        os.link(shard_path(out, 0), shard_path(out, number))
    pq.write_table(_index(pq.read_table(out / INDEX), records), out / INDEX, compression="zstd")
    (out / TWIN).unlink()
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["shards"] = shards
    manifest["counts"]["recordings"] = records
    write_json(out / MANIFEST, manifest)
    return out


def _index(one: pa.Table, records: int) -> pa.Table:
    """Returns the index of one shard, repeated, with ids, hashes, patients and splits of their own."""
    number = np.arange(records)
    rows = one.take(pa.array(number % len(one)))
    patient = number // PER_PATIENT
    # A tenth of the patients each for test and validation; multiplied, so that they lie everywhere.
    place = patient * 7 % 10
    columns = {
        "record_id": _words("record", number),
        "patient_id": _words("large:", patient),
        "hash": _words("0123456789abcdef", number + 10**15),
        "split": pa.array(np.array(["test", "valid", *["train"] * 8])[place]),
        "shard": pa.array(number // SHARD_RECORDS, pa.int32()),
        "row": pa.array(number % SHARD_RECORDS, pa.int32()),
    }
    return pa.table({name: columns.get(name, rows.column(name)) for name in INDEX_SCHEMA.names}, INDEX_SCHEMA)


def _words(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pc.cast(pa.array(numbers), pa.string()), "")
