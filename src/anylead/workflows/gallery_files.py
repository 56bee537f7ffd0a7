"""From files, folders and stores to recordings with a patient, as a gallery enrols them."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anylead.errors import AnyleadError, ConfigError, InputError
from anylead.formats import read
from anylead.record import Record
from anylead.sources.files import Files
from anylead.store.layout import MANIFEST

_SOURCE = "files:"
"""What the source of plain files puts before the patient that a file names."""


@dataclass(frozen=True, kw_only=True)
class PatientNames:
    """How the patient of a recording is known."""

    pattern: re.Pattern[str] | None = None
    """Its first group, found in the path, is the patient; None asks the file itself, or the table."""
    table: dict[str, str] | None = None
    """Recording -> patient."""

    @classmethod
    def of(cls, how: str) -> "PatientNames":
        """Reads what ``--patient-from`` was given.

        Args:
            how: ``field``, a CSV file with the columns ``record_id`` and ``patient_id``, or a regular
                expression with one group.

        Raises:
            ConfigError: If it is none of these, or the table cannot be read.
        """
        if how == "field":
            return cls()
        if how.lower().endswith(".csv"):
            return cls(table=_read_table(Path(how)))
        try:
            pattern = re.compile(how)
        except re.error as error:
            raise ConfigError(
                f"--patient-from: {how!r} is no regular expression ({error}); {_ACCEPTED}"
            ) from error
        if pattern.groups < 1:
            raise ConfigError(f"--patient-from: {how!r} has no group that is the patient; {_ACCEPTED}")
        return cls(pattern=pattern)

    def name(self, record: Record, path: Path) -> Record:
        """Returns the recording with its patient, None where this does not tell."""
        if self.pattern is not None:
            found = self.pattern.search(path.as_posix())
            return replace(record, patient_id=found.group(1) if found else None)
        if self.table is not None:
            names = (record.record_id, path.as_posix(), path.name, path.stem)
            return replace(record, patient_id=next((self.table[n] for n in names if n in self.table), None))
        return record


_ACCEPTED = (
    "give `field`, a CSV file with the columns record_id and patient_id, or an expression with one group, "
    "such as 'patient_([0-9]+)'."
)


@dataclass(kw_only=True)
class FileRecords:
    """Recordings of files and folders, read one at a time; what cannot be read is noted and stops no other.

    The id of a recording is its path below the folder given; for a file, the name of its folder and its own.
    """

    paths: Sequence[Path]
    names: PatientNames
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(path, reason)."""

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            yield from self._folder(path) if path.is_dir() else self._file(path)

    def _file(self, path: Path) -> Iterator[Record]:
        try:
            record = read(path)
        except AnyleadError as error:
            self.failed.append((str(path), str(error)))
            return
        folder = path.resolve().parent.name
        yield self.names.name(replace(record, record_id=f"{folder}/{record.record_id}"), path)

    def _folder(self, folder: Path) -> Iterator[Record]:
        source = Files()
        for ref in source.scan(folder):
            try:
                record = source.load(ref)
            except AnyleadError as error:
                self.failed.append((str(ref.path), str(error)))
                continue
            patient = record.patient_id or ""
            known = source.patient_known(ref.record_id, patient)
            own = replace(record, patient_id=patient.removeprefix(_SOURCE) if known else None)
            yield self.names.name(own, ref.path)


def is_store(path: Path) -> bool:
    """Says whether a path is a store that `anylead prepare` made."""
    return (path / MANIFEST).is_file()


def stores_and_files(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Parts stores from files and folders.

    Raises:
        InputError: If there is nothing.
    """
    if not paths:
        raise InputError("enrol: no recording is named; give files, folders or stores.")
    stores = [path for path in paths if is_store(path)]
    return stores, [path for path in paths if path not in stores]


def _read_table(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--patient-from: {path} cannot be read ({error}); {_ACCEPTED}") from error
    if not rows or not {"record_id", "patient_id"} <= set(rows[0]):
        raise ConfigError(f"--patient-from: {path} lacks the columns record_id and patient_id; {_ACCEPTED}")
    return {row["record_id"]: row["patient_id"] for row in rows if row["record_id"] and row["patient_id"]}
