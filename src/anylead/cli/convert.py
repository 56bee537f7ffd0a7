"""anylead convert: recordings to files of another format."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from anylead.cli.arguments import leads, parse
from anylead.cli.dispatch import FAILED, OK
from anylead.errors import ConfigError, FileError

KEY_VARIABLE = "ANYLEAD_KEY"


@dataclass(frozen=True, kw_only=True)
class ConvertArguments:
    """Writes a recording, or those of a folder, in another format; what is written is read back and compared.

    Files of a folder that cannot be converted are listed in rejected.csv with the reason; the same command
    again goes on where it stopped.
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """A recording, one of several as file::item, or a folder."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """File to write: .hea, .edf, .csv, .parquet or .dcm; for a folder, an empty folder or none."""
    to: Literal["wfdb", "edf", "csv", "parquet", "dicom"] | None = None
    """Format, where OUT has no suffix or is a folder."""
    leads: tuple[str, ...] = ()
    """Leads to write, in this order: I,II or a set (12, 8, 6, 4, 3, 2); by default all."""
    fs: float | None = None
    """Sampling rate in Hz, of a table or an array that does not say it."""
    unit: str | None = None
    """Unit of voltage, likewise: mV, uV, nV or V."""
    deidentify: bool = False
    """Drop names and free text, replace ids by keyed hashes and shift dates; an ECG itself can identify a
    person."""
    key: Path | None = None
    """File with the key for --deidentify; by default the key is that of the variable ANYLEAD_KEY."""


def run(argv: list[str]) -> int:
    """Runs ``anylead convert``; a file of a folder that cannot be converted makes it a failure."""
    given, _ = parse(ConvertArguments, argv, prog="anylead convert")

    from anylead.workflows.convert import ConvertConfig, convert, convert_folder

    config = ConvertConfig(
        to=given.to, leads=leads(given.leads), fs=given.fs, unit=given.unit, key=read_key(given)
    )
    if not given.source.is_dir():
        print(convert(given.source, given.out, config))
        return OK
    done = convert_folder(given.source, given.out, config, progress=True)
    print(done.line())
    return FAILED if done.rejected else OK


def read_key(given: ConvertArguments) -> bytes | None:
    """Returns the key for de-identification; None where it is not asked for.

    Raises:
        ConfigError: If there is no key, or one that nothing needs.
        FileError: If the file of the key cannot be read.
    """
    if not given.deidentify:
        if given.key is not None:
            raise ConfigError("--key is for --deidentify, which was not given; give both or neither.")
        return None
    if given.key is None:
        key = os.environ.get(KEY_VARIABLE, "").strip().encode()
        if not key:
            raise ConfigError(
                f"--deidentify needs a secret key; give --key FILE or set {KEY_VARIABLE} (`openssl rand -hex "
                "32` makes one), and keep it: the same key gives a patient the same id again."
            )
        return key
    try:
        return given.key.read_bytes().strip()
    except OSError as error:
        raise FileError(f"{given.key}: the key cannot be read ({error.strerror}); name its file.") from error
