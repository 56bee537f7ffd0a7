"""Differences under every condition in one drawing, beside the line of no difference."""

from collections.abc import Mapping, Sequence

import numpy as np

from anylead.evaluation.comparison import PairedDifference, Verdict
from anylead.evaluation.figures import INK, SERIES, WIDTH_IN, Figure, drawing, to_svg
from anylead.evaluation.sections import condition_name

_ROW_IN = 0.24
_AROUND_IN = 0.9
_LOOK: Mapping[Verdict, tuple[str, str]] = {
    "A better": (SERIES[0], "o"),
    "B better": (SERIES[1], "s"),
    "not shown": (SERIES[5], "D"),
    "identical": (SERIES[5], "D"),
}


def difference_figure(differences: Sequence[PairedDifference], *, caption: str, axis: str) -> Figure:
    """Draws one row a condition: the difference with its interval, right of zero where A is better.

    Args:
        differences: In the order of the rows; what is undefined is left out.
        caption: Above the figure.
        axis: Name of the horizontal axis.
    """
    shown = [one for one in differences if one.difference.value is not None]
    with drawing(WIDTH_IN, _AROUND_IN + _ROW_IN * max(3, len(shown))) as (canvas, axes):
        axes.axvline(0.0, color=INK, alpha=0.6, linewidth=1, linestyle=":")
        for row, one in enumerate(shown):
            color, marker = _LOOK[one.verdict]
            centre = float(one.difference.value or 0.0)
            ends = np.array([[one.difference.low], [one.difference.high]], dtype=float)
            reach = np.nan_to_num(np.maximum([centre - ends[0], ends[1] - centre], 0.0))
            axes.errorbar([centre], [row], xerr=reach, color=color, marker=marker, markersize=5, capsize=2)
        axes.set_yticks(range(len(shown)), [condition_name(one.condition) for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(f"{axis}\n← B better | A better →")
        svg = to_svg(canvas)
    listed = "; ".join(f"{condition_name(one.condition)}: {one.difference}, {one.verdict}" for one in shown)
    return Figure(caption=caption, svg=svg, description=f"{axis}. {listed}.")
