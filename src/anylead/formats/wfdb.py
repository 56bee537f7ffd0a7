"""WFDB: a text header (``.hea``) beside a data file (``.dat``, or ``.mat`` with a MATLAB header).

Samples of the commonest format are decoded by `wfdb_format16`, all others by the `wfdb` package; sizes are
checked first, because the package says nothing useful about files that are cut off.

Source: WFDB header and signal file formats, https://physionet.org/physiotools/wag/.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import Format, check_values, to_float32, volts_scale
from anylead.formats.wfdb_format16 import is_plain, read_format_16
from anylead.formats.wfdb_header import SignalLine, WfdbHeader, read_header
from anylead.formats.wfdb_segments import read_segments
from anylead.leads import canonical_lead
from anylead.record import Record

SUFFIXES = (".hea", ".dat", ".mat")

_BYTES_PER_SAMPLE: dict[int, Fraction] = {
    8: Fraction(1),
    16: Fraction(2),
    24: Fraction(3),
    32: Fraction(4),
    61: Fraction(2),
    80: Fraction(1),
    160: Fraction(2),
    212: Fraction(3, 2),
    310: Fraction(4, 3),
    311: Fraction(4, 3),
}
"""Uncompressed formats; the size of a compressed one (508, 516, 524) says nothing."""


def header_path(path: Path) -> Path | None:
    """Returns the header of a record named with or without a suffix, or None if there is none."""
    candidates = [path] if path.suffix.lower() == ".hea" else [path.with_name(f"{path.name}.hea")]
    if path.suffix.lower() in SUFFIXES:
        candidates.append(path.with_suffix(".hea"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def recognises(head: bytes, path: Path) -> bool:
    """Says whether a header stands beside a file, or its name promises one; data files have no mark."""
    return header_path(path) is not None or (path.is_file() and path.suffix.lower() in SUFFIXES)


def read_wfdb(path: Path, *, counts_per_mv: float | None = None) -> Record:
    """Reads one WFDB record.

    A channel in a unit that is not a voltage is left out and flagged ``not_voltage:<name>``; a standard lead
    in such a unit is refused. A lead whose header gives no gain is read at WFDB's default of 200 per unit and
    flagged ``uncalibrated:<name>``. Channels with several samples a frame keep them all; slower channels of
    the same record are repeated, as in WFDB's high-resolution mode. The segments of a record of several are
    joined; what a lead misses of them is NaN.

    Args:
        path: The record, with or without a suffix.
        counts_per_mv: Read the stored integers at this gain and a baseline of 0 instead of the header's.

    Raises:
        RecordFileError: If the record is unreadable, truncated, empty or contradictory.
    """
    hea = header_path(path)
    if hea is None:
        raise RecordFileError(
            f"{path}: there is no header {path.with_suffix('.hea').name} beside it; add it."
        )
    header = read_header(hea)
    if header.parts:
        return read_segments(header, lambda segment: _read_one(read_header(segment), counts_per_mv))
    return _read_one(header, counts_per_mv)


def _read_one(header: WfdbHeader, counts_per_mv: float | None) -> Record:
    """Reads a record of one segment."""
    _check(header)
    scales, flags = _millivolts_per_unit(header, calibrated=counts_per_mv is not None)
    channels = _decode(header, counts_per_mv)
    frame = max(line.samples_per_frame for line in header.signals)
    kept = [index for index, scale in enumerate(scales) if scale is not None]
    try:
        return Record(
            signal=_stack([channels[i] for i in kept], [scales[i] or 0.0 for i in kept]),
            leads=tuple(header.signals[i].name for i in kept),
            sampling_rate_hz=header.sampling_rate_hz * frame,
            record_id=header.path.stem,
            recorded_at=header.recorded_at,
            age_years=header.age_years,
            sex=header.sex,
            flags=flags,
        )
    except InputError as error:
        raise RecordFileError(f"{header.path}: {error}") from error


def _check(header: WfdbHeader) -> None:
    """Refuses what has no signal to decode, before anything is allocated for it."""
    if header.parts:
        raise RecordFileError(
            f"{header.path}: a segment has {header.segments} segments of its own; segments of one are read."
        )
    if not header.signals or header.samples == 0:
        raise RecordFileError(
            f"{header.path}: the header announces {len(header.signals)} leads of {header.samples} samples; "
            "at least one of each is needed."
        )
    frames = {line.samples_per_frame for line in header.signals}
    if min(frames) < 1 or any(max(frames) % frame for frame in frames):
        raise RecordFileError(
            f"{header.path}: channels have {sorted(frames)} samples a frame; each number must divide the "
            "largest: split the record by sampling rate."
        )
    for file in dict.fromkeys(line.file for line in header.signals):
        if Path(file).name != file:
            raise RecordFileError(
                f"{header.path}: the data file '{file}' is in another folder; put it beside the header."
            )
        _check_size(header, file, [line for line in header.signals if line.file == file])


def _check_size(header: WfdbHeader, file: str, lines: Sequence[SignalLine]) -> None:
    data = header.path.with_name(file)
    try:
        size = data.stat().st_size
    except OSError as error:
        raise RecordFileError(
            f"{header.path}: its data file {file} cannot be read ({error.strerror}); put it beside it."
        ) from error
    per_sample = _BYTES_PER_SAMPLE.get(lines[0].format)
    samples = max(header.samples or 0, 1) * sum(line.samples_per_frame for line in lines)
    if per_sample is None:
        check_values(header.path, samples)
        return
    needed = lines[0].byte_offset + ceil(samples * per_sample)
    if size < needed:
        raise RecordFileError(
            f"{data}: the file has {size} bytes and its header promises {needed}; "
            "it is empty or cut off: copy it again."
        )


def _millivolts_per_unit(
    header: WfdbHeader, *, calibrated: bool
) -> tuple[list[float | None], tuple[str, ...]]:
    """Returns the scale of each channel (None: not a voltage, to be left out) and flags."""
    scales: list[float | None] = []
    flags: list[str] = []
    for line in header.signals:
        name = canonical_lead(line.name)
        scale = 1.0 if calibrated else volts_scale(header.path, name, line.unit or "mV")
        if scale is None:
            flags.append(f"not_voltage:{name}")
        elif line.gain == 0 and not calibrated:
            flags.append(f"uncalibrated:{name}")
        scales.append(scale)
    if all(scale is None for scale in scales):
        raise RecordFileError(f"{header.path}: no channel is in volts, so there is no ECG lead; give an ECG.")
    return scales, tuple(flags)


def _decode(header: WfdbHeader, counts_per_mv: float | None) -> list[np.ndarray]:
    """Returns the channels in their physical unit, NaN where a sample is missing."""
    if is_plain(header, calibrated=counts_per_mv is not None):
        return list(read_format_16(header, counts_per_mv=counts_per_mv))

    import wfdb  # takes 0.7 s, and no verb's --help needs it

    try:
        record = wfdb.rdrecord(
            str(header.path.with_suffix("")), physical=counts_per_mv is None, smooth_frames=False
        )
        if counts_per_mv is not None:
            record.adc_gain = [counts_per_mv] * record.n_sig
            record.baseline = [0] * record.n_sig
            record.dac(expanded=True, inplace=True)
    except Exception as error:  # wfdb raises whatever its parsing stumbles over
        raise RecordFileError(
            f"{header.path}: wfdb cannot decode the record ({type(error).__name__}: {error}); "
            "check the header and the data file."
        ) from error
    return [np.asarray(channel) for channel in record.e_p_signal]


def _stack(channels: Sequence[np.ndarray], scales: Sequence[float]) -> Float32[np.ndarray, "leads samples"]:
    samples = max(channel.size for channel in channels)
    signal = np.empty((len(channels), samples), dtype=np.float32)
    for row, (channel, scale) in enumerate(zip(channels, scales, strict=True)):
        signal[row] = to_float32(np.repeat(channel, samples // max(channel.size, 1)) * scale)
    return signal


def unit(path: Path) -> str | None:
    """Returns the units of the record's channels; None where its header names none."""
    hea = header_path(path)
    units = [] if hea is None else [line.unit for line in read_header(hea).signals if line.unit]
    return ", ".join(dict.fromkeys(units)) or None


FORMAT = Format(
    name="WFDB (record.hea beside record.dat or record.mat)",
    recognises=recognises,
    read=read_wfdb,
    unit=unit,
)
