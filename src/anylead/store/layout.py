"""What a store looks like on disk.

::

    store.json                 manifest, written last: a folder without it is not a store
    index.parquet              one row a recording: who, when, split, labels, flags, where
    quality.parquet            one row a recording: its quality (only if it was measured)
    index.arrow                both again, uncompressed, so that they can be mapped; made anew when stale
    rejected.csv               what could not be read, and why (only if there is something)
    shards/shard-00000.arrow   Arrow IPC: the same facts, scales and ragged int16 samples
    preparing.json             only while a store is being made
"""

from pathlib import Path

import pyarrow as pa

FORMAT = 1
"""Number of this layout. Readers refuse a larger one."""

MANIFEST = "store.json"
INDEX = "index.parquet"
TWIN = "index.arrow"
QUALITY = "quality.parquet"
REJECTED = "rejected.csv"
SHARDS = "shards"
PREPARING = "preparing.json"

FACTS = pa.schema(
    [
        pa.field("record_id", pa.string()),
        pa.field("patient_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("recorded_at", pa.timestamp("us")),
        pa.field("fold", pa.int32()),
        pa.field("leads", pa.list_(pa.string())),
        pa.field("sampling_rate_hz", pa.float64()),
        pa.field("samples", pa.int64()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("labelled", pa.bool_()),
        pa.field("unknown_labels", pa.list_(pa.string())),
        pa.field("flags", pa.list_(pa.string())),
        pa.field("hash", pa.string()),
        pa.field("age_years", pa.float64()),
        pa.field("sex", pa.string()),
    ]
)
"""What is known of a recording without its signal; `samples` is their number per lead."""

SHARD_SCHEMA = pa.schema(
    [
        *FACTS,
        pa.field("scale_mv", pa.list_(pa.float32())),
        pa.field("counts", pa.large_list(pa.int16())),
    ]
)
"""Columns of a shard: `counts` holds lead after lead; millivolts are counts times the lead's `scale_mv`."""

INDEX_SCHEMA = pa.schema(
    [
        *FACTS,
        pa.field("split", pa.string()),
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int32()),
    ]
)
"""Columns of the index: the facts, the split, and where the signal lies."""

QUALITY_STORE = b"anylead.store"
"""Key of the metadata of `QUALITY`: the fingerprint of the store that was measured."""

LEAD_SET = "lead_set"
"""Column that only the twin has: the leads as one word, each distinct word stored once."""


def shard_path(store: Path, number: int) -> Path:
    """Returns the file of one shard."""
    return store / SHARDS / f"shard-{number:05d}.arrow"
