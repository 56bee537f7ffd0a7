"""What every file format shares: its entry in the dispatch, units of voltage, and the bounds of memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from anylead.errors import ConfigError, RecordFileError
from anylead.leads import STANDARD_12
from anylead.record import Record

HEAD_BYTES = 4096
"""How much of a file `recognises` sees; less where the file is shorter, nothing where there is none."""

MAXIMUM_VALUES = 2**28
"""How many values (1 GiB of float32) a file may announce without having the bytes for them."""

_MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "\u03bcv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Keys are case-folded, which makes the micro sign (U+00B5) a Greek mu (U+03BC)."""

UNITS = "mV, uV, µV, nV and V"
"""The units of voltage as an error names them."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format: how it is recognised and read."""

    name: str
    """What people call it, with its usual suffixes."""
    recognises: Callable[[bytes, Path], bool]
    """Says from the first `HEAD_BYTES` bytes, or else from the name, whether a file is of this format."""
    read: Callable[..., Record]
    """Reads one recording from a path, with the options of `takes` as keywords."""
    takes: tuple[str, ...] = ()
    """Which of ``fs``, ``unit``, ``leads`` and ``item`` a file of this format does not say itself."""
    items: Callable[[Path], tuple[str, ...]] | None = None
    """Returns what ``item`` may be, for a format whose files may hold several recordings."""
    unit: Callable[[Path], str | None] | None = None
    """Returns the unit in which a file stores its samples, None where it says none; reading gives mV."""


def millivolts_per(unit: str) -> float | None:
    """Returns how many millivolts a unit is, in any spelling of `UNITS`; None if it is no voltage."""
    return _MV_PER_UNIT.get(unit.strip().casefold())


def volts_scale(path: Path, lead: str, unit: str) -> float | None:
    """Returns the millivolts of a channel's unit, None if it is no voltage and so no ECG lead.

    Raises:
        RecordFileError: If a standard lead is in such a unit.
    """
    scale = millivolts_per(unit)
    if scale is None and lead in STANDARD_12:
        raise RecordFileError(
            f"{path}: lead {lead} is in '{unit}'; accepted units are {UNITS}: correct the header."
        )
    return scale


def to_float32(values: np.ndarray) -> Float32[np.ndarray, "..."]:
    """Returns values in single precision, NaN for what is not finite or does not fit."""
    with np.errstate(over="ignore", invalid="ignore"):
        signal = np.asarray(values).astype(np.float32)
    signal[~np.isfinite(signal)] = np.nan
    return signal


def missing_package(path: Path, what: str, package: str) -> ConfigError:
    """Returns the error for a format whose optional package is not installed."""
    return ConfigError(
        f"{path}: {what} is read with {package}, which is not installed; install anylead[formats]."
    )


def check_values(path: Path, values: int) -> None:
    """Refuses a number of values that would not fit in memory, before anything is allocated for them.

    Raises:
        RecordFileError: If there are more than `MAXIMUM_VALUES`.
    """
    if values > MAXIMUM_VALUES:
        raise RecordFileError(
            f"{path}: the file announces {values} values; up to {MAXIMUM_VALUES} are read at once: "
            "give a shorter recording."
        )
