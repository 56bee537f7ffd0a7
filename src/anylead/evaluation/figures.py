"""Small figures as SVG text for a page: they follow its font and its light or dark colours."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from anylead.evaluation.results import Interval, defined

WIDTH_IN, HEIGHT_IN = 4.4, 2.9
INK = "#010203"
"""Stand-in that becomes the colour of the page's text."""
PAPER = "#010204"
"""Stand-in that becomes the colour of the page."""
SERIES = ("#0100f1", "#0100f2", "#0100f3", "#0100f4", "#0100f5", "#0100f6")
"""Stand-ins that become colours of the page's style sheet."""
_MARKERS = "osD^vPX"
"""One more than there are colours: a colour that returns has another marker."""
_LINES = ("-", "--", ":", "-.")
_LEGEND_ROW_IN = 0.19
_LONG_NAME = 24
"""Characters: a legend with a longer name has one column."""
_BANDS = 4
"""More bands on top of each other say nothing."""
_TICKED = 13
"""With no more places than this, each is named on the horizontal axis."""
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "anylead",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **{
        name: INK
        for name in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    },
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure."""

    caption: str
    svg: str
    description: str
    """What it shows, for those who do not see it."""
    wide: bool = False
    """Takes the whole width of the page."""


@dataclass(frozen=True, kw_only=True)
class SeriesStyle:
    """How one of several systems is drawn: the combination returns after 168 systems, not after six."""

    color: str
    marker: str
    linestyle: str

    @classmethod
    def of(cls, number: int) -> "SeriesStyle":
        """Returns the style of the system with this number, from 0."""
        return cls(
            color=SERIES[number % len(SERIES)],
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=_LINES[number // len(SERIES) % len(_LINES)],
        )


@contextmanager
def drawing(width_in: float = WIDTH_IN, height_in: float = HEIGHT_IN) -> Iterator[tuple[Canvas, Axes]]:
    """Gives an empty drawing in the style of the page; colour it with `INK`, `PAPER` and `SERIES` only.

    Args:
        width_in: In inches; 4.4 fills a telephone with text that can be read.
        height_in: In inches.
    """
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(width_in, height_in), layout="constrained")
        yield canvas, canvas.add_subplot()


def add_legend(canvas: Canvas, drawn: Mapping[str, Any]) -> None:
    """Puts the names of systems above the axes and makes the drawing higher by what they need.

    Args:
        canvas: From `drawing`.
        drawn: Name to what was drawn for it.
    """
    if not drawn:
        return
    columns = 1 if max(len(name) for name in drawn) > _LONG_NAME else 2
    rows = math.ceil(len(drawn) / columns)
    width_in, height_in = canvas.get_size_inches()
    canvas.set_size_inches(width_in, height_in + _LEGEND_ROW_IN * max(0, rows - 2))
    canvas.legend(list(drawn.values()), list(drawn), loc="outside upper left", ncols=columns, fontsize=9)


def draw_references(
    axes: Axes, references: Mapping[str, float] | None, *, side: Literal["left", "right"] = "right"
) -> None:
    """Draws a named horizontal line for each level.

    Args:
        axes: From `drawing`.
        references: Name to level; None draws nothing.
        side: On which the names stand.
    """
    for name, level in (references or {}).items():
        axes.axhline(level, color=INK, alpha=0.6, linewidth=1, linestyle=":")
        place = (0.99 if side == "right" else 0.01, level)
        axes.annotate(name, place, xycoords=("axes fraction", "data"), ha=side, va="bottom", fontsize=9)


def to_svg(canvas: Canvas) -> str:
    """Returns the drawing without XML header, metadata, fixed size and fixed colours."""
    text = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace(INK, "currentColor").replace(PAPER, "var(--page)")
    for number, stand_in in enumerate(SERIES, start=1):
        svg = svg.replace(stand_in, f"var(--series-{number})")
    return svg.strip()


def interval_figure(
    values: Mapping[str, Mapping[str, Interval]],
    *,
    caption: str,
    axis: str,
    columns_axis: str = "leads",
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Draws values with their intervals, systems side by side.

    Args:
        values: System to column (a lead set) to value; columns come in the order in which they first appear.
        caption: Above the figure.
        axis: Name of the vertical axis.
        columns_axis: Name of the horizontal axis.
        references: Name to value of lines to compare with, chance for instance.
    """
    columns = list(dict.fromkeys(column for row in values.values() for column in row))
    with drawing() as (canvas, axes):
        draw_references(axes, references)
        drawn: dict[str, Any] = {}
        for number, (system, row) in enumerate(values.items()):
            shift = 0.75 * ((number + 0.5) / len(values) - 0.5)
            shown = [(columns.index(c) + shift, i) for c, i in row.items() if i.value is not None]
            if shown:
                style = SeriesStyle.of(number)
                drawn[system] = _draw_bars(
                    axes, shown, style, line="none", size=5.0 if len(values) < 6 else 3.0
                )
        axes.set_xticks(range(len(columns)), columns)
        axes.set_xlabel(columns_axis)
        axes.set_ylabel(axis)
        add_legend(canvas, drawn)
    listed = "; ".join(
        f"{system}: " + ", ".join(f"{column} {interval}" for column, interval in row.items())
        for system, row in values.items()
    )
    return Figure(caption=caption, svg=to_svg(canvas), description=f"{axis}. {listed}.")


def line_figure(
    series: Mapping[str, Sequence[tuple[float | int, Interval | float | int]]],
    *,
    caption: str,
    axis: str,
    x_axis: str,
    references: Mapping[str, float] | None = None,
    references_side: Literal["left", "right"] = "right",
    log_x: bool = False,
    bands: bool = True,
) -> Figure:
    """Draws how values change along a quantity, one line a system.

    Args:
        series: System to points (place, value), in the order in which they are joined. Where a value is
            undefined (None in its interval, or NaN) the line is broken.
        caption: Above the figure.
        axis: Name of the vertical axis.
        x_axis: Name of the horizontal axis.
        references: Name to value of lines to compare with, chance for instance.
        references_side: On which their names stand: where the lines of the systems are not.
        log_x: Whether the horizontal axis is logarithmic.
        bands: Intervals as bands, of more than four systems the first one's only; as bars otherwise.
    """
    points = {system: [(float(x), _interval(value)) for x, value in row] for system, row in series.items()}
    places = sorted({x for row in points.values() for x, _ in row})
    with drawing() as (canvas, axes):
        draw_references(axes, references, side=references_side)
        if log_x:
            axes.set_xscale("log")
        drawn: dict[str, Any] = {}
        for number, (system, row) in enumerate(points.items()):
            if all(value.value is None for _, value in row):
                continue
            style = SeriesStyle.of(number)
            if bands:
                has_band = number == 0 or len(points) <= _BANDS
                drawn[system] = _draw_band(axes, row, style, filled=has_band)
            else:
                drawn[system] = _draw_bars(axes, row, style)
        if 0 < len(places) <= _TICKED:
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.minorticks_off()
        axes.set_xlabel(x_axis)
        axes.set_ylabel(axis)
        add_legend(canvas, drawn)
    listed = "; ".join(
        f"{system}: " + ", ".join(f"{value} at {x:g}" for x, value in row) for system, row in points.items()
    )
    return Figure(caption=caption, svg=to_svg(canvas), description=f"{axis} by {x_axis}. {listed}.")


def curve_figure(
    steps: Sequence[float | int],
    curve: Sequence[float],
    *,
    caption: str,
    axis: str,
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Draws one number over the steps of a run, each point faint and their running mean strong.

    Args:
        steps: Updates done.
        curve: One number a step.
        caption: Above the figure.
        axis: Name of the vertical axis.
        references: Name to value of lines to compare with, chance for instance.
    """
    values = np.asarray(curve, dtype=float)
    width = max(1, len(values) // 25)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
    with drawing() as (canvas, axes):
        axes.plot(steps, values, color=SERIES[0], alpha=0.35, linewidth=0.8)
        axes.plot(steps[width - 1 :], smooth, color=SERIES[0], linewidth=1.8)
        draw_references(axes, references)
        axes.set_xlabel("step")
        axes.set_ylabel(axis)
    told = (
        f"{axis} over {len(values)} points, from {values[0]:.4g} to {values[-1]:.4g}" if len(values) else axis
    )
    return Figure(caption=caption, svg=to_svg(canvas), description=f"{told}.")


def with_own_ids(svg: str, prefix: str) -> str:
    """Returns the SVG with every id made unique to it, so that figures can stand on one page."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)


def _draw_bars(
    axes: Axes,
    points: Sequence[tuple[float, Interval]],
    style: SeriesStyle,
    *,
    line: str | None = None,
    size: float = 4.5,
) -> Any:
    """Draws points with bars; returns what stands in the legend."""
    centre, low, high = _bounds(points)
    return axes.errorbar(
        [x for x, _ in points],
        centre,
        yerr=np.maximum([centre - low, high - centre], 0.0),
        marker=style.marker,
        color=style.color,
        linestyle=style.linestyle if line is None else line,
        markersize=size,
        capsize=0.4 * size,
    )


def _draw_band(
    axes: Axes, points: Sequence[tuple[float, Interval]], style: SeriesStyle, *, filled: bool
) -> Any:
    """Draws a line within a band; returns what stands in the legend."""
    places = [x for x, _ in points]
    centre, low, high = _bounds(points)
    if filled:
        axes.fill_between(places, low, high, color=style.color, alpha=0.13, linewidth=0)
    (drawn,) = axes.plot(
        places,
        centre,
        marker=style.marker,
        color=style.color,
        linestyle=style.linestyle,
        linewidth=1.5,
        markersize=4.5,
    )
    return drawn


def _bounds(points: Sequence[tuple[float, Interval]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns values with both ends of their intervals: the value where there is none, NaN if undefined."""
    centre = np.array([value.value for _, value in points], dtype=float)
    low = np.array([v.value if v.low is None else v.low for _, v in points], dtype=float)
    high = np.array([v.value if v.high is None else v.high for _, v in points], dtype=float)
    return centre, low, high


def _interval(value: Interval | float | int) -> Interval:
    return value if isinstance(value, Interval) else Interval(value=defined(float(value)))
