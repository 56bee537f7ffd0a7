"""Record to file, in any format that is written; what was written is read back before it takes its name.

Adding a format: its writer's file, a line in `WRITERS`, one test.
"""

import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anylead.errors import AnyleadError, ConfigError, FileError, InputError
from anylead.formats import read
from anylead.formats.delimited_writer import write_csv
from anylead.formats.dicom_writer import write_dicom
from anylead.formats.edf import RATE_TOLERANCE
from anylead.formats.edf_writer import write_edf
from anylead.formats.parquet_writer import write_parquet
from anylead.formats.wfdb_writer import COUNTS_PER_MV, MAXIMUM_COUNT, write_wfdb
from anylead.record import Record


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One format that is written."""

    suffix: str
    """Of the file that is named."""
    write: Callable[[Record, Path], None]
    beside: str | None = None
    """Suffix of the file that comes with it."""
    exact: bool = False
    """Whether samples come back the same, and not only within one quantum."""


WRITERS: dict[str, Writer] = {
    "wfdb": Writer(
        suffix=".hea", write=lambda record, path: write_wfdb(record, path.with_suffix("")), beside=".dat"
    ),
    "edf": Writer(suffix=".edf", write=write_edf),
    "csv": Writer(suffix=".csv", write=write_csv, beside=".json", exact=True),
    "parquet": Writer(suffix=".parquet", write=write_parquet, beside=".json", exact=True),
    "dicom": Writer(suffix=".dcm", write=write_dicom),
}
"""Every format that is written, by the name that ``anylead convert --to`` takes."""


def writer_for(path: Path, to: str | None = None) -> tuple[Writer, Path]:
    """Returns the writer of a format, or of a name's suffix, and the name with the writer's suffix.

    Raises:
        ConfigError: If there is no such format, or the suffix is none or another one's.
    """
    if to is not None and to not in WRITERS:
        raise ConfigError(f"{path}: there is no format {to!r} to write; accepted are {', '.join(WRITERS)}.")
    by_suffix = {writer.suffix: name for name, writer in WRITERS.items()}
    named = by_suffix.get(path.suffix.lower())
    if named is None and to is None:
        raise ConfigError(
            f"{path}: the name ends in none of {', '.join(by_suffix)}; end it so, or say --to "
            f"{' | '.join(WRITERS)}."
        )
    if named is not None and to not in (None, named):
        raise ConfigError(
            f"{path}: the name ends as {named} does and {to} was asked for; name it "
            f"{WRITERS[str(to)].suffix}."
        )
    writer = WRITERS[str(named or to)]
    return writer, path if named else path.with_name(f"{path.name}{writer.suffix}")


def write(record: Record, path: Path, *, to: str | None = None) -> Path:
    """Writes a recording, and reads it again before it takes its name.

    Args:
        record: The recording; infinite samples count as missing.
        path: The file; its suffix tells the format.
        to: The format, where the suffix does not.

    Returns:
        The file written; it has the format's suffix. Nothing is there after an error.

    Raises:
        ConfigError: If the format is unknown or needs a package that is not installed.
        InputError: If the format cannot hold the recording: a lead's name, a missing sample, the rate.
        FileError: If a file of that name is there, or the disk refuses.
    """
    writer, path = writer_for(path, to)
    names = [*([path.with_suffix(writer.beside)] if writer.beside else []), path]
    present = [name for name in names if os.path.lexists(name)]
    if present:
        raise FileError(f"{present[0]}: there is such a file; name another, or move it away.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            staged = Path(folder) / path.name
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what the libraries doubt, `_check` decides
                    writer.write(record, staged)
                _check(record, staged, exact=writer.exact)
            except InputError as error:
                raise type(error)(str(error).replace(folder, str(path.parent))) from error
            for name in names:
                os.replace(staged.with_name(name.name), name)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"{path}: could not be written ({error.strerror or error}); make room or choose another folder."
        ) from error
    return path


def is_written(record: Record, path: Path, *, to: str | None = None) -> bool:
    """Says whether a recording is in a file already, as `write` would write it.

    Raises:
        FileError: If there is such a file and it holds something else.
    """
    writer, path = writer_for(path, to)
    if not path.exists():
        return False
    try:
        _check(record, path, exact=writer.exact)
    except InputError as error:
        raise FileError(
            f"{path}: there is such a file, and it holds another recording; move it away, or choose another "
            "folder."
        ) from error
    return True


def _check(record: Record, path: Path, *, exact: bool) -> None:
    """Refuses what does not come back: a name that the format cannot hold, a sample beyond its quantum."""
    try:
        back = read(path)
    except AnyleadError as error:
        raise _cannot_hold(path, str(error)) from error
    if back.leads != record.leads:
        raise _cannot_hold(path, f"leads {list(record.leads)} come back as {list(back.leads)}")
    if abs(back.sampling_rate_hz / record.sampling_rate_hz - 1) > RATE_TOLERANCE:
        raise _cannot_hold(path, f"{record.sampling_rate_hz!r} Hz come back as {back.sampling_rate_hz!r} Hz")
    present = np.isfinite(record.signal)
    if back.signal.shape != record.signal.shape or (np.isfinite(back.signal) != present).any():
        raise _cannot_hold(path, "not the same samples are missing when it is read back")
    wanted = np.where(present, record.signal, 0).astype(np.float64)
    apart = np.abs(np.where(present, back.signal, 0) - wanted).max(axis=1)
    quantum = 0.0 if exact else np.maximum(1 / COUNTS_PER_MV, np.abs(wanted).max(axis=1) / MAXIMUM_COUNT)
    if (apart > quantum).any():
        raise _cannot_hold(path, f"samples come back up to {apart.max():g} mV apart")


def _cannot_hold(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: {path.suffix} cannot hold this recording ({reason}); choose another format.")
