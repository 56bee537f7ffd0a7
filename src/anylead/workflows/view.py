"""view: one recording drawn on ECG paper, 25 mm/s and 10 mm/mV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ecg_plot
import numpy as np
from jaxtyping import Float32

from anylead.errors import InputError
from anylead.formats import read
from anylead.leads import STANDARD_12, canonical_leads
from anylead.provenance import atomic_path
from anylead.record import Record
from anylead.store import Store

SPEED_MM_PER_S = 25.0
GAIN_MM_PER_MV = 10.0
MAXIMUM_SECONDS = 60.0
"""Longest stretch one drawing shows."""
RANGE_LIMIT_MV = 5.0
"""Rows reach no further than this; what lies beyond is cut and the row says so."""
SHORT_S = 6.0
"""Up to here all twelve leads are drawn over the whole stretch, in two columns."""
ROW_S = 12.0
"""Up to here a stretch fits on one row; longer ones continue on rows of ten seconds."""

_STYLE = ecg_plot.Style(major_color="#e09c9c", minor_color="#f6dcdc", line_width=0.22)


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What to draw, and where to."""

    out: Path | None = None
    """SVG or PNG to write; None names it after the recording, in the current folder."""
    start_s: float = 0.0
    """First second shown."""
    seconds: float = 10.0
    """Seconds shown; fewer where the recording ends."""
    leads: tuple[str, ...] = ()
    """Leads to draw, in this order; none draws those recorded, and from seven on all twelve."""
    row: int | None = None
    """Row of the store, where a store is viewed."""


def view(what: Record | str | Path, config: ViewConfig | None = None) -> Path:
    """Draws a recording and writes it as SVG or PNG.

    Args:
        what: A recording, a file, or a store together with ``config.row``.
        config: What to draw; the defaults where None.

    Returns:
        The file written.

    Raises:
        InputError: If there is nothing to show at that time, or the file's ending is not .svg or .png.
        RecordFileError: If the file cannot be read.
        StoreError: If the store cannot be read.
    """
    config = config or ViewConfig()
    record = what if isinstance(what, Record) else _open(Path(what), config.row)
    out = config.out or Path(f"{record.record_id.replace('/', '_')}.svg")
    if out.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"view: {out.name} ends in {out.suffix!r}; name a file that ends in .svg or .png.")
    chart = draw(record, start_s=config.start_s, seconds=config.seconds, leads=config.leads)
    with atomic_path(out) as temporary:
        if out.suffix.lower() == ".svg":
            temporary.write_text(chart.to_svg(), encoding="utf-8")
        else:
            figure, _ = chart.to_matplotlib()
            figure.savefig(temporary, format="png", dpi=150)
    return out


def draw(
    record: Record, *, start_s: float = 0.0, seconds: float = 10.0, leads: Sequence[str] = ()
) -> ecg_plot.ECGChart:
    """Lays a recording out on ECG paper; lengths of the chart are millimetres.

    A lead that was not recorded is an empty, shaded row that says so; missing samples are gaps.

    Args:
        record: The recording, mV.
        start_s: First second shown.
        seconds: Seconds shown, at most 60; fewer where the recording ends.
        leads: Leads in the order to draw them; empty for those recorded.

    Raises:
        InputError: If the stretch is not within the recording or longer than 60 s.
        LeadError: If a lead is named twice.
    """
    start, end = _window(record, start_s, seconds)
    names = canonical_leads(leads, where="view") if leads else _default_leads(record)
    first, last = round(start * record.sampling_rate_hz), round(end * record.sampling_rate_hz)
    signal = _rows(record, names)
    low, high = _range_mv(signal[:, first:last])
    chart = ecg_plot.plot(
        signal,
        sample_rate=record.sampling_rate_hz,
        lead_names=names,
        title=_title(record, start, end),
        speed=SPEED_MM_PER_S,
        gain=GAIN_MM_PER_MV,
        window=(start, end),
        amplitude_range=(low, high),
        style=_STYLE,
        **_layout(names, end - start, record),
    )
    absent = [name for name, row in zip(names, signal, strict=True) if not np.isfinite(row).any()]
    chart.add_annotations(
        [
            {"time": 0.0, "end_time": record.duration_s, "lead": name, "label": "not recorded"}
            for name in absent
        ],
        color="#6b6b6b",
    )
    # ecg_plot leaves a long title to run off a narrow sheet.
    title_mm = 14.0 + 0.55 * (_STYLE.font_size + 1) * len(chart.title)
    chart.width_mm = max(chart.width_mm, title_mm)
    return chart


def _open(path: Path, row: int | None) -> Record:
    if row is None:
        return read(path)
    store = Store.open(path)
    if not 0 <= row < len(store):
        raise InputError(f"view: row {row} is not in {path}; it has rows 0 to {len(store) - 1}.")
    return store.record(row)


def _window(record: Record, start_s: float, seconds: float) -> tuple[float, float]:
    if not 0 <= start_s < record.duration_s:
        raise InputError(
            f"view: {record.record_id} lasts {record.duration_s:g} s and the drawing would start "
            f"at {start_s:g} s; start between 0 and its end."
        )
    if not 0 < seconds <= MAXIMUM_SECONDS:
        raise InputError(
            f"view: {seconds:g} seconds were asked for; one drawing shows up to {MAXIMUM_SECONDS:g} s, "
            "choose others with the start."
        )
    return start_s, min(start_s + seconds, record.duration_s)


def _default_leads(record: Record) -> tuple[str, ...]:
    standard = [name for name in STANDARD_12 if name in record.leads]
    others = tuple(name for name in record.leads if name not in STANDARD_12)
    return (STANDARD_12 if len(standard) > 6 else tuple(standard)) + others


def _rows(record: Record, names: Sequence[str]) -> Float32[np.ndarray, "rows samples"]:
    absent = np.full(record.samples, np.nan, dtype=np.float32)
    return np.stack(
        [record.signal[record.leads.index(name)] if name in record.leads else absent for name in names]
    )


def _range_mv(signal: Float32[np.ndarray, "rows samples"]) -> tuple[float, float]:
    """Returns the range all rows share, in whole half millivolts: one scale, no hidden enlargement."""
    finite = signal[np.isfinite(signal)]
    low = float(finite.min()) if finite.size else 0.0
    high = float(finite.max()) if finite.size else 0.0
    return (
        max(-RANGE_LIMIT_MV, min(-1.0, math.floor(low * 2 - 0.2) / 2)),
        min(RANGE_LIMIT_MV, max(1.0, math.ceil(high * 2 + 0.2) / 2)),
    )


def _layout(names: Sequence[str], seconds: float, record: Record) -> dict[str, object]:
    if seconds > ROW_S:
        return {"layout": "rhythm", "seconds_per_row": 10.0}
    if set(names) != set(STANDARD_12):
        return {"layout": "stacked"}
    if seconds <= SHORT_S:
        return {"layout": "limb-chest"}
    rhythm = "II" if "II" in record.leads else next(name for name in STANDARD_12 if name in record.leads)
    return {"layout": "12lead", "time_mode": "sequential", "rhythm_lead": rhythm}


def _title(record: Record, start: float, end: float) -> str:
    shown = f"{start:g}-{end:g} s of {record.duration_s:g} s"
    return f"{record.record_id} · {record.sampling_rate_hz:g} Hz · {shown}"
