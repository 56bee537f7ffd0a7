"""predictions.parquet: one row a (task, protocol, condition, system, recording), one row group a block.

Class names, the fingerprints of the stores and the provenance are in the schema's metadata, as JSON under
``anylead``. Any tool that reads Parquet reads the file; `read_predictions` also reads one that such a tool
wrote, whatever its row groups.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anylead.config import to_plain
from anylead.errors import FileError, InputError
from anylead.evaluation.predictions import Block, BlockKey, ClassificationBlock, IdentificationBlock
from anylead.provenance import atomic_path

FILE_NAME = "predictions.parquet"
FORMAT = 1
"""Of the file. Readers refuse a larger one."""

_KEY = ("task", "protocol", "condition", "system")
_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _KEY),
        pa.field("record_id", pa.string()),
        pa.field("patient", pa.string()),
        pa.field("labels", pa.list_(pa.bool_())),
        pa.field("scores", pa.list_(pa.float32())),
        pa.field("rank", pa.int32()),
        pa.field("enrolled", pa.int32()),
        pa.field("own_similarity", pa.float32()),
        pa.field("best_other_similarity", pa.float32()),
        pa.field("session", pa.string()),
    ]
)
_OF_TASK = {
    "classification": ("labels", "scores"),
    "identification": ("rank", "enrolled", "own_similarity", "best_other_similarity", "session"),
}


class PredictionsWriter:
    """Takes blocks one by one; see `write_predictions`."""

    def __init__(self, parquet: pq.ParquetWriter, classes: Sequence[str]) -> None:
        self._parquet = parquet
        self._classes = tuple(classes)
        self._written: set[BlockKey] = set()

    def write(self, block: Block) -> None:
        """Adds a block.

        Raises:
            InputError: If it was written before, or has another number of classes than the file.
        """
        if block.key in self._written:
            raise InputError(f"predictions {block.key}: was written before; give each block once.")
        if isinstance(block, ClassificationBlock) and block.labels.shape[1] != len(self._classes):
            raise InputError(
                f"predictions {block.key}: got {block.labels.shape[1]} columns for the {len(self._classes)} "
                "classes of the file; give one a class, NaN scores for a class that is not scored."
            )
        self._written.add(block.key)
        self._parquet.write_table(_table(block), row_group_size=len(block.record_ids))


@contextmanager
def write_predictions(
    path: Path,
    *,
    classes: Sequence[str],
    stores: Sequence[str],
    provenance: Mapping[str, Any] | None = None,
) -> Iterator[PredictionsWriter]:
    """Yields a writer of a file that is there, whole, when the block ends without an error.

    Args:
        path: Of the file, replaced if there is one.
        classes: Names of the columns of labels and scores.
        stores: Fingerprints of the stores judged on: reports on other ones are not compared pair by pair.
        provenance: Seeds, versions, configuration.

    Raises:
        FileError: If the disk refuses; nothing is changed then.
    """
    facts = {
        "predictions": FORMAT,
        "classes": list(classes),
        "stores": sorted(stores),
        "provenance": to_plain(provenance or {}),
    }
    schema = _SCHEMA.with_metadata({"anylead": json.dumps(facts, default=str)})
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as parquet,
    ):
        yield PredictionsWriter(parquet, classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """A file of predictions: what is in it is known, blocks are read when asked for."""

    path: Path
    classes: tuple[str, ...]
    stores: tuple[str, ...]
    """Fingerprints, sorted."""
    provenance: Mapping[str, Any]
    groups: Mapping[BlockKey, tuple[int, ...]]
    """Block to the row groups that hold rows of it, in the order of the file."""

    @property
    def keys(self) -> tuple[BlockKey, ...]:
        """Blocks in the file, in its order."""
        return tuple(self.groups)

    def patients(self) -> dict[str, str | None]:
        """Returns whose each recording in the file is.

        Raises:
            FileError: If a recording has two patients, or the file cannot be read.
        """
        known: dict[str, str | None] = {}
        table = _read(self.path, columns=["record_id", "patient"])
        columns = (table.column(name).to_pylist() for name in ("record_id", "patient"))
        for record, patient in dict.fromkeys(zip(*columns, strict=True)):
            if known.setdefault(record, patient) != patient:
                raise FileError(
                    f"{self.path}: {record} is of patient {known[record]} and of {patient}; "
                    "make the file again with one patient a recording."
                )
        return known

    def block(self, key: BlockKey) -> Block:
        """Reads one block.

        Raises:
            InputError: If there is no such block.
            FileError: If what is in the file cannot be used: a recording twice, a missing value, NaN.
        """
        if key not in self.groups:
            raise InputError(f"{self.path}: there is no block {key}; there are {len(self.groups)} others.")
        table = _read(self.path, groups=self.groups[key])
        mask = np.ones(len(table), dtype=bool)
        for name in _KEY:
            mask &= np.asarray(table.column(name)) == getattr(key, name)
        table = table.filter(pa.array(mask))
        for name in ("record_id", *_OF_TASK[key.task]):
            if table.column(name).null_count:
                raise FileError(
                    f"{self.path}: {table.column(name).null_count} rows of {key} have no {name}; "
                    f"give a {name} in every row of {key.task}."
                )
        try:
            return _block(key, table, len(self.classes))
        except InputError as error:
            raise FileError(f"{self.path}: {error}") from error


def read_predictions(path: Path) -> Predictions:
    """Opens a file of predictions; reads which blocks it holds, not the blocks.

    Raises:
        FileError: If it is absent, not Parquet, not of predictions, of a newer format, or lacks a column.
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as parquet:
            facts = _facts(path, parquet.schema_arrow)
            groups: dict[BlockKey, list[int]] = {}
            for number in range(parquet.num_row_groups):
                found = parquet.read_row_group(number, columns=list(_KEY)).group_by(list(_KEY)).aggregate([])
                for row in found.to_pylist():
                    groups.setdefault(_key(path, row), []).append(number)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    return Predictions(
        path=path,
        classes=tuple(facts["classes"]),
        stores=tuple(sorted(facts["stores"])),
        provenance=facts.get("provenance", {}),
        groups={key: tuple(numbers) for key, numbers in groups.items()},
    )


def _facts(path: Path, schema: pa.Schema) -> dict[str, Any]:
    try:
        facts = json.loads((schema.metadata or {})[b"anylead"])
        number = int(facts["predictions"])
        complete = {"classes", "stores"} <= set(facts)
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise FileError(
            f"{path}: the metadata says nothing of predictions; give the {FILE_NAME} of an evaluation."
        )
    if number > FORMAT:
        raise FileError(
            f"{path}: the predictions have the newer format {number}, this anylead reads up to {FORMAT}; "
            "update anylead or evaluate again."
        )
    missing = [name for name in _SCHEMA.names if name not in schema.names]
    if missing:
        raise FileError(
            f"{path}: there is no column {', '.join(missing)}; predictions have {', '.join(_SCHEMA.names)}."
        )
    return dict(facts)


def _key(path: Path, row: Mapping[str, Any]) -> BlockKey:
    empty = [name for name in _KEY if row[name] is None]
    if empty or row["task"] not in _OF_TASK:
        raise FileError(
            f"{path}: a row has the task {row['task']!r}{' and no ' + empty[0] if empty else ''}; every row "
            f"needs {', '.join(_KEY)}, and the task is {' or '.join(_OF_TASK)}."
        )
    return BlockKey(**{name: row[name] for name in _KEY})


def _read(
    path: Path, *, groups: Sequence[int] | None = None, columns: Sequence[str] = tuple(_SCHEMA.names)
) -> pa.Table:
    try:
        with pq.ParquetFile(path) as parquet:
            numbers = range(parquet.num_row_groups) if groups is None else groups
            table = parquet.read_row_groups(list(numbers), columns=list(columns))
        return table.cast(pa.schema([_SCHEMA.field(name) for name in table.schema.names]))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FileError:
    if isinstance(error, FileError):
        return error
    return FileError(
        f"{path}: the predictions cannot be read ({str(error).splitlines()[0]}); "
        f"give the {FILE_NAME} of an evaluation."
    )


def _table(block: Block) -> pa.Table:
    rows = len(block.record_ids)
    columns: dict[str, Any] = {name: [getattr(block.key, name)] * rows for name in _KEY}
    columns |= {"record_id": list(block.record_ids), "patient": list(block.patients)}
    if isinstance(block, ClassificationBlock):
        columns |= {"labels": _lists(block.labels), "scores": _lists(block.scores)}
    else:
        columns |= {
            "rank": block.ranks,
            "enrolled": block.enrolled,
            "own_similarity": block.own_similarity,
            "best_other_similarity": block.best_other_similarity,
            "session": list(block.sessions),
        }
    arrays = []
    for field in _SCHEMA:
        given = columns.get(field.name)
        arrays.append(pa.nulls(rows, field.type) if given is None else pa.array(given, field.type))
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _lists(values: np.ndarray) -> pa.Array:
    ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.ascontiguousarray(values).reshape(-1)))


def _block(key: BlockKey, table: pa.Table, classes: int) -> Block:
    names = tuple(table.column("record_id").to_pylist())
    patients = tuple(table.column("patient").to_pylist())
    if key.task == "classification":
        labels, scores = (_matrix(key, table.column(name), classes) for name in ("labels", "scores"))
        return ClassificationBlock(
            key=key,
            record_ids=names,
            patients=patients,
            labels=labels.astype(bool),
            scores=scores.astype(np.float32),
        )
    numbers = {name: table.column(name).to_numpy() for name in _OF_TASK["identification"][:4]}
    return IdentificationBlock(
        key=key,
        record_ids=names,
        patients=patients,
        ranks=numbers["rank"],
        enrolled=numbers["enrolled"],
        own_similarity=numbers["own_similarity"],
        best_other_similarity=numbers["best_other_similarity"],
        sessions=tuple(table.column("session").to_pylist()),
    )


def _matrix(key: BlockKey, column: pa.ChunkedArray, classes: int) -> np.ndarray:
    lists = column.combine_chunks()
    lengths = set(np.asarray(lists.value_lengths()).tolist())
    values = lists.flatten()
    if lengths != {classes} or values.null_count:
        raise InputError(
            f"predictions {key}: a row has {', '.join(map(str, sorted(lengths)))} values of which "
            f"{values.null_count} are missing; give one for each of the {classes} classes of the file."
        )
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(lists), classes)
