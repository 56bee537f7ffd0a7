"""EDF, EDF+ and BDF: a text header and blocks of 16-bit or 24-bit integers in one file.

Samples are decoded by `edfio`; sizes are checked first, because it shortens a file that is cut off.

Source: https://www.edfplus.info/specs/ (EDF, EDF+) and https://www.biosemi.com/faq/file_format.htm (BDF).
"""

import warnings
from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import Format, missing_package, to_float32, volts_scale
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.leads import STANDARD_12, canonical_lead
from anylead.record import Record

_EDF_MARK = b"0       "
_BDF_MARK = b"\xffBIOSEMI"
_OTHER_SIGNALS = ("EEG", "EMG", "EOG", "ERG", "MCG", "MEG", "EP")
"""First words of EDF+ labels of voltages that are no ECG."""

RATE_TOLERANCE = 1e-6
"""Share by which a rate may miss what its writer meant."""


class _Layout(NamedTuple):
    """What the header says about the size of the file."""

    header_bytes: int
    records: int
    bytes_per_record: int


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a file begins as EDF or BDF does."""
    return len(head) >= 256 and head.startswith((_EDF_MARK, _BDF_MARK))


def read_edf(path: Path) -> Record:
    """Reads an EDF, EDF+ or BDF file.

    A channel in a unit that is not a voltage is left out and flagged ``not_voltage:<name>``, one whose label
    says EEG or the like ``not_ecg:<name>``. The record has the highest rate of its standard leads; a channel
    of another rate is left out and flagged ``other_rate:<name>``.

    Raises:
        RecordFileError: If the file is cut off, contradictory, has gaps (EDF+D), or holds no ECG lead.
        ConfigError: If edfio is not installed.
    """
    edfio = _edfio(path)
    _check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each of its warnings is an error of ours, or harmless
            return _record(path, edfio.read_bdf(path) if _is_bdf(path) else edfio.read_edf(path))
    except RecordFileError:
        raise
    except InputError as error:
        raise RecordFileError(f"{path}: {error}") from error
    except Exception as error:  # edfio raises whatever its parsing stumbles over
        raise RecordFileError(
            f"{path}: edfio cannot decode the file ({type(error).__name__}: {error}); export it again."
        ) from error


def _edfio(path: Path) -> Any:
    try:
        import edfio
    except ImportError as error:
        raise missing_package(path, "EDF", "edfio") from error
    return edfio


def _is_bdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == _BDF_MARK


def _check_size(path: Path) -> None:
    layout = _layout(path)
    size = path.stat().st_size
    needed = layout.header_bytes + max(layout.records, 1) * layout.bytes_per_record
    if size < needed:
        raise RecordFileError(
            f"{path}: the file has {size} bytes and its header promises {needed}; "
            "it is empty or cut off: copy it again."
        )


def _layout(path: Path) -> _Layout:
    with path.open("rb") as file:
        fixed = file.read(256)
        try:
            signals = int(fixed[252:256])
            header_bytes, records = int(fixed[184:192]), int(fixed[236:244])
            fields = file.read(256 * max(signals, 0))
            start = 216 * signals
            samples = [int(fields[start + 8 * i : start + 8 * i + 8]) for i in range(signals)]
        except ValueError as error:
            raise RecordFileError(
                f"{path}: the EDF header is cut off or no number stands where one must ({error}); "
                "export it again."
            ) from error
    if signals < 1 or header_bytes != 256 * (signals + 1) or records < -1 or min(samples) < 1:
        raise RecordFileError(
            f"{path}: the EDF header announces {signals} channels, {header_bytes} bytes of header and "
            f"{records} blocks; these contradict each other: export it again."
        )
    width = 3 if fixed.startswith(_BDF_MARK) else 2
    return _Layout(header_bytes, records, sum(samples) * width)


def _record(path: Path, file: Any) -> Record:
    if file.reserved[3:5] == "+D" and not file.is_continuous:
        raise RecordFileError(
            f"{path}: the recording has gaps (EDF+D); continuous ones are read: export it as EDF+C, one file "
            "a piece."
        )
    channels, flags = _voltages(path, file.signals)
    rate = _rate(path, channels)
    flags += [f"other_rate:{name}" for name, channel, _ in channels if channel.sampling_frequency != rate]
    chosen = [item for item in channels if item[1].sampling_frequency == rate]
    recorded_at = _value(lambda: file.startdatetime)
    return Record(
        signal=_stack([channel.data * scale for _, channel, scale in chosen]),
        leads=tuple(name for name, _, _ in chosen),
        sampling_rate_hz=_whole(float(rate)),
        record_id=path.stem,
        patient_id=_code(_value(lambda: file.patient.code)),
        recorded_at=recorded_at,
        age_years=_age(_value(lambda: file.patient.birthdate), recorded_at),
        sex=parse_sex(_value(lambda: file.patient.sex) or ""),
        flags=tuple(flags),
    )


def _voltages(path: Path, signals: Sequence[Any]) -> tuple[list[tuple[str, Any, float]], list[str]]:
    """Returns name, channel and millivolts per unit of each ECG channel, and flags for the others."""
    kept: list[tuple[str, Any, float]] = []
    flags: list[str] = []
    for signal in signals:
        name = canonical_lead(signal.label)
        scale = volts_scale(path, name, signal.physical_dimension)
        if scale is None:
            flags.append(f"not_voltage:{name}")
        elif name.partition(" ")[0].upper() in _OTHER_SIGNALS:
            flags.append(f"not_ecg:{name}")
        else:
            _check_range(path, name, signal)
            kept.append((name, signal, scale))
    if not kept:
        raise RecordFileError(f"{path}: no channel is an ECG in volts; give an ECG.")
    return kept, flags


def _check_range(path: Path, name: str, signal: Any) -> None:
    physical = (signal.physical_min, signal.physical_max)
    digital = (signal.digital_min, signal.digital_max)
    if physical[0] == physical[1] or digital[0] >= digital[1] or not all(map(isfinite, physical)):
        raise RecordFileError(
            f"{path}: channel {name} spans {digital[0]} to {digital[1]} stored and {physical[0]:g} to "
            f"{physical[1]:g} physical, from which no scale follows; correct the header."
        )


def _rate(path: Path, channels: Sequence[tuple[str, Any, float]]) -> float:
    standard = [channel for name, channel, _ in channels if name in STANDARD_12]
    return max(float(channel.sampling_frequency) for channel in standard or [c for _, c, _ in channels])


def _whole(rate: float) -> float:
    """Returns the whole number that a rate means: the eight characters of a block's duration round 1/3 s."""
    return float(round(rate)) if abs(rate - round(rate)) <= RATE_TOLERANCE * rate else rate


def _stack(rows: Sequence[np.ndarray]) -> Float32[np.ndarray, "leads samples"]:
    return to_float32(np.stack(rows))


def _value(get: Any) -> Any:
    """Returns a field of the header, None where it is anonymized, empty or not what the format asks for."""
    try:
        return get()
    except (ValueError, IndexError, OverflowError):
        return None


def _code(code: str | None) -> str | None:
    return None if code in (None, "", "X") else code


def _age(born: Any, recorded_at: datetime | None) -> float | None:
    if born is None or recorded_at is None:
        return None
    return parse_age(str((recorded_at.date() - born).days // 365.25))


def unit(path: Path) -> str | None:
    """Returns the units of the channels.

    Raises:
        RecordFileError: If the header is cut off or contradictory.
    """
    signals = _layout(path).header_bytes // 256 - 1
    with path.open("rb") as file:
        file.seek(256 + 96 * signals)
        fields = file.read(8 * signals).decode("latin-1")
    units = [fields[start : start + 8].strip() for start in range(0, len(fields), 8)]
    return ", ".join(dict.fromkeys(filter(None, units))) or None


FORMAT = Format(name="EDF, EDF+ or BDF (.edf, .bdf)", recognises=recognises, read=read_edf, unit=unit)
