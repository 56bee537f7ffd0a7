"""What a table or an array does not say itself: sampling rate, unit and leads, from a sidecar or a caller.

The sidecar of ``x.csv`` is ``x.json`` beside it::

    {"sampling_rate_hz": 500, "unit": "mV", "leads": ["I", "II", "V2"]}

It may say whose recording it is, too: ``patient_id``, ``recorded_at`` (ISO 8601), ``age_years`` and ``sex``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import UNITS, millivolts_per, to_float32
from anylead.leads import canonical_leads
from anylead.record import Record

DESCRIBED = ("fs", "unit", "leads")
"""The options of `Format.takes` that `describe` takes."""

_MAXIMUM_SIDECAR_BYTES = 2**20
_MAXIMUM_AGE = 150


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is known of a table or an array."""

    sampling_rate_hz: float
    millivolts_per_unit: float
    leads: tuple[str, ...] | None
    """Canonical names; None where neither the sidecar nor the caller names leads."""
    patient_id: str | None = None
    recorded_at: datetime | None = None
    age_years: float | None = None
    sex: Literal["F", "M"] | None = None


def describe(
    path: Path, *, fs: float | int | None, unit: str | None, leads: Sequence[str] | str | None
) -> Description:
    """Returns what the caller gives and, for the rest, what the sidecar says.

    Raises:
        RecordFileError: If the rate or the unit is nowhere, the sidecar cannot be read, or what it says of
            the patient cannot be understood.
    """
    said = _sidecar(path)
    fs = said.get("sampling_rate_hz") if fs is None else fs
    unit = said.get("unit") if unit is None else unit
    leads = said.get("leads") if leads is None else leads
    sidecar = path.with_suffix(".json")
    needed = {"sampling_rate_hz (fs=)": fs, "unit (unit=)": unit}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise RecordFileError(
            f"{path}: nothing says the {' and the '.join(missing)}; write it into {sidecar.name} beside the "
            "file, or give it."
        )
    if isinstance(fs, bool) or not isinstance(fs, int | float):
        raise RecordFileError(f"{path}: the sampling rate is {fs!r}; give a number of Hz.")
    scale = millivolts_per(str(unit))
    if scale is None:
        raise RecordFileError(f"{path}: the unit is {unit!r}; accepted units are {UNITS}.")
    return Description(
        sampling_rate_hz=float(fs),
        millivolts_per_unit=scale,
        leads=None if leads is None else _names(path, leads),
        **_patient(sidecar, said),
    )


def _patient(sidecar: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a sidecar says of the patient; what is absent or null is not known."""
    found: dict[str, Any] = {}
    for name, (understand, accepted) in _PATIENT.items():
        value = said.get(name)
        if value is None:
            continue
        try:
            found[name] = understand(value)
        except (TypeError, ValueError) as error:
            raise RecordFileError(f"{sidecar}: {name} is {value!r}; give {accepted}.") from error
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _age(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAXIMUM_AGE:
        raise ValueError
    return float(value)


def _when(value: Any) -> datetime:
    # A record has the local time, without a zone.
    return datetime.fromisoformat(_text(value)).replace(tzinfo=None)


def _sex(value: Any) -> str:
    if value not in ("F", "M"):
        raise ValueError
    return str(value)


_PATIENT: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "patient_id": (_text, "a text, such as P-7"),
    "recorded_at": (_when, "a date and time, such as 2025-03-04T09:15:00"),
    "age_years": (_age, f"a number of years from 0 to {_MAXIMUM_AGE}"),
    "sex": (_sex, "F or M"),
}


def described_record(
    path: Path,
    values: ArrayLike,
    description: Description,
    leads: Sequence[str],
    *,
    flags: Sequence[str] = (),
) -> Record:
    """Makes a record of (leads, samples) in the unit described.

    Raises:
        RecordFileError: If the array is empty, transposed or beyond what a heart gives in that unit.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise RecordFileError(f"{path}: the values are of type {array.dtype}; numbers are needed.")
    try:
        with np.errstate(over="ignore"):
            signal = to_float32(array.astype(np.float64) * description.millivolts_per_unit)
        record = Record.from_array(
            signal, fs=description.sampling_rate_hz, leads=tuple(leads), record_id=path.stem
        )
    except InputError as error:
        raise RecordFileError(f"{path}: {error}") from error
    return replace(
        record.with_flags(*flags),
        patient_id=description.patient_id,
        recorded_at=description.recorded_at,
        age_years=description.age_years,
        sex=description.sex,
    )


def stated_unit(path: Path) -> str | None:
    """Returns the unit that the sidecar says; None where it says none.

    Raises:
        RecordFileError: If the sidecar cannot be read.
    """
    unit = _sidecar(path).get("unit")
    return None if unit is None else str(unit)


def _sidecar(path: Path) -> dict[str, Any]:
    sidecar = path.with_suffix(".json")
    try:
        with sidecar.open("rb") as file:
            said = json.loads(file.read(_MAXIMUM_SIDECAR_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise RecordFileError(
            f"{sidecar}: this is no JSON that can be read ({error}); correct it."
        ) from error
    if not isinstance(said, dict):
        raise RecordFileError(
            f'{sidecar}: an object is needed, such as {{"sampling_rate_hz": 500, "unit": "mV"}}; correct it.'
        )
    return said


def _names(path: Path, leads: Any) -> tuple[str, ...]:
    if not isinstance(leads, str) and not all(isinstance(name, str) for name in _listed(leads)):
        raise RecordFileError(f"{path}: the leads are {leads!r}; give a list of names, such as I or V2.")
    try:
        return canonical_leads(leads, where=str(path))
    except InputError as error:
        raise RecordFileError(str(error)) from error


def _listed(leads: Any) -> list[Any]:
    return list(leads) if isinstance(leads, Sequence) else [leads]
