"""Small figures as SVG text for a page: they follow its font and its light or dark colours."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from anylead.evaluation.results import Interval

_WIDTH_IN, _HEIGHT_IN = 4.4, 2.9
_INK = "#010203"
_SERIES = ("#0100f1", "#0100f2", "#0100f3", "#0100f4", "#0100f5", "#0100f6")
"""Stand-ins that become colours of the page's style sheet."""
_MARKERS = "osD^vP"
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
        name: _INK
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
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
        axes = canvas.add_subplot()
        _draw_references(axes, references)
        drawn: dict[str, Any] = {}
        for number, (system, row) in enumerate(values.items()):
            shift = 0.6 * ((number + 0.5) / len(values) - 0.5)
            shown = [(columns.index(c) + shift, i) for c, i in row.items() if i.value is not None]
            if not shown:
                continue
            centre = np.array([interval.value for _, interval in shown], dtype=float)
            low = np.array([i.value if i.low is None else i.low for _, i in shown], dtype=float)
            high = np.array([i.value if i.high is None else i.high for _, i in shown], dtype=float)
            drawn[system] = axes.errorbar(
                [place for place, _ in shown],
                centre,
                yerr=np.maximum([centre - low, high - centre], 0.0),
                fmt=_MARKERS[number % len(_MARKERS)],
                color=_SERIES[number % len(_SERIES)],
                markersize=5,
                capsize=2,
            )
        axes.set_xticks(range(len(columns)), columns)
        axes.set_xlabel(columns_axis)
        axes.set_ylabel(axis)
        if drawn:
            canvas.legend(list(drawn.values()), list(drawn), loc="outside upper left", ncols=2, fontsize=9)
    listed = "; ".join(
        f"{system}: " + ", ".join(f"{column} {interval}" for column, interval in row.items())
        for system, row in values.items()
    )
    return Figure(caption=caption, svg=_svg(canvas), description=f"{axis}. {listed}.")


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
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
        axes = canvas.add_subplot()
        axes.plot(steps, values, color=_SERIES[0], alpha=0.35, linewidth=0.8)
        axes.plot(steps[width - 1 :], smooth, color=_SERIES[0], linewidth=1.8)
        _draw_references(axes, references)
        axes.set_xlabel("step")
        axes.set_ylabel(axis)
    told = (
        f"{axis} over {len(values)} points, from {values[0]:.4g} to {values[-1]:.4g}" if len(values) else axis
    )
    return Figure(caption=caption, svg=_svg(canvas), description=f"{told}.")


def with_own_ids(svg: str, prefix: str) -> str:
    """Returns the SVG with every id made unique to it, so that figures can stand on one page."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)


def _draw_references(axes: Axes, references: Mapping[str, float] | None) -> None:
    for name, level in (references or {}).items():
        axes.axhline(level, color=_INK, alpha=0.6, linewidth=1, linestyle=":")
        place = (0.99, level)
        axes.annotate(name, place, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)


def _svg(canvas: Canvas) -> str:
    """Returns the drawing without XML header, metadata, fixed size and fixed colours."""
    text = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?)px[^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace(_INK, "currentColor")
    for number, stand_in in enumerate(_SERIES, start=1):
        svg = svg.replace(stand_in, f"var(--series-{number})")
    return svg.strip()
