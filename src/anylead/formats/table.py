"""Which of the named columns of a table (CSV, TSV, Parquet) are the leads of the record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anylead.errors import InputError, RecordFileError
from anylead.leads import canonical_leads

INDEX_COLUMNS = frozenset({"", "index", "sample", "samples", "t", "time", "time_s", "time_ms", "timestamp"})
"""Columns, in lower case, that count rows or tell the time."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns to be read, one a lead."""

    names: tuple[str, ...]
    """As the table spells them."""
    leads: tuple[str, ...]
    """Canonical, one a name."""
    flags: tuple[str, ...]
    """``left_out:<lead>`` for every column nobody asked for."""


def choose_columns(path: Path, names: Sequence[str], leads: Sequence[str] | None) -> Columns:
    """Chooses the columns that `leads` names, in its order, or else all; those that count rows are no leads.

    Raises:
        RecordFileError: If a lead is not among the columns, two columns mean one lead, or none is a lead.
    """
    if len(set(names)) < len(names):
        raise RecordFileError(f"{path}: two columns are called the same in {_some(names)}; name each once.")
    found = [name for name in names if not _is_index(name)]
    if not found:
        raise RecordFileError(f"{path}: no column is a lead; give one column a lead, one row a sample.")
    try:
        by_lead = dict(zip(canonical_leads(found, where=str(path)), found, strict=True))
    except InputError as error:
        raise RecordFileError(str(error)) from error
    chosen = tuple(leads or by_lead)
    absent = [lead for lead in chosen if lead not in by_lead]
    if absent:
        raise RecordFileError(
            f"{path}: lead {', '.join(absent)} is not among the columns {_some(list(by_lead))}; name others."
        )
    return Columns(
        names=tuple(by_lead[lead] for lead in chosen),
        leads=chosen,
        flags=tuple(f"left_out:{lead}" for lead in by_lead if lead not in chosen),
    )


def _is_index(column: str) -> bool:
    # pandas calls the index of a table __index_level_0__ where it has no name of its own.
    return column.strip().casefold() in INDEX_COLUMNS or column.startswith("__index_level_")


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
