"""Multi-segment WFDB records: segments one after another, gaps of NaN, leads that come and go.

Every segment is read as any record is, with its own gains and units, and joined by the names of its leads.

Source: WFDB header file format, "segment specification lines", https://physionet.org/physiotools/wag/header-5.htm.
"""

from collections.abc import Callable
from math import inf, isfinite
from pathlib import Path

import numpy as np

from anylead.errors import InputError, RecordFileError
from anylead.formats.base import check_values
from anylead.formats.wfdb_header import WfdbHeader, read_header
from anylead.leads import canonical_leads
from anylead.record import Record

GAP = "~"
"""The name of a segment in which nothing was recorded."""


def read_segments(header: WfdbHeader, read_one: Callable[[Path], Record]) -> Record:
    """Reads and joins the segments of a record.

    Args:
        header: Of the whole record. Where its first segment has no samples, that is the layout, which gives
            the order of the leads.
        read_one: Reads a record of one segment.

    Raises:
        RecordFileError: If a segment cannot be read or contradicts the header, or there is none.
    """
    _check(header)
    parts = [part for part in header.parts if part[1] > 0]
    names = dict.fromkeys(name for name, _ in parts if name != GAP)
    segments = {name: read_one(header.path.with_name(f"{name}.hea")) for name in names}
    if not segments:
        raise RecordFileError(f"{header.path}: every segment is a gap, so there is no ECG; give another.")
    rates = sorted({segment.sampling_rate_hz for segment in segments.values()})
    per_frame = rates[0] / header.sampling_rate_hz if header.sampling_rate_hz > 0 else inf
    if len(rates) > 1 or not isfinite(per_frame * max(samples for _, samples in parts)):
        raise RecordFileError(
            f"{header.path}: the header has {header.sampling_rate_hz:g} Hz and its segments have {rates}; "
            "one rate is read: read the segments one by one."
        )
    return _joined(header, parts, segments, per_frame)


def _check(header: WfdbHeader) -> None:
    total = sum(samples for _, samples in header.parts)
    if len(header.parts) != header.segments or header.samples not in (None, total):
        raise RecordFileError(
            f"{header.path}: the header announces {header.segments} segments of {header.samples} samples in "
            f"all and describes {len(header.parts)} of {total}; is it cut off?"
        )
    outside = [name for name, _ in header.parts if Path(name).name != name]
    if outside:
        raise RecordFileError(
            f"{header.path}: the segment '{outside[0]}' is in another folder; put it beside the header."
        )


def _joined(
    header: WfdbHeader, parts: list[tuple[str, int]], segments: dict[str, Record], per_frame: float
) -> Record:
    lengths = [round(samples * per_frame) for _, samples in parts]
    leads = _leads(header, segments)
    values = len(leads) * sum(lengths)
    check_values(header.path, values - sum(segment.signal.size for segment in segments.values()))
    signal = np.full((len(leads), sum(lengths)), np.nan, dtype=np.float32)
    start = 0
    for (name, _), length in zip(parts, lengths, strict=True):
        if name != GAP:
            segment = segments[name]
            if segment.samples != length:
                raise RecordFileError(
                    f"{header.path}: segment {name} has {segment.samples} samples and the header promises "
                    f"{length}; copy it again."
                )
            rows = [leads.index(lead) for lead in segment.leads]
            signal[rows, start : start + length] = segment.signal
        start += length
    every = list(segments.values())
    told: tuple[WfdbHeader | Record, ...] = (header, *every)
    first = segments.get(parts[0][0])
    try:
        return Record(
            signal=signal,
            leads=leads,
            sampling_rate_hz=every[0].sampling_rate_hz,
            record_id=header.path.stem,
            recorded_at=header.recorded_at or (first.recorded_at if first else None),
            age_years=next((r.age_years for r in told if r.age_years is not None), None),
            sex=next((r.sex for r in told if r.sex is not None), None),
            flags=tuple(dict.fromkeys(flag for segment in every for flag in segment.flags)),
        )
    except InputError as error:
        raise RecordFileError(f"{header.path}: {error}") from error


def _leads(header: WfdbHeader, segments: dict[str, Record]) -> tuple[str, ...]:
    """Returns every lead that a segment has, in the order of the layout where there is one."""
    recorded = dict.fromkeys(lead for segment in segments.values() for lead in segment.leads)
    name, samples = header.parts[0]
    if samples == 0 and name != GAP:
        layout = read_header(header.path.with_name(f"{name}.hea"))
        order = canonical_leads([line.name for line in layout.signals], where=str(layout.path))
        return tuple(lead for lead in dict.fromkeys((*order, *recorded)) if lead in recorded)
    return tuple(recorded)
