"""What `ecgdatakit` parsed, as a Record.

Its parsers are called one by one and their counts are scaled here: its own dispatch rounds sampling rates to
whole hertz and scales before a marker of missing samples can be told from a sample.
"""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import UNITS, millivolts_per
from anylead.formats.channels import Channel, stack
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.leads import STANDARD_12, canonical_lead
from anylead.record import Record

if TYPE_CHECKING:
    from ecgdatakit.models import ECGRecord, Lead


def channels_of(
    path: Path, leads: "Sequence[Lead]", *, starts: Sequence[int] | None = None, missing: int | None = None
) -> tuple[list[Channel], tuple[str, ...]]:
    """Returns the parsed leads in millivolts, and flags.

    A lead that is not one of the standard twelve and not in volts is left out and flagged
    ``not_voltage:<name>``.

    Args:
        path: The file, for errors.
        leads: As the parser returns them.
        starts: The sample at which each begins; together if None.
        missing: The count that stands for a missing sample, if the format has one.

    Raises:
        RecordFileError: If a standard lead has no scale in volts, or none has.
    """
    channels: list[Channel] = []
    flags: list[str] = []
    for lead, start in zip(leads, starts or [0] * len(leads), strict=True):
        name = canonical_lead(lead.label)
        scale = millivolts_per(lead.resolution_unit if lead.is_raw else lead.units)
        slope, offset = (lead.resolution, lead.offset) if lead.is_raw else (1.0, 0.0)
        if scale is None and name not in STANDARD_12:
            flags.append(f"not_voltage:{name}")
            continue
        if scale is None or not isfinite(slope) or not isfinite(offset) or slope == 0:
            raise RecordFileError(
                f"{path}: lead {name} has no usable scale ({slope:g} '{lead.adc_resolution_unit}' a count); "
                f"accepted units are {UNITS}: export it with its calibration."
            )
        counts = np.asarray(lead.samples, dtype=np.float64)
        if missing is not None:
            counts = np.where(counts == missing, np.nan, counts)
        channels.append(Channel(name=name, millivolts=(counts * slope + offset) * scale, start=start))
    if not channels:
        raise RecordFileError(f"{path}: no channel is in volts, so there is no ECG lead; give an ECG.")
    return channels, tuple(flags)


def record_of(
    path: Path,
    parsed: "ECGRecord",
    channels: Sequence[Channel],
    *,
    sampling_rate_hz: float,
    flags: tuple[str, ...] = (),
) -> Record:
    """Returns the Record of a parsed file.

    Args:
        path: The file; its name without suffix is the record's.
        parsed: Gives the patient and the date.
        channels: The leads.
        sampling_rate_hz: As the file has it; the parser's is rounded.
        flags: What reading noticed.

    Raises:
        RecordFileError: If they make no valid record.
    """
    when = parsed.recording.date
    try:
        return Record(
            signal=stack(path, channels),
            leads=tuple(channel.name for channel in channels),
            sampling_rate_hz=float(f"{sampling_rate_hz:.9g}"),
            record_id=path.stem,
            patient_id=parsed.patient.patient_id.strip() or None,
            recorded_at=None if when is None else when.replace(tzinfo=None),
            age_years=None if parsed.patient.age is None else parse_age(str(parsed.patient.age)),
            sex=parse_sex(parsed.patient.sex),
            flags=flags,
        )
    except InputError as error:
        raise RecordFileError(f"{path}: {error}") from error
