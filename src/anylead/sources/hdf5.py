"""HDF5 files of data sets: opened with the optional package `h5py`, errors named by file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anylead.errors import ConfigError, RecordFileError


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Opens an HDF5 file to read; whatever goes wrong inside says which file it was.

    Raises:
        ConfigError: If `h5py` is not installed.
        RecordFileError: If the file is absent, is not HDF5, or has not got what is asked of it.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading HDF5 needs the package h5py; install anylead[formats]."
        ) from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, IndexError) as error:
        if isinstance(error, RecordFileError):
            raise
        raise RecordFileError(
            f"{path}: the HDF5 file cannot be read ({error}); download it again, as published."
        ) from error
