"""Reliability: what was said against what was true."""

from collections.abc import Mapping, Sequence

from anylead.evaluation.figures import INK, Figure, SeriesStyle, add_legend, drawing, to_svg
from anylead.evaluation.results import ReliabilityPoint

_MOST_DRAWN = 5


def reliability_figure(points: Mapping[str, Sequence[ReliabilityPoint]]) -> Figure:
    """Draws the part that has a finding against the probability that was given; right ones lie on the line.

    Args:
        points: System to points, all decisions in one heap; the first five systems are drawn.
    """
    shown = dict(list(points.items())[:_MOST_DRAWN])
    with drawing() as (canvas, axes):
        axes.plot([0.0, 1.0], [0.0, 1.0], color=INK, alpha=0.6, linewidth=1, linestyle=":")
        drawn = {}
        for number, (system, bins) in enumerate(shown.items()):
            style = SeriesStyle.of(number)
            predicted, observed = [one.predicted for one in bins], [one.observed for one in bins]
            (drawn[system],) = axes.plot(
                predicted, observed, color=style.color, marker=style.marker, markersize=4
            )
        axes.set_xlabel("probability given")
        axes.set_ylabel("part that has the finding")
        add_legend(canvas, drawn)
        svg = to_svg(canvas)
    told = "; ".join(
        f"{system}: " + ", ".join(f"{one.predicted:.2f} given, {one.observed:.2f} true" for one in bins)
        for system, bins in shown.items()
    )
    return Figure(caption="Reliability, all classes together", svg=svg, description=told)
