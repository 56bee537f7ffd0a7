"""Writing CSV: a first line of lead names, one row a sample in millivolts, and the sidecar beside it."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from anylead.formats.sidecar import columns, write_sidecar
from anylead.provenance import atomic_path
from anylead.record import Record


def write_csv(record: Record, path: Path) -> None:
    """Writes a recording as CSV and its sidecar, the table last; a missing sample is an empty cell.

    Every number has as many digits as single precision needs to come back the same.

    Raises:
        FileError: If the disk refuses.
    """
    table = pa.table({lead: pa.array(row, from_pandas=True) for lead, row in columns(record).items()})
    write_sidecar(record, path)
    with atomic_path(path) as temporary:
        arrow_csv.write_csv(table, temporary)
