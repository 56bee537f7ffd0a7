"""convert: recordings in any format that is read, to files of one that is written."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anylead.errors import AnyleadError, ConfigError, FileError
from anylead.formats import identify, read
from anylead.formats.delimited import SUFFIXES
from anylead.formats.wfdb import header_path
from anylead.formats.wfdb_header import read_header
from anylead.formats.writers import WRITERS, write, writer_for
from anylead.provenance import atomic_path
from anylead.record import Record
from anylead.workflows.deidentify import check_key, deidentify, keyed_hash

REJECTED = "rejected.csv"
_TABLES = (*SUFFIXES, ".parquet", ".npy")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What to write, and how tables that do not say it are to be read."""

    to: str | None = None
    """Format to write; None goes by the suffix of the file written."""
    leads: tuple[str, ...] = ()
    """Leads to write, in this order; for an array without names, the names of its rows. None writes all."""
    fs: float | None = None
    """Sampling rate in Hz, of a table or an array that does not say it."""
    unit: str | None = None
    """Unit of voltage, likewise."""
    key: bytes | None = field(default=None, repr=False)
    """De-identifies with this key; None leaves the recordings as they are."""

    def __post_init__(self) -> None:
        if self.key is not None:
            check_key(self.key)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What became of a folder."""

    out: Path
    converted: int
    rejected: int
    list_of_rejected: Path | None
    """None where nothing was rejected."""

    def line(self) -> str:
        """Returns the closing line."""
        where = f" (see {self.list_of_rejected})" if self.list_of_rejected else ""
        return f"{self.out}: converted {self.converted}, rejected {self.rejected}{where}"


def convert(path: Path, out: Path, config: ConvertConfig | None = None) -> Path:
    """Writes one recording in another format.

    Args:
        path: What `anylead.read` takes; ``file::item`` too.
        out: The file to write.
        config: The options; the defaults where None.

    Returns:
        The file written.

    Raises:
        RecordFileError: If the recording cannot be read.
        InputError: If the format is unknown or cannot hold the recording.
        FileError: If there is such a file, or the disk refuses.
    """
    config = config or ConvertConfig()
    writer_for(out, config.to)  # a wrong name is said before anything is read
    return write(_prepared(_read(path, config), config), out, to=config.to)


def convert_folder(folder: Path, out: Path, config: ConvertConfig) -> Converted:
    """Writes every recording of a folder and its subfolders, and lists what cannot be, with the reason.

    The list is ``rejected.csv`` in `out`; where recordings are de-identified it names files, and so it lies
    beside `out`. A file without a recording (a text, an annotation) is listed, too.

    Args:
        folder: Where the recordings are.
        out: A folder that is empty or not there.
        config: The options; `to` is needed.

    Raises:
        ConfigError: If no format is named.
        FileError: If `out` is no empty folder, there is no file, or the disk refuses.
    """
    if config.to is None:
        raise ConfigError(f"{folder}: this is a folder; say the format with --to {' | '.join(WRITERS)}.")
    writer_for(Path("name"), config.to)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileError(f"{out}: there is something already; name an empty folder or none.")
    files = _recordings(folder)
    if not files:
        raise FileError(f"{folder}: the folder holds no file; name one with recordings.")
    rejected: list[tuple[str, str]] = []
    for path in files:
        name = path.relative_to(folder)
        try:
            record = replace(_read(path, config), record_id=name.as_posix())
            write(_prepared(record, config), out / _name(name, config), to=config.to)
        except AnyleadError as error:
            rejected.append((name.as_posix(), " ".join(str(error).split())))
    table = out / REJECTED if config.key is None else out.with_name(f"{out.name}-{REJECTED}")
    if rejected:
        _write_rejected(table, rejected)
    return Converted(
        out=out,
        converted=len(files) - len(rejected),
        rejected=len(rejected),
        list_of_rejected=table if rejected else None,
    )


def _read(path: Path, config: ConvertConfig) -> Record:
    # A table is told its leads when it is read, so that an array learns the names of its rows.
    described = "leads" in identify(path).takes
    if described:
        return read(path, fs=config.fs, unit=config.unit, leads=config.leads or None)
    record = read(path, fs=config.fs, unit=config.unit)
    return record.select(config.leads) if config.leads else record


def _prepared(record: Record, config: ConvertConfig) -> Record:
    return record if config.key is None else deidentify(record, config.key)


def _recordings(folder: Path) -> list[Path]:
    """Returns the files, without hidden ones and parts of another: data files, segments, sidecars."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    segments = _segments(files)
    return [path for path in files if path not in segments and not _belongs_to_another(path)]


def _belongs_to_another(path: Path) -> bool:
    header = header_path(path)
    if path.suffix.lower() == ".json":
        return any(path.with_suffix(suffix).is_file() for suffix in _TABLES)
    return path.suffix.lower() in (".dat", ".mat") and header is not None and header != path


def _segments(files: Sequence[Path]) -> set[Path]:
    """Returns the headers that a multi-segment header joins."""
    found: set[Path] = set()
    for path in files:
        if path.suffix.lower() != ".hea":
            continue
        try:
            parts = read_header(path).parts
        except AnyleadError:
            continue  # it is read again, and listed
        found |= {path.with_name(f"{name}.hea") for name, _ in parts}
    return found


def _name(name: Path, config: ConvertConfig) -> Path:
    """Returns the name of the file to write, without suffix, of characters that every format takes."""
    if config.key is not None:
        return Path(keyed_hash(config.key, "record", name.as_posix()))
    return name.with_name(re.sub(r"[^A-Za-z0-9_-]", "_", name.stem))


def _write_rejected(path: Path, rejected: Sequence[tuple[str, str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason"])
        writer.writerows(rejected)
