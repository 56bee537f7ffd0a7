"""Writing Parquet: one column a lead in millivolts, single precision, and the sidecar beside it."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as arrow_parquet

from anylead.formats.sidecar import columns, write_sidecar
from anylead.provenance import atomic_path
from anylead.record import Record


def write_parquet(record: Record, path: Path) -> None:
    """Writes a recording as Parquet and its sidecar, the table last; a missing sample is a null.

    Raises:
        FileError: If the disk refuses.
    """
    table = pa.table({lead: pa.array(row, from_pandas=True) for lead, row in columns(record).items()})
    write_sidecar(record, path)
    with atomic_path(path) as temporary:
        arrow_parquet.write_table(table, temporary)
