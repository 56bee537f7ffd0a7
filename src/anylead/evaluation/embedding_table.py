"""Embeddings that any other model made: a Parquet table with one row a recording and condition.

Columns: ``record_id``; ``embedding``, a list of numbers, as long in every row; and, if there is more than one
condition, ``condition``. The file that ``anylead embed`` writes is such a table.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32, Int

from anylead.errors import FileError, InputError

DEFAULT_CONDITION = "clean"
"""Of a table without that column."""

_ROWS_AT_ONCE = 4096
_NAMED = 3
"""Ids named in a sentence that counts them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """Embeddings by recording and condition."""

    path: Path
    record_ids: tuple[str, ...]
    """Of each row."""
    row_conditions: tuple[str, ...]
    embeddings: Float32[np.ndarray, "rows features"]
    """Finite."""
    notes: tuple[str, ...] = ()
    """Sentences for the report: what was dropped, what is missing."""

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return int(self.embeddings.shape[1])

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Conditions with a row, in the order in which they first appear."""
        return tuple(dict.fromkeys(self.row_conditions))

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same rows in the same order, wherever the file lies."""
        digest = hashlib.sha256(np.ascontiguousarray(self.embeddings).tobytes())
        for record, condition in zip(self.record_ids, self.row_conditions, strict=True):
            digest.update(f"{record}\0{condition}\n".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def _places(self) -> Mapping[tuple[str, str], int]:
        pairs = zip(self.record_ids, self.row_conditions, strict=True)
        return {pair: row for row, pair in enumerate(pairs)}

    def array(self, record_ids: Sequence[str], condition: str) -> Float32[np.ndarray, "n features"]:
        """Returns the embeddings of recordings under a condition, NaN where the table has none.

        Args:
            record_ids: As in the table: after `of_store`, as in the store.
            condition: Any name; one without rows gives NaN everywhere.
        """
        result = np.full((len(record_ids), self.dimension), np.nan, dtype=np.float32)
        found = [
            (place, self._places[record, condition])
            for place, record in enumerate(record_ids)
            if (record, condition) in self._places
        ]
        if found:
            places, rows = zip(*found, strict=True)
            result[list(places)] = self.embeddings[list(rows)]
        return result

    def of_store(
        self, record_ids: Sequence[str], splits: Sequence[str], *, conditions: Sequence[str] = ()
    ) -> "EmbeddingTable":
        """Returns the rows of recordings of a store, under the store's ids, with notes on what is missing.

        Args:
            record_ids: Of every recording of the store, as source/record. A row may also name the record
                alone where only one source has it.
            splits: Of every recording.
            conditions: Those that the report knows; where given, others are left out, and those without
                rows are named.

        Raises:
            InputError: If no row is of the store, none is of a known condition, or two are of one recording
                and condition.
        """
        named = _store_names(record_ids)
        known_conditions = set(conditions) or set(self.conditions)
        names = [named.get(name) for name in self.record_ids]
        unknown = list(dict.fromkeys(n for n, own in zip(self.record_ids, names, strict=True) if own is None))
        rows = [
            row
            for row, (name, condition) in enumerate(zip(names, self.row_conditions, strict=True))
            if name is not None and condition in known_conditions
        ]
        if len(unknown) == len(set(self.record_ids)):
            raise InputError(
                f"{self.path}: none of its {len(unknown)} record ids is in the store, which has "
                f"{_some(record_ids)}; name recordings as source/record, or by the record's id alone where "
                "only one source has it."
            )
        if not rows:
            raise InputError(
                f"{self.path}: none of its conditions, {_some(self.conditions)}, is known here; "
                f"accepted are {', '.join(conditions)}."
            )
        table = replace(
            self,
            record_ids=tuple(str(names[row]) for row in rows),
            row_conditions=tuple(self.row_conditions[row] for row in rows),
            embeddings=self.embeddings[np.array(rows, dtype=np.int64)],
        )
        _require_once(self.path, table.record_ids, table.row_conditions, InputError)
        notes = [*self.notes]
        if unknown:
            notes.append(
                f"{len(unknown)} record ids of the table are not in the store and are left out: "
                f"{_some(unknown)}."
            )
        notes += _condition_notes(self.conditions, conditions)
        notes += table._missing_notes(record_ids, splits)
        return replace(table, notes=tuple(notes))

    def _missing_notes(self, record_ids: Sequence[str], splits: Sequence[str]) -> list[str]:
        """Says how many recordings of each split have no row, conditions that lack as many together."""
        sizes = Counter(splits)
        lacking: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for condition in self.conditions:
            missing = Counter(
                split
                for record, split in zip(record_ids, splits, strict=True)
                if (record, condition) not in self._places
            )
            if missing:
                counts = tuple((split, missing[split]) for split in sizes if missing[split])
                lacking.setdefault(counts, []).append(condition)
        return [
            f"Under {', '.join(names)} the table has no embedding for "
            + ", ".join(f"{count} of {sizes[split]} {split}" for split, count in counts)
            + " recordings."
            for counts, names in lacking.items()
        ]


def read_embedding_table(path: Path) -> EmbeddingTable:
    """Reads embeddings from a Parquet file.

    Rows with NaN or infinity are left out, and a note counts and names them.

    Raises:
        FileError: If the file is absent or not Parquet, lacks a column, has a row without an id, two rows for
            one recording and condition, embeddings of several lengths, or none that is finite.
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as parquet:
            _require_columns(path, parquet.schema_arrow)
            has_conditions = "condition" in parquet.schema_arrow.names
            names = _texts(path, parquet, "record_id")
            conditions = (
                _texts(path, parquet, "condition") if has_conditions else [DEFAULT_CONDITION] * len(names)
            )
            embeddings = _embeddings(path, parquet, names)
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path}: the embeddings cannot be read ({str(error).splitlines()[0]}); "
            "give a Parquet file with the columns record_id and embedding."
        ) from error
    _require_once(path, names, conditions, FileError)
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.any():
        raise FileError(
            f"{path}: none of its {len(names)} embeddings is finite; "
            "give numbers that are not NaN or infinite."
        )
    notes = []
    if not finite.all():
        dropped = [f"{names[row]} ({conditions[row]})" for row in np.flatnonzero(~finite)]
        notes.append(
            f"{len(dropped)} of {len(names)} embeddings hold NaN or infinity and are left out: "
            f"{_some(dropped)}."
        )
    kept = np.flatnonzero(finite)
    return EmbeddingTable(
        path=path,
        record_ids=tuple(names[row] for row in kept),
        row_conditions=tuple(conditions[row] for row in kept),
        embeddings=embeddings[kept],
        notes=tuple(notes),
    )


def _require_columns(path: Path, schema: pa.Schema) -> None:
    missing = [name for name in ("record_id", "embedding") if name not in schema.names]
    if missing:
        raise FileError(
            f"{path}: there is no column {' and no column '.join(missing)}, only "
            f"{', '.join(schema.names)}; give record_id, embedding and, if there are several, condition."
        )
    kind = schema.field("embedding").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise FileError(f"{path}: the column embedding holds {kind}; give a list of numbers in every row.")


def _texts(path: Path, parquet: pq.ParquetFile, name: str) -> list[str]:
    column = parquet.read(columns=[name]).column(name)
    if column.null_count:
        raise FileError(f"{path}: {column.null_count} rows have no {name}; give one in every row.")
    return [str(value) for value in column.to_pylist()]


def _embeddings(
    path: Path, parquet: pq.ParquetFile, names: Sequence[str]
) -> Float32[np.ndarray, "rows features"]:
    """Reads a block of rows at a time; a row without an embedding is NaN."""
    result: np.ndarray | None = None
    start = 0
    first = ""
    for batch in parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=["embedding"]):
        column = batch.column(0)
        lengths = np.asarray(pc.list_value_length(column).fill_null(-1))
        present: Int[np.ndarray, "present"] = np.flatnonzero(np.asarray(column.is_valid()))
        if result is None and len(present):
            result = np.full((len(names), int(lengths[present[0]])), np.nan, dtype=np.float32)
            first = names[start + int(present[0])]
        if result is not None and len(present):
            other = present[lengths[present] != result.shape[1]]
            if len(other):
                raise FileError(
                    f"{path}: the embedding of {names[start + int(other[0])]} has {lengths[other[0]]} "
                    f"numbers and that of {first} has {result.shape[1]}; give as many in every row."
                )
            # Large values of another type become infinite here, and are counted with those that were.
            with np.errstate(over="ignore"):
                values = column.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            result[start + present] = values.reshape(len(present), result.shape[1])
        start += len(column)
    if result is None or not result.shape[1]:
        raise FileError(f"{path}: there is no embedding in it; give at least one row with numbers.")
    return result


def _require_once(
    path: Path, names: Sequence[str], conditions: Sequence[str], kind: type[FileError] | type[InputError]
) -> None:
    twice = [pair for pair, count in Counter(zip(names, conditions, strict=True)).items() if count > 1]
    if twice:
        told = _some([f"{name} ({condition})" for name, condition in twice])
        raise kind(
            f"{path}: {len(twice)} recordings have more than one row under a condition, {told}; "
            "give one row a recording and condition."
        )


def _store_names(record_ids: Sequence[str]) -> dict[str, str]:
    """Returns what a table may call a recording of the store, to the store's id."""
    alone = Counter(name.partition("/")[2] for name in record_ids)
    short = {name.partition("/")[2]: name for name in record_ids if alone[name.partition("/")[2]] == 1}
    return {**short, **{name: name for name in record_ids}}


def _condition_notes(given: Sequence[str], known: Sequence[str]) -> list[str]:
    if not known:
        return []
    notes = []
    strange = [name for name in given if name not in known]
    if strange:
        notes.append(
            f"{len(strange)} conditions of the table are unknown and are left out: {', '.join(strange)}."
        )
    absent = [name for name in known if name not in given]
    if absent:
        # A name begins with its family; a hundred names would say less than their families.
        families = Counter(name.partition("-")[0] for name in absent)
        told = ", ".join(f"{family} ({count})" for family, count in families.items())
        notes.append(
            f"The table has no rows for {len(absent)} conditions, so what they are for is missing: {told}."
        )
    return notes


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
