"""DICOM waveforms (``.dcm``): twelve-lead, general and ambulatory ECG objects, decoded by `pydicom`.

An object holds up to several multiplex groups: the rhythm, often a median beat, sometimes the rhythm again in
another cut. The longest group that is no median beat is read; groups that add leads to it at the same rate
are joined at their time offset, all others are left out and flagged.

Source: DICOM PS3.3 C.10.9 (waveform module), PS3.16 CID 3001 (lead names).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import UNITS, Format, check_values, millivolts_per, missing_package
from anylead.formats.channels import Channel, stack
from anylead.formats.decoding import decoding
from anylead.formats.wfdb_header import parse_age, parse_sex
from anylead.leads import STANDARD_12, canonical_lead
from anylead.record import Record

DEFLATED = "1.2.840.10008.1.2.1.99"
"""The transfer syntax that compresses the whole data set, without a bound on what comes out."""

_MEDIAN = re.compile(r"median|representative|average", re.IGNORECASE)
_SAMPLE_TYPES = {
    "SB": "i1",
    "UB": "u1",
    "SS": "i2",
    "US": "u2",
    "SL": "i4",
    "UL": "u4",
    "SV": "i8",
    "UV": "u8",
}
"""Waveform Sample Interpretation; µ-law and A-law (MB, AB) are for sound."""

_CODED_LEADS = dict(zip((1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), STANDARD_12, strict=True))
_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d+)")
"""MDC spells lead I ``2:1``, SCPECG ``5.6.3-9-1``; both count as SCP-ECG does."""

_YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    name: str
    rate_hz: float
    offset_ms: float
    channels: tuple[Channel, ...]
    flags: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        return max((channel.millivolts.size for channel in self.channels), default=0) / self.rate_hz


def recognises(head: bytes, path: Path) -> bool:
    """Says whether ``DICM`` follows the preamble of 128 bytes."""
    return head[128:132] == b"DICM"


def read_dicom(path: Path) -> Record:
    """Reads the rhythm of a DICOM ECG.

    A padding value is a missing sample. Flags: ``group_left_out:<label>``, ``not_voltage:<channel>``, and
    ``name_and_code_differ:<lead>`` where a channel's code stands for another lead than its meaning, which
    is what it is called by.

    Raises:
        RecordFileError: If it is unreadable or deflated, holds no rhythm, or a lead is not in volts.
        ConfigError: If `pydicom` is not installed.
    """
    with decoding(path, "DICOM", "pydicom"):
        dataset = _dataset(path)
        little_endian = dataset.original_encoding[1] is not False
        items = list(dataset.get("WaveformSequence") or [])
        rhythm = [
            _group(path, item, number, little_endian)
            for number, item in enumerate(items, 1)
            if not _MEDIAN.search(_text(item, "MultiplexGroupLabel"))
        ]
        if not rhythm:
            raise RecordFileError(
                f"{path}: the object has {len(items)} waveforms and none is a rhythm; "
                "give an ECG waveform object."
            )
        channels, rate, flags = _join(rhythm)
        try:
            return Record(
                signal=stack(path, channels),
                leads=tuple(channel.name for channel in channels),
                sampling_rate_hz=rate,
                record_id=path.stem,
                patient_id=_text(dataset, "PatientID") or None,
                recorded_at=_when(dataset),
                age_years=_age(_text(dataset, "PatientAge")),
                sex=parse_sex(_text(dataset, "PatientSex")),
                flags=flags,
            )
        except InputError as error:
            raise RecordFileError(f"{path}: {error}") from error


def _dataset(path: Path) -> Any:
    try:
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info
    except ImportError as error:
        raise missing_package(path, "DICOM", "pydicom") from error
    if read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
        raise RecordFileError(
            f"{path}: the object is deflated; objects of the other transfer syntaxes are read: "
            "store it as explicit VR little endian."
        )
    return dcmread(BytesIO(path.read_bytes()))


def _group(path: Path, item: Any, number: int, little_endian: bool) -> _Group:
    """Decodes one multiplex group."""
    name = _text(item, "MultiplexGroupLabel") or str(number)
    counts, padding = _counts(path, item, name, little_endian)
    rate = float(item.SamplingFrequency)
    if not isfinite(rate) or rate <= 0:
        raise RecordFileError(f"{path}: group {name} has {rate:g} samples a second; check the file.")
    definitions = list(item.get("ChannelDefinitionSequence") or [])
    if len(definitions) != counts.shape[1]:
        raise RecordFileError(
            f"{path}: group {name} describes {len(definitions)} of its {counts.shape[1]} channels; "
            "every channel needs a definition: export it again."
        )
    channels: list[Channel] = []
    flags: list[str] = []
    for definition, column in zip(definitions, counts.T, strict=True):
        lead, noticed = _lead(definition, len(channels) + 1)
        line = _scale(path, definition, lead)
        if line is None:
            flags.append(f"not_voltage:{lead}")
            continue
        values = column.astype(np.float64)
        if padding is not None:
            values[column == padding] = np.nan
        channels.append(Channel(name=lead, millivolts=values * line[0] + line[1]))
        flags += noticed
    offset = float(item.get("MultiplexGroupTimeOffset") or 0.0)
    return _Group(
        name=name,
        rate_hz=rate,
        offset_ms=offset if isfinite(offset) else 0.0,
        channels=tuple(channels),
        flags=tuple(flags),
    )


def _counts(path: Path, item: Any, name: str, little_endian: bool) -> tuple[np.ndarray, Any]:
    """Returns the stored integers (samples, channels) and the one that stands for a missing sample."""
    channels, samples = int(item.NumberOfWaveformChannels), int(item.NumberOfWaveformSamples)
    bits, kind = int(item.WaveformBitsAllocated), _text(item, "WaveformSampleInterpretation")
    if kind not in _SAMPLE_TYPES or 8 * int(_SAMPLE_TYPES[kind][1]) != bits:
        raise RecordFileError(
            f"{path}: group {name} has samples of {bits} bits as '{kind}'; read are "
            f"{', '.join(_SAMPLE_TYPES)} of their own width: export it again."
        )
    dtype = np.dtype(_SAMPLE_TYPES[kind]).newbyteorder("<" if little_endian else ">")
    data = bytes(item.WaveformData)
    needed = channels * samples * dtype.itemsize
    if needed == 0 or len(data) < needed:
        raise RecordFileError(
            f"{path}: group {name} has {len(data)} bytes and announces {needed}; "
            "it is empty or cut off: copy it again."
        )
    check_values(path, channels * samples)
    padding = item.get("WaveformPaddingValue")
    marked = isinstance(padding, bytes) and len(padding) >= dtype.itemsize
    return (
        np.frombuffer(data[:needed], dtype).reshape(samples, channels),
        np.frombuffer(padding[: dtype.itemsize], dtype)[0] if marked else None,
    )


def _lead(definition: Any, number: int) -> tuple[str, list[str]]:
    """Returns the name of a channel: by code meaning, else by code, else by label; and flags."""
    source = next(iter(definition.get("ChannelSourceSequence") or []), None)
    meaning = "" if source is None else _text(source, "CodeMeaning")
    match = _CODE.fullmatch("" if source is None else _text(source, "CodeValue"))
    coded = _CODED_LEADS.get(int(match[1])) if match else None
    named = canonical_lead(meaning.split(",")[0])
    if named in STANDARD_12:
        return named, [f"name_and_code_differ:{named}"] if coded not in (None, named) else []
    return coded or canonical_lead(_text(definition, "ChannelLabel")) or named or f"channel {number}", []


def _scale(path: Path, definition: Any, lead: str) -> tuple[float, float] | None:
    """Returns slope and intercept in millivolts, or None for a channel that is not a voltage."""
    sensitivity = float(definition.get("ChannelSensitivity") or 0.0)
    correction = definition.get("ChannelSensitivityCorrectionFactor")
    baseline = float(definition.get("ChannelBaseline") or 0.0)
    slope = sensitivity * float(1.0 if correction in (None, "") else correction)
    unit = next(iter(definition.get("ChannelSensitivityUnitsSequence") or []), None)
    spelt = "" if unit is None else _text(unit, "CodeValue")
    scale = millivolts_per(spelt)
    if scale is None and spelt and lead not in STANDARD_12:
        return None
    if scale is None or slope == 0 or not isfinite(slope) or not isfinite(baseline):
        raise RecordFileError(
            f"{path}: lead {lead} has a sensitivity of {slope:g} '{spelt}'; accepted units are {UNITS}: "
            "export it with its calibration."
        )
    return slope * scale, baseline * scale


def _join(groups: Sequence[_Group]) -> tuple[list[Channel], float, tuple[str, ...]]:
    """Returns the channels of the longest group and of those that add leads to it."""
    longest = max(groups, key=lambda group: group.duration_s)
    joined = [longest]
    flags: list[str] = []
    for group in groups:
        names = {channel.name for member in joined for channel in member.channels}
        if group is longest:
            continue
        if group.rate_hz == longest.rate_hz and not names & {channel.name for channel in group.channels}:
            joined.append(group)
        else:
            flags.append(f"group_left_out:{group.name}")
    joined.sort(key=groups.index)
    first = min(group.offset_ms for group in joined)
    channels = [
        replace(channel, start=round((group.offset_ms - first) * group.rate_hz / 1000))
        for group in joined
        for channel in group.channels
    ]
    flags = [flag for group in joined for flag in group.flags] + flags
    return channels, longest.rate_hz, tuple(flags)


def _text(item: Any, keyword: str) -> str:
    value = item.get(keyword)
    return "" if value is None else str(value).strip()


def _when(dataset: Any) -> datetime | None:
    stamp = _text(dataset, "AcquisitionDateTime") or (
        _text(dataset, "AcquisitionDate") + _text(dataset, "AcquisitionTime")
    )
    match = re.match(r"\d{14}|\d{12}|\d{8}", stamp)
    if match is None:
        return None
    try:
        return datetime.strptime(match[0].ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _age(text: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text)
    return parse_age(str(int(match[1]) * _YEARS_PER_UNIT[match[2]])) if match else None


FORMAT = Format(name="DICOM ECG (.dcm)", recognises=recognises, read=read_dicom)
