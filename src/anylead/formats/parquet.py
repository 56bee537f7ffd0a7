"""Parquet: one column a lead, one row a sample. Rate and unit come from the sidecar or the caller."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pyarrow import ArrowException, float64
from pyarrow import parquet as arrow_parquet

from anylead.errors import RecordFileError
from anylead.formats.base import Format, check_values
from anylead.formats.description import DESCRIBED, describe, described_record, stated_unit
from anylead.formats.table import choose_columns
from anylead.record import Record

_MARK = b"PAR1"


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a file begins as Parquet does."""
    return head.startswith(_MARK)


def read_parquet(
    path: Path,
    *,
    fs: float | int | None = None,
    unit: str | None = None,
    leads: Sequence[str] | str | None = None,
) -> Record:
    """Reads the columns of a Parquet file as leads; a null is a missing sample.

    Args:
        path: The file.
        fs: Sampling rate in Hz; the sidecar's where it is None, as for the others.
        unit: Unit of voltage.
        leads: Which columns, by name; all where nobody names any.

    Raises:
        RecordFileError: If the rate or the unit is nowhere, or the columns are not leads.
    """
    description = describe(path, fs=fs, unit=unit, leads=leads)
    try:
        with arrow_parquet.ParquetFile(path) as file:
            columns = choose_columns(path, file.schema_arrow.names, description.leads)
            check_values(path, file.metadata.num_rows * len(columns.names))
            table = file.read(columns=list(columns.names), use_threads=False)
        values = np.stack([table[name].cast(float64()).to_numpy() for name in columns.names])
    except RecordFileError:
        raise
    except (ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise RecordFileError(
            f"{path}: the columns cannot be read as numbers ({str(error).splitlines()[0]}); write them again."
        ) from error
    return described_record(path, values, description, columns.leads, flags=columns.flags)


FORMAT = Format(
    name="Parquet (.parquet)", recognises=recognises, read=read_parquet, takes=DESCRIBED, unit=stated_unit
)
