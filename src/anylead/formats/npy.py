"""NPY: one array (leads, samples), or (samples,) for one lead; a sidecar or the caller says the rest."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from anylead.errors import RecordFileError
from anylead.formats.base import Format
from anylead.formats.description import DESCRIBED, describe, described_record, stated_unit
from anylead.record import Record


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a file begins as NPY does."""
    return head.startswith(npy_format.MAGIC_PREFIX)


def read_npy(
    path: Path,
    *,
    fs: float | int | None = None,
    unit: str | None = None,
    leads: Sequence[str] | str | None = None,
) -> Record:
    """Reads an array of numbers; NaN is a missing sample.

    Args:
        path: The file. Arrays of Python objects are refused: to load one is to run what it holds.
        fs: Sampling rate in Hz; the sidecar's where it is None, as for the others.
        unit: Unit of voltage.
        leads: One name a row.

    Raises:
        RecordFileError: If the rate, the unit or the leads are nowhere, or the array is cut off, of another
            shape or transposed.
    """
    description = describe(path, fs=fs, unit=unit, leads=leads)
    if description.leads is None:
        raise RecordFileError(
            f"{path}: nothing says the leads (leads=); write them into {path.with_suffix('.json').name} "
            "beside the file, or give them, one name a row."
        )
    return described_record(path, _array(path), description, description.leads)


def _array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = read(file)
            needed = file.tell() + prod(shape) * dtype.itemsize
            if dtype.hasobject or min(shape, default=0) < 1 or path.stat().st_size < needed:
                raise RecordFileError(
                    f"{path}: the file has {path.stat().st_size} bytes and its header promises {shape} of "
                    f"{dtype}; numbers are read, at least one, and all of them must be there."
                )
        return np.asarray(np.load(path, allow_pickle=False))
    except RecordFileError:
        raise
    except Exception as error:  # numpy parses the header as Python, and raises whatever that stumbles over
        raise RecordFileError(f"{path}: the array cannot be read ({error}); save it again.") from error


FORMAT = Format(name="NPY (.npy)", recognises=recognises, read=read_npy, takes=DESCRIBED, unit=stated_unit)
