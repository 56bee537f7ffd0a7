"""Forest plot: one value with its interval a row, named where it stands."""

from collections.abc import Mapping
from textwrap import wrap

import numpy as np

from anylead.evaluation.figures import INK, SERIES, WIDTH_IN, Figure, drawing, to_svg
from anylead.evaluation.results import Interval

_LINE_IN = 0.2
_MARGIN_IN = 0.75
_NAME_CHARACTERS = 26
"""A longer name goes on in the next line, so that values have room beside it on a telephone."""


def forest_figure(
    values: Mapping[str, Interval],
    *,
    caption: str,
    axis: str,
    reference: tuple[str, float] | None = None,
) -> Figure:
    """Draws values below each other; the first one stands out.

    Args:
        values: Name to value; undefined ones keep their row.
        caption: Above the figure.
        axis: Name of the horizontal axis.
        reference: Name and place of a line to compare with, chance for instance.
    """
    names = ["\n".join(wrap(name, _NAME_CHARACTERS)) for name in values]
    lines = max((name.count("\n") + 1 for name in names), default=1)
    with drawing(WIDTH_IN, _MARGIN_IN + (lines + 0.4) * _LINE_IN * len(values)) as (canvas, axes):
        for row, interval in enumerate(values.values()):
            if interval.value is None:
                continue
            low = interval.value if interval.low is None else interval.low
            high = interval.value if interval.high is None else interval.high
            axes.errorbar(
                [interval.value],
                [row],
                xerr=np.maximum([[interval.value - low], [high - interval.value]], 0.0),
                fmt="o",
                color=SERIES[0] if row == 0 else INK,
                markersize=5,
                capsize=2,
            )
        if reference is not None:
            axes.axvline(reference[1], color=INK, alpha=0.6, linewidth=1, linestyle=":")
            axes.annotate(
                reference[0],
                (reference[1], 1.0),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=9,
            )
        axes.set_yticks(range(len(values)), names)
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.set_xlabel(axis)
        svg = to_svg(canvas)
    told = "; ".join(f"{name} {interval}" for name, interval in values.items())
    return Figure(caption=caption, svg=svg, description=f"{axis}. {told}.")
