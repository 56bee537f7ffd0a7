"""Leads in pictures: a number for each at its place on the body, and what it costs when one is wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path as Outline

from anylead.evaluation.figures import INK, PAPER, SERIES, Figure, SeriesStyle, add_legend, drawing, to_svg
from anylead.evaluation.results import Interval
from anylead.leads import STANDARD_12

_RADIUS = 0.22
"""Of a lead's disc, in the unit of the places below."""
_CHEST: dict[str, tuple[float, float]] = {
    "V1": (1.06, 1.72),
    "V2": (1.54, 1.72),
    "V3": (1.60, 1.26),
    "V4": (1.78, 0.83),
    "V5": (2.23, 0.78),
    "V6": (2.66, 0.93),
}
"""On a chest seen from the front, the patient's left on the right; spread a little, so that no discs meet."""
_ANGLES_DEGREES: dict[str, float] = {"I": 0, "II": 60, "aVF": 90, "III": 120, "aVR": -150, "aVL": -30}
"""Of the hexaxial system: from the patient's left, turning towards the feet."""
_CENTRE, _REACH = (4.1, 1.4), 0.87
_MIDDLE = 1.3
"""Of the torso."""
_STRONGEST = 0.5
"""Opacity of the strongest colour: text on it can still be read, in light and dark."""


def lead_map_figure(
    values: Mapping[str, float | None],
    *,
    caption: str,
    meaning: str,
    palest: float | None = None,
    digits: int = 3,
) -> Figure:
    """Draws a number for each of the twelve leads where it is recorded, darker the larger it is.

    Args:
        values: Lead to number; a lead that is not named, None or NaN is drawn empty.
        caption: Above the figure.
        meaning: What the numbers are, for the description.
        palest: Number without colour, what is below it being of another colour; None is the smallest.
        digits: After the point.
    """
    known = {
        lead: float(value) for lead, value in values.items() if value is not None and not np.isnan(value)
    }
    base = min(known.values(), default=0.0) if palest is None else palest
    span = max((abs(value - base) for value in known.values()), default=0.0)
    with drawing(4.4, 2.35) as (canvas, axes):
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_xlim(-0.02, 5.22)
        axes.set_ylim(0.25, 2.9)
        _draw_torso(axes)
        _draw_frontal_plane(axes)
        for lead, place in _places().items():
            value = known.get(lead)
            strength = 0.0 if value is None or span == 0.0 else (value - base) / span
            _draw_lead(axes, lead, place, "" if value is None else _short(value, digits), strength)
    listed = ", ".join(f"{lead} {known[lead]:.{digits}f}" for lead in STANDARD_12 if lead in known)
    return Figure(caption=caption, svg=to_svg(canvas), description=f"{meaning}. {listed or 'No lead known'}.")


def falls_figure(falls: Mapping[str, Mapping[str, Interval]], *, caption: str, axis: str) -> Figure:
    """Draws how much a score falls under each of some conditions, one row a condition.

    Args:
        falls: System to condition to fall; rows come in the order in which they first appear.
        caption: Above the figure.
        axis: Name of the horizontal axis.
    """
    rows = list(dict.fromkeys(name for row in falls.values() for name in row))
    with drawing(4.4, 0.9 + 0.24 * len(rows)) as (canvas, axes):
        axes.axvline(0.0, color=INK, alpha=0.6, linewidth=1, linestyle=":")
        drawn: dict[str, Any] = {}
        for number, (system, row) in enumerate(falls.items()):
            shift = 0.6 * ((number + 0.5) / len(falls) - 0.5)
            style = SeriesStyle.of(number)
            for name, fall in row.items():
                if fall.value is None:
                    continue
                low = fall.value if fall.low is None else fall.low
                high = fall.value if fall.high is None else fall.high
                drawn[system] = axes.errorbar(
                    [fall.value],
                    [rows.index(name) + shift],
                    xerr=np.maximum([[fall.value - low], [high - fall.value]], 0.0),
                    marker=style.marker,
                    color=style.color,
                    linestyle="none",
                    markersize=4.0,
                    capsize=1.5,
                )
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(axis)
        add_legend(canvas, drawn)
    listed = "; ".join(
        f"{system}: " + ", ".join(f"{name} {fall}" for name, fall in row.items())
        for system, row in falls.items()
    )
    return Figure(caption=caption, svg=to_svg(canvas), description=f"{axis}. {listed}.")


def _places() -> dict[str, tuple[float, float]]:
    """Returns the middle of each lead's disc."""
    limb = {}
    for lead, degrees in _ANGLES_DEGREES.items():
        angle = np.deg2rad(degrees)
        limb[lead] = (_CENTRE[0] + _REACH * float(np.cos(angle)), _CENTRE[1] - _REACH * float(np.sin(angle)))
    return _CHEST | limb


def _draw_torso(axes: Axes) -> None:
    """Draws neck, shoulders and flanks, open below, and the breastbone as a line."""
    outer = [(0.2, 2.95), (0.22, 2.65), (0.3, 2.45), (0.95, 2.6), (1.22, 2.2)]
    flank = [(1.06, 1.75), (1.2, 1.3), (1.18, 0.7), (1.1, 0.05)]
    for side in (1.0, -1.0):
        for points in (outer, flank):
            straight = [Outline.LINETO] * (len(points) - 4)
            codes = [Outline.MOVETO, *straight, *[Outline.CURVE4] * 3]
            line = Outline([(_MIDDLE + side * x, y) for x, y in points], codes)
            axes.add_patch(PathPatch(line, fill=False, edgecolor=INK, alpha=0.45, linewidth=1.1))
    axes.plot([_MIDDLE, _MIDDLE], [1.4, 2.3], color=INK, alpha=0.3, linewidth=1.1)


def _draw_frontal_plane(axes: Axes) -> None:
    """Draws the axes of the limb leads, from the far side through the middle."""
    for degrees in _ANGLES_DEGREES.values():
        angle = np.deg2rad(degrees)
        ends = np.array([-0.45, 1.0]) * _REACH
        axes.plot(
            _CENTRE[0] + ends * np.cos(angle),
            _CENTRE[1] - ends * np.sin(angle),
            color=INK,
            alpha=0.3,
            linewidth=1.0,
        )


def _draw_lead(axes: Axes, lead: str, place: tuple[float, float], text: str, strength: float) -> None:
    """Draws a disc with the lead's name and its number."""
    x, y = place
    color = SERIES[0] if strength >= 0.0 else SERIES[1]
    # The page shows through alpha, so a disc without one is needed to hide the lines below it.
    axes.add_patch(Circle(place, _RADIUS, facecolor=PAPER, edgecolor="none", zorder=2))
    axes.add_patch(
        Circle(place, _RADIUS, facecolor=color, alpha=_STRONGEST * abs(strength), edgecolor="none", zorder=3)
    )
    axes.add_patch(Circle(place, _RADIUS, fill=False, edgecolor=INK, alpha=0.6, linewidth=0.8, zorder=4))
    axes.text(
        x,
        y + (0.09 if text else 0.0),
        lead,
        ha="center",
        va="center",
        fontsize=8.5,
        zorder=5,
        color=INK,
        fontweight="bold",
    )
    axes.text(x, y - 0.07, text, ha="center", va="center", fontsize=8.5, zorder=5, color=INK)


def _short(value: float, digits: int) -> str:
    """Returns ``.012`` and ``-.012``: there is room for no more."""
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1.0 else text
