"""The section of graded disturbances: one figure for each kind, with the undisturbed score as reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anylead.evaluation.figures import Figure, line_figure
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import Interval
from anylead.evaluation.sections import INTERVAL_NOTE

Curves = Mapping[str, Mapping[str, Sequence[tuple[float, Interval]]]]
"""System to kind of disturbance to (level, score)."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    caption: str
    axis: str
    unit: str
    has_log_axis: bool = False
    undisturbed: float | None = None
    """Level at which nothing is done."""


_SNR = "signal-to-noise ratio (dB)"
_KINDS: dict[str, _Kind] = {
    "wander": _Kind(caption="Baseline wander", axis=_SNR, unit=" dB"),
    "muscle": _Kind(caption="Muscle noise", axis=_SNR, unit=" dB"),
    "powerline": _Kind(caption="Powerline", axis=_SNR, unit=" dB"),
    "motion": _Kind(caption="Electrode motion", axis=_SNR, unit=" dB"),
    "rate": _Kind(caption="Sampling rate of the source", axis="rate (Hz)", unit=" Hz", has_log_axis=True),
    "duration": _Kind(caption="Duration", axis="seconds", unit=" s", has_log_axis=True),
    "gain": _Kind(
        caption="Gain error", axis="gain (times)", unit=" times", has_log_axis=True, undisturbed=1.0
    ),
    "offset": _Kind(caption="Offset error", axis="offset (mV)", unit=" mV", undisturbed=0.0),
}


def robustness_section(
    curves: Curves,
    *,
    clean: Mapping[str, Interval] | None = None,
    recordings: Mapping[str, Mapping[float, int]] | None = None,
    clean_recordings: int | None = None,
    axis: str = "macro AUROC",
    title: str = "Robustness",
    notes: Sequence[str] = (),
) -> Section:
    """Returns a figure and a table for each kind of disturbance.

    Args:
        curves: Kinds are ``wander``, ``muscle``, ``powerline``, ``motion`` (levels in dB), ``rate`` (Hz),
            ``duration`` (s), ``gain`` (times) and ``offset`` (mV); others are shown by their name.
        clean: System to its score without disturbance; the first system's is the line to compare with.
        recordings: Kind to level to how many recordings were judged.
        clean_recordings: How many were judged without disturbance.
        axis: What the scores are.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    clean = clean or {}
    kinds = sorted({kind for row in curves.values() for kind in row}, key=_place)
    by_kind = {
        kind: {
            system: _points(row[kind], _kind(kind), clean.get(system))
            for system, row in curves.items()
            if kind in row
        }
        for kind in kinds
    }
    told = []
    if kinds:
        told.append(
            "The probe was fitted on clean recordings and is asked about disturbed ones; the noise is the "
            "same for every system. A level that does not apply to all recordings, such as a long duration, "
            "is judged on those to which it applies."
        )
        told += _counted(recordings or {}, clean_recordings)
        told.append(INTERVAL_NOTE)
    return Section(
        title=title,
        notes=(*notes, *told),
        tables=tuple(_table(kind, rows, clean, axis) for kind, rows in by_kind.items()),
        figures=tuple(_figure(kind, rows, clean, axis) for kind, rows in by_kind.items()),
    )


def _counted(recordings: Mapping[str, Mapping[float, int]], clean: int | None) -> list[str]:
    """Says on how many recordings was judged, and where on fewer: those levels do not compare."""
    if clean is None:
        return []
    told = [f"Judged on {clean} recordings."]
    for kind, levels in sorted(recordings.items(), key=lambda item: _place(item[0])):
        fewer = [f"{level:g}{_kind(kind).unit}: {count}" for level, count in levels.items() if count != clean]
        if fewer:
            told.append(
                f"{_kind(kind).caption}, judged on other recordings, so that these levels do not compare: "
                f"{', '.join(fewer)}."
            )
    return told


def _place(kind: str) -> tuple[int, str]:
    return (list(_KINDS).index(kind) if kind in _KINDS else len(_KINDS), kind)


def _kind(kind: str) -> _Kind:
    return _KINDS.get(kind, _Kind(caption=kind.capitalize(), axis=kind, unit=""))


def _points(
    points: Sequence[tuple[float, Interval]], kind: _Kind, clean: Interval | None
) -> list[tuple[float, Interval]]:
    """Returns the points in rising order, with the clean score where nothing is done."""
    known = dict(points)
    if kind.undisturbed is not None and clean is not None:
        known.setdefault(kind.undisturbed, clean)
    return sorted(known.items())


def _figure(
    kind: str, rows: Mapping[str, list[tuple[float, Interval]]], clean: Mapping[str, Interval], axis: str
) -> Figure:
    first = next(iter(rows))
    level = clean[first].value if first in clean else None
    return line_figure(
        rows,
        caption=_kind(kind).caption,
        axis=axis,
        x_axis=_kind(kind).axis,
        references=None if level is None else {f"clean, {first}": level},
        references_side="left",
        log_x=_kind(kind).has_log_axis,
    )


def _table(
    kind: str, rows: Mapping[str, list[tuple[float, Interval]]], clean: Mapping[str, Interval], axis: str
) -> Table:
    levels = sorted({level for points in rows.values() for level, _ in points})
    unit = _kind(kind).unit
    cells: list[tuple[Cell, ...]] = []
    for system, points in rows.items():
        known = dict(points)
        scores = (known.get(level, "not evaluated") for level in levels)
        cells.append((system, clean.get(system, "not evaluated"), *scores))
    return Table(
        caption=f"{_kind(kind).caption}: {axis}",
        columns=("System", "Clean", *(f"{level:g}{unit}" for level in levels)),
        rows=tuple(cells),
        folded=True,
    )
