"""The quality of a store's recordings: a file beside its index, and from then on columns of `Store.index`."""

import pyarrow as pa
import pyarrow.parquet as pq

from anylead.provenance import atomic_path
from anylead.store.layout import QUALITY, QUALITY_STORE
from anylead.store.reader import Store

COLUMNS = {
    "missing": "missing_share",
    "flat": "flat_share",
    "saturated": "saturated_share",
    "clipped": "clipped_mv",
    "powerline": "powerline_share",
    "wander": "wander_mv",
    "noise": "noise_mv",
    "einthoven": "einthoven_residual",
    "arm_signs": "arm_signs",
}
"""Measure -> column. Of what is measured lead by lead it holds the largest value over the leads."""

QUALITY_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string()),
        *(pa.field(column, pa.float32()) for column in COLUMNS.values()),
        pa.field("duplicate_of", pa.string()),
        pa.field("faults", pa.list_(pa.string())),
    ]
)
"""Null where a measure cannot be told; `duplicate_of` is the record_id of the first of equal recordings;
`faults` are written as flags are, ``kind`` or ``kind:lead``."""


def write_quality(store: Store, table: pa.Table) -> None:
    """Writes ``quality.parquet`` into a store, whole or not at all; an older one is replaced.

    Args:
        store: The store that was measured.
        table: Columns of `QUALITY_SCHEMA`, one row a recording.

    Raises:
        FileError: If the disk refuses.
    """
    told = table.cast(QUALITY_SCHEMA).replace_schema_metadata(
        {QUALITY_STORE: store.manifest.fingerprint.encode()}
    )
    with atomic_path(store.path / QUALITY) as temporary:
        pq.write_table(told, temporary)
