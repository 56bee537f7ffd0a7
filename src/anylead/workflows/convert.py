"""convert: recordings in any format that is read, to files of one that is written."""

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from anylead.errors import AnyleadError, ConfigError, FileError
from anylead.formats import identify, read
from anylead.formats.folder import look_through
from anylead.formats.writers import WRITERS, is_written, write, writer_for
from anylead.provenance import atomic_path
from anylead.record import Record
from anylead.workflows.deidentify import check_key, deidentify, keyed_hash

REJECTED = "rejected.csv"


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
    before: int = 0
    """How many of the converted ones were there already."""

    def line(self) -> str:
        """Returns the closing line."""
        where = f" (see {self.list_of_rejected})" if self.list_of_rejected else ""
        before = f" ({self.before} of them before)" if self.before else ""
        return f"{self.out}: converted {self.converted}{before}, rejected {self.rejected}{where}"


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


def convert_folder(folder: Path, out: Path, config: ConvertConfig, *, progress: bool = False) -> Converted:
    """Writes every recording of a folder and its subfolders, and lists what cannot be, with the reason.

    The list is ``rejected.csv`` in `out`; where recordings are de-identified it names files, and so it lies
    beside `out`. A file without a recording (a text, an annotation) is listed, too. After an interruption the
    same call goes on: what is there already is compared with its recording and left as it is.

    Args:
        folder: Where the recordings are.
        out: A folder that is not there, or holds nothing but what the same call wrote.
        config: The options; `to` is needed.
        progress: Show a progress bar on standard error.

    Raises:
        ConfigError: If no format is named.
        FileError: If `out` holds something else, there is no file, or the disk refuses.
    """
    if config.to is None:
        raise ConfigError(f"{folder}: this is a folder; say the format with --to {' | '.join(WRITERS)}.")
    writer_for(Path("name"), config.to)
    names = [Path(path).relative_to(folder) for path in look_through(folder, ignore=out).files]
    table = out / REJECTED if config.key is None else out.with_name(f"{out.name}-{REJECTED}")
    _require_own(out, {out / _name(name, config) for name in names}, table)
    if not names:
        raise FileError(f"{folder}: the folder holds no file; name one with recordings.")
    rejected: list[tuple[str, str]] = []
    made: set[Path] = set()
    before = 0
    for name in tqdm(names, desc="convert", unit="file", disable=not progress):
        target = out / _name(name, config)
        try:
            record = replace(_read(folder / name, config), record_id=name.as_posix())
            before += _write(_prepared(record, config), target, config, again=target in made)
            made.add(target)
        except AnyleadError as error:
            rejected.append((name.as_posix(), " ".join(str(error).split())))
    if rejected:
        _write_rejected(table, rejected)
    else:
        table.unlink(missing_ok=True)
    return Converted(
        out=out,
        converted=len(names) - len(rejected),
        rejected=len(rejected),
        list_of_rejected=table if rejected else None,
        before=before,
    )


def _write(record: Record, target: Path, config: ConvertConfig, *, again: bool) -> bool:
    """Writes a recording, unless an earlier call did; says whether it did.

    Args:
        record: The recording.
        target: Its file without suffix.
        config: The options.
        again: Whether this call gave the name to another recording, so that the file is not this one's.
    """
    if not again and is_written(record, target, to=config.to):
        return True
    write(record, target, to=config.to)
    return False


def _require_own(out: Path, targets: set[Path], table: Path) -> None:
    """Refuses a folder with files that this conversion does not write."""
    if not os.path.lexists(out):
        return
    there = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else [out]
    own = {str(target) for target in targets}
    strange = [
        path
        for path in there
        if path != table
        and str(path.with_suffix("")) not in own
        and not any(part.startswith(".") for part in path.relative_to(out).parts)
    ]
    if strange:
        raise FileError(
            f"{out}: there is something already ({strange[0].name}); name an empty folder or none."
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
