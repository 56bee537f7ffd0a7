"""Figures of identification: curves of rates, DET on probit axes, and the open set."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from anylead.evaluation.figures import (
    INK,
    Figure,
    SeriesStyle,
    add_legend,
    drawing,
    interval_figure,
    line_figure,
    to_svg,
)
from anylead.evaluation.identity_results import IdentitySuite
from anylead.evaluation.results import Interval
from anylead.evaluation.verification import MINIMUM_FALSE_ACCEPTANCES

_RATES = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_OPEN_SET_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_HIGHEST = 0.6
"""Of the false acceptance rates shown: nobody works above it."""


def det_figure(suites: Mapping[str, IdentitySuite], *, caption: str) -> Figure:
    """Draws detection error trade-offs, lower and further left being better.

    Both axes are stretched as the normal distribution is, so that scores that are normal make straight
    lines. False acceptance begins where it means ten impostor comparisons.

    Args:
        suites: Name in the figure to result.
        caption: Above the figure.
    """
    lowest_far = min(
        (MINIMUM_FALSE_ACCEPTANCES / max(one.impostor_comparisons, 1) for one in suites.values()),
        default=0.01,
    )
    far_ends = min(lowest_far, 0.2), _HIGHEST
    frr_ends = 0.5 / max((one.probes for one in suites.values()), default=100), 0.99
    told = []
    with drawing() as (canvas, axes):
        drawn: dict[str, Any] = {}
        for number, (name, one) in enumerate(suites.items()):
            told.append(f"{name}: equal error rate {one.eer}")
            own_lowest = MINIMUM_FALSE_ACCEPTANCES / max(one.impostor_comparisons, 1)
            shown = [(far, frr) for far, frr in one.det if own_lowest <= far <= far_ends[1]]
            if not shown:
                continue
            places = ndtri(np.clip(np.array(shown), 1e-6, 1.0 - 1e-6))
            style = SeriesStyle.of(number)
            (drawn[name],) = axes.plot(
                places[:, 0],
                np.maximum(places[:, 1], ndtri(frr_ends[0])),
                color=style.color,
                linestyle=style.linestyle,
                marker=style.marker,
                markevery=(3 * number, max(1, len(shown) // 4)),
                markersize=4.5,
                linewidth=1.5,
            )
        diagonal = ndtri([max(far_ends[0], frr_ends[0]), far_ends[1]])
        axes.plot(diagonal, diagonal, color=INK, alpha=0.6, linewidth=1, linestyle=":")
        for ends, place, name_of, limit in (
            (far_ends, axes.set_xticks, axes.set_xlabel, axes.set_xlim),
            (frr_ends, axes.set_yticks, axes.set_ylabel, axes.set_ylim),
        ):
            rates = [rate for rate in _RATES if ends[0] <= rate <= ends[1]]
            place(ndtri(rates).tolist(), [f"{100 * rate:g} %" for rate in rates])
            limit(float(ndtri(ends[0])), float(ndtri(ends[1])))
            name_of("false acceptance" if ends is far_ends else "false rejection")
        add_legend(canvas, drawn)
    return Figure(
        caption=caption,
        svg=to_svg(canvas),
        description=f"False rejection by false acceptance on probit axes. {'; '.join(told)}.",
    )


def dir_figure(curves: Mapping[str, Sequence[tuple[float, float]]], *, caption: str) -> Figure:
    """Draws how many probes of enrolled persons are found, against how many strangers are accepted.

    Args:
        curves: Name in the figure to points: false acceptance rate, detection and identification rate.
        caption: Above the figure.
    """
    with drawing() as (canvas, axes):
        axes.set_xscale("log")
        drawn: dict[str, Any] = {}
        for number, (name, points) in enumerate(curves.items()):
            style = SeriesStyle.of(number)
            (drawn[name],) = axes.plot(
                [far for far, _ in points],
                [rate for _, rate in points],
                color=style.color,
                linestyle=style.linestyle,
                marker=style.marker,
                markevery=(2 * number % len(points), max(1, len(points) // 4)),
                markersize=4.5,
                linewidth=1.5,
            )
        lowest = min((points[0][0] for points in curves.values()), default=0.1)
        rates = [rate for rate in _OPEN_SET_RATES if rate >= 0.999 * lowest]
        axes.set_xticks(rates, [f"{100 * rate:g} %" for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel("strangers accepted")
        axes.set_ylabel("found and accepted")
        add_legend(canvas, drawn)
    ends = "; ".join(
        f"{name}: {points[0][1]:.3f} at {points[0][0]:.3g}, {points[-1][1]:.3f} at {points[-1][0]:.3g}"
        for name, points in curves.items()
    )
    told = f"Detection and identification rate by false acceptance rate. {ends}."
    return Figure(caption=caption, svg=to_svg(canvas), description=told)


def suite_figures(suites: Mapping[str, IdentitySuite], leads: str) -> list[Figure]:
    """Returns all figures of one set of leads.

    Args:
        suites: Name in the figures to result.
        leads: What to call the leads.
    """
    cmc = {name: [(point.at, point.rate) for point in one.cmc] for name, one in suites.items()}
    sizes = {name: [(point.at, point.rate) for point in one.gallery_sizes] for name, one in suites.items()}
    figures = [
        line_figure(
            cmc,
            caption=f"Cumulative match (CMC), {leads}",
            axis="person among them",
            x_axis="candidates looked at",
            log_x=True,
        ),
        det_figure(suites, caption=f"Detection error trade-off, {leads} (dotted: equal errors)"),
    ]
    dir_curves = {name: one.open_set.curve for name, one in suites.items() if one.open_set}
    if dir_curves:
        figures.append(dir_figure(dir_curves, caption=f"Open set, {leads}"))
    # Two lines a name: in one line they would run into each other.
    gaps = {
        name: {gap.replace(" ", "\n", 1): rate for gap, rate in row.items()}
        for name, row in rates_by_gap(list(suites.values()), "rank1").items()
    }
    if gaps:
        figures.append(
            interval_figure(
                gaps,
                caption=f"Rank-1 by time since enrolment, {leads}",
                axis="Rank-1",
                columns_axis="time since enrolment",
            )
        )
    if any(sizes.values()):
        figures.append(
            line_figure(
                sizes,
                caption=f"Rank-1 by persons in the gallery, {leads}",
                axis="Rank-1",
                x_axis="persons in the gallery",
                log_x=True,
            )
        )
    enrolled = {
        name: [(point.recordings, point.rank1) for point in one.enrolment.points]
        for name, one in suites.items()
        if one.enrolment
    }
    if enrolled:
        figures.append(
            line_figure(
                enrolled,
                caption=f"Rank-1 by recordings enrolled, {leads}",
                axis="Rank-1",
                x_axis="recordings enrolled of each person",
            )
        )
    return figures


def rates_by_gap(
    suites: Sequence[IdentitySuite], metric: Literal["rank1", "eer"]
) -> dict[str, dict[str, Interval]]:
    """Returns system to gap to rate, for the gaps that are scored."""
    grid: dict[str, dict[str, Interval]] = {}
    for one in suites:
        for gap in one.gaps:
            value = gap.rank1 if metric == "rank1" else gap.eer
            if value is not None:
                grid.setdefault(one.system, {})[gap.name] = value
    return grid
