"""CSV and TSV: a first line of lead names or none, one column a lead, one row a sample.

Rate and unit, and the names where there is no first line of them, come from the sidecar or the caller.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pyarrow import ArrowException, float64
from pyarrow import csv as arrow_csv

from anylead.errors import RecordFileError
from anylead.formats.base import HEAD_BYTES, Format
from anylead.formats.description import DESCRIBED, Description, describe, described_record, stated_unit
from anylead.formats.table import choose_columns
from anylead.record import Record

SUFFIXES = (".csv", ".tsv")
_MISSING = ["", "nan", "NaN", "NAN", "NA", "N/A", "null", "None"]


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a file is called so; text has no mark."""
    return bool(head) and path.suffix.lower() in SUFFIXES


def read_delimited(
    path: Path,
    *,
    fs: float | int | None = None,
    unit: str | None = None,
    leads: Sequence[str] | str | None = None,
) -> Record:
    """Reads a table of text; commas, semicolons and tabs separate, and an empty cell is a missing sample.

    Args:
        path: The file.
        fs: Sampling rate in Hz; the sidecar's where it is None, as for the others.
        unit: Unit of voltage.
        leads: Which columns, by name; or the names of all columns, where the first line names none.

    Raises:
        RecordFileError: If the rate, the unit or the names are nowhere, or the file is no such table.
    """
    description = describe(path, fs=fs, unit=unit, leads=leads)
    lines = _first_lines(path)
    delimiter = max((",", ";", "\t"), key=lambda mark: (lines[0].count(mark), mark == ","))
    cells = next(csv.reader(io.StringIO(lines[0]), delimiter=delimiter), [])
    named = not all(_is_number(cell) for cell in cells)
    names = [cell.strip() for cell in cells] if named else _given_names(path, description, len(cells))
    columns = choose_columns(path, names, description.leads)
    comma = delimiter != "," and "," in lines[-1] and "." not in lines[-1]
    options = arrow_csv.ConvertOptions(
        include_columns=columns.names,
        column_types=dict.fromkeys(columns.names, float64()),
        null_values=_MISSING,
        decimal_point="," if comma else ".",
    )
    values = _values(path, names, delimiter, skip=named, options=options)
    return described_record(path, values, description, columns.leads, flags=columns.flags)


def _first_lines(path: Path) -> list[str]:
    """Returns the first line and, where there is one, the second."""
    with path.open("rb") as file:
        head = file.read(16 * HEAD_BYTES)
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 16 * HEAD_BYTES else "ignore")
    except UnicodeDecodeError as error:
        raise RecordFileError(
            f"{path}: this is no UTF-8 text ({error.reason}); export it as UTF-8."
        ) from error
    lines = [line for line in text.splitlines()[:2] if line.strip()]
    if not lines or "\0" in text:
        raise RecordFileError(f"{path}: this is no table of text; give one column a lead, one row a sample.")
    return lines


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".") or "nan")
    except ValueError:
        return False
    return True


def _given_names(path: Path, description: Description, columns: int) -> list[str]:
    if description.leads is None or len(description.leads) != columns:
        given = "none" if description.leads is None else str(len(description.leads))
        raise RecordFileError(
            f"{path}: the first line names no leads, there are {columns} columns and {given} given; name "
            "every column with leads=, in order (one row is one sample: is the table transposed?)."
        )
    return list(description.leads)


def _values(
    path: Path, names: list[str], delimiter: str, *, skip: bool, options: arrow_csv.ConvertOptions
) -> np.ndarray:
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=int(skip), use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
            convert_options=options,
        )
    except (ArrowException, OSError, ValueError, KeyError) as error:
        raise RecordFileError(
            f"{path}: the table cannot be read ({str(error).splitlines()[0]}); every row needs "
            f"{len(names)} cells, and the columns of leads numbers."
        ) from error
    return np.stack([column.to_numpy() for column in table.columns])  # null is NaN


FORMAT = Format(
    name="CSV or TSV (.csv, .tsv)",
    recognises=recognises,
    read=read_delimited,
    takes=DESCRIBED,
    unit=stated_unit,
)
