"""Writing EDF: one file of 16-bit integers, by `edfio`.

One count is 1 µV wherever the lead stays within ±32.767 mV, a whole number of them beyond. EDF has no marker
for a missing sample and no field for an age.

Source: https://www.edfplus.info/specs/.
"""

from math import ceil, isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anylead.errors import ConfigError, InputError
from anylead.formats.edf import RATE_TOLERANCE
from anylead.provenance import atomic_path
from anylead.record import Record

_MAXIMUM_COUNT = 32767
_MAXIMUM_STEP_UV = 305
"""Steps of more microvolts make a range of more than the eight characters that EDF has for it."""
_BLOCK_BYTES = 61440
"""What EDF recommends as the largest block."""
_DURATION_CHARACTERS = 8


class _Blocks(NamedTuple):
    """How a recording is cut into blocks."""

    samples: int
    """Of one lead in one block."""
    duration_s: float

    @property
    def rate_hz(self) -> float:
        return self.samples / self.duration_s


def write_edf(record: Record, path: Path) -> None:
    """Writes a recording as EDF, with the id (``_`` for a space), the sex and the date where known.

    Raises:
        InputError: If a sample is missing, a lead name is none EDF can hold, a sample is beyond 9.99 V, or
            the rate cannot be said for that number of samples.
        ConfigError: If edfio is not installed.
        FileError: If the disk refuses.
    """
    try:
        import edfio
    except ImportError as error:
        raise ConfigError(
            f"{path}: EDF is written with edfio, which is not installed; install anylead[formats]."
        ) from error
    missing = int((~np.isfinite(record.signal)).sum())
    if missing:
        raise InputError(
            f"{path}: {missing} samples are missing and EDF has no marker for them; choose WFDB, DICOM, CSV "
            "or Parquet, or fill them first."
        )
    blocks = _blocks(record, path)
    try:
        signals = [
            _signal(edfio, lead, row, blocks) for lead, row in zip(record.leads, record.signal, strict=True)
        ]
        file = edfio.Edf(
            signals,
            patient=edfio.Patient(code="_".join((record.patient_id or "X").split()), sex=_sex(record)),
            recording=edfio.Recording(
                startdate=None if record.recorded_at is None else record.recorded_at.date()
            ),
            starttime=None
            if record.recorded_at is None
            else record.recorded_at.time().replace(microsecond=0),
            data_record_duration=blocks.duration_s,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except ValueError as error:  # edfio says so of names, ids and dates that EDF cannot hold
        raise InputError(
            f"{path}: EDF cannot hold this recording ({error}); choose WFDB, DICOM, CSV or Parquet."
        ) from error
    with atomic_path(path) as temporary:
        file.write(temporary)


def _signal(edfio: Any, lead: str, row: np.ndarray, blocks: _Blocks) -> Any:
    microvolts = row.astype(np.float64) * 1000
    step = max(1, ceil(np.abs(microvolts).max() / _MAXIMUM_COUNT))
    if step > _MAXIMUM_STEP_UV:
        raise InputError(
            f"lead {lead} reaches {np.abs(row).max():g} mV and EDF holds up to 9990 mV; "
            "check the recording's scale."
        )
    return edfio.EdfSignal.from_digital(
        np.rint(microvolts / step).astype(np.int16),
        blocks.rate_hz,
        label=lead,
        physical_dimension="uV",
        physical_range=(-step * (_MAXIMUM_COUNT + 1), step * _MAXIMUM_COUNT),
        digital_range=(-_MAXIMUM_COUNT - 1, _MAXIMUM_COUNT),
    )


def _sex(record: Record) -> Any:
    return record.sex if record.sex in ("F", "M") else "X"


def _blocks(record: Record, path: Path) -> _Blocks:
    """Returns equal blocks without a rest, such that samples over duration is the sampling rate."""
    rate, samples = record.sampling_rate_hz, record.samples
    small = [n for n in range(1, isqrt(samples) + 1) if samples % n == 0]
    found = [
        _Blocks(n, float(duration))
        for n in {*small, *(samples // n for n in small)}
        if float(duration := _eight_characters(n / rate)) > 0
    ]
    fitting = [blocks for blocks in found if abs(blocks.rate_hz / rate - 1) <= RATE_TOLERANCE]
    if not fitting:
        raise InputError(
            f"{path}: EDF cannot say {rate:g} Hz of {samples} samples, because it writes the length of a "
            f"block in {_DURATION_CHARACTERS} characters; choose WFDB, DICOM, CSV or Parquet."
        )

    def preference(blocks: _Blocks) -> tuple[bool, bool, int]:
        large = 2 * blocks.samples * len(record.leads) > _BLOCK_BYTES
        return blocks.rate_hz != rate, large, blocks.samples if large else -blocks.samples

    return min(fitting, key=preference)


def _eight_characters(duration_s: float) -> str:
    decimals = _DURATION_CHARACTERS - 1 - len(str(int(duration_s)))
    return f"{duration_s:.{max(decimals, 0)}f}"[:_DURATION_CHARACTERS]
