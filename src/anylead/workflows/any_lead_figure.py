"""The any-lead curve as a picture that stands beside a model card, for pages that show no SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from anylead.bundle.measured import Curve, Estimate
from anylead.evaluation.lead_protocol import Kind

_TITLES: dict[Kind, str] = {
    "shift": "Shift: probe of twelve leads, asked about fewer",
    "information": "Information: probe of the same leads",
}
_COLORS = ("#0b62c4", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#57534e")
"""Dark enough to be read on white."""
_MARKERS = "osD^vP"
_LINES = ("-", "--", ":", "-.")


def draw_any_lead_curve(curves: Sequence[Curve], path: Path) -> None:
    """Draws one panel for each kind of curve, one line a system, with its interval as a band.

    Args:
        curves: Of any systems and kinds; this bundle's is drawn strongest.
        path: PNG file to write.

    Raises:
        OSError: If the disk refuses.
    """
    kinds = [kind for kind in get_args(Kind) if any(one.kind == kind for one in curves)]
    systems = list(dict.fromkeys(one.system for one in curves))
    with rc_context({"text.parse_math": False, "font.size": 9, "legend.frameon": False}):
        figure = Figure(figsize=(4.6 * len(kinds), 3.6), dpi=150, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            axes.set_title(_TITLES[kind], fontsize=9)
            axes.set_xlabel("number of leads")
            axes.spines[["top", "right"]].set_visible(False)
            axes.axhline(0.5, color="#57534e", linewidth=0.8, linestyle=":")
            for one in (one for one in curves if one.kind == kind):
                _draw(axes, one, systems.index(one.system))
            axes.set_xticks(sorted({point.leads for one in curves for point in one.points}))
        panels[0].set_ylabel(curves[0].metric)
        panels[0].annotate("chance", (0.01, 0.5), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=min(3, len(names)))
        figure.savefig(path, format="png", metadata={"Software": None})


def _draw(axes: Axes, curve: Curve, number: int) -> None:
    points = [point for point in curve.points if point.score.value is not None]
    color, mine = _COLORS[number % len(_COLORS)], curve.role == "this"
    places = [point.leads for point in points]
    ends = [_ends(point.score) for point in points]
    axes.fill_between(
        places, [low for low, _ in ends], [high for _, high in ends], color=color, alpha=0.12, linewidth=0
    )
    axes.plot(
        places,
        [float(point.score.value or 0.0) for point in points],
        color=color,
        marker=_MARKERS[number % len(_MARKERS)],
        linestyle="-" if mine else _LINES[1 + number % (len(_LINES) - 1)],
        linewidth=2.2 if mine else 1.3,
        markersize=4.5,
        label="this encoder" if mine else curve.system,
    )


def _ends(score: Estimate) -> tuple[float, float]:
    value = float(score.value or 0.0)
    return (value if score.low is None else score.low, value if score.high is None else score.high)
