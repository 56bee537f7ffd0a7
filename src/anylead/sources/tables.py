"""Tables of a data set: CSV files read row by row, refused where they are not as published."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

from anylead.errors import RecordFileError
from anylead.sources.base import RecordRef


def read_refs(
    root: Path, name: str, make: Callable[[Mapping[str, str]], RecordRef], *, what: str
) -> list[RecordRef]:
    """Returns one reference a row of a table, in its order.

    Args:
        root: Folder of the data set.
        name: Of the table.
        make: Makes a reference of a row.
        what: What the folder should be, for the error.

    Raises:
        RecordFileError: If the table is absent, lacks a column or has a row that cannot be understood.
    """
    table = root / name
    if not table.is_file():
        raise RecordFileError(f"{root}: there is no {name}; give the folder of {what}.")
    refs = []
    with table.open(newline="", encoding="utf-8-sig") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                refs.append(make(row))
            except (KeyError, ValueError, AttributeError, TypeError) as error:
                raise RecordFileError(
                    f"{table}: line {line} cannot be understood ({type(error).__name__}: {error}); "
                    "use the table as published."
                ) from error
    return refs
