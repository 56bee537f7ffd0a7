import math
import re

import pytest

from anylead.evaluation.figures import INK, SERIES, SeriesStyle, drawing, line_figure, to_svg
from anylead.evaluation.results import Interval


def interval(value):
    return Interval(value=value, low=value - 0.05, high=value + 0.02, resamples_used=10)


def height(svg):
    return float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])


def test_lines_take_intervals_and_plain_numbers():
    figure = line_figure(
        {"new": [(1, interval(0.7)), (12, interval(0.8))], "old": [(1, 0.6), (12, 0.65)]},
        caption="c",
        axis="macro AUROC",
        x_axis="leads",
    )
    assert figure.description == (
        "macro AUROC by leads. new: 0.700 [0.65, 0.72] at 1, 0.800 [0.75, 0.82] at 12; "
        "old: 0.600 at 1, 0.650 at 12."
    )
    assert ">12</text>" in figure.svg
    assert ">new</text>" in figure.svg


@pytest.mark.parametrize("bands", [True, False])
def test_the_interval_is_drawn_and_the_undefined_is_not(bands):
    def draw(points):
        return line_figure({"new": points}, caption="c", axis="a", x_axis="x", log_x=True, bands=bands)

    def marks(figure):
        return len(re.findall(r"<use [^>]*fill: var\(--series-1\);? *[^>]*>", without_bands(figure.svg)))

    def without_bands(svg):
        return re.sub(r"<[^>]*fill-opacity[^>]*>", "", svg)

    def lines(figure):
        drawn = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--series-1\); stroke-width: 1.5', figure.svg)
        return max((path.count("M ") for path in drawn), default=0)

    known = [(1, interval(0.7)), (2, interval(0.7)), (16, interval(0.8)), (32, interval(0.8))]
    whole, broken = draw(known), draw([*known[:2], (4, Interval(value=None)), (8, math.nan), *known[2:]])
    assert "undefined at 4, undefined at 8" in broken.description
    assert ("fill-opacity: 0.13" in whole.svg) == bands
    assert marks(broken) == marks(whole) >= 4
    # What is not known is not bridged.
    assert (lines(whole), lines(broken)) == (1, 2)


def test_nothing_to_draw_still_draws_the_axes():
    figure = line_figure({"new": [(1.0, math.nan)]}, caption="c", axis="score", x_axis="x")
    assert ">score</text>" in figure.svg
    assert ">new</text>" not in figure.svg


def test_no_two_of_forty_systems_look_alike():
    assert len({SeriesStyle.of(number) for number in range(40)}) == 40


def test_many_systems_make_the_figure_higher_not_the_axes_smaller():
    def draw(count, name="s"):
        series = {f"{name}{k}": [(0.0, 0.1 * k), (1.0, 0.2 * k)] for k in range(count)}
        return line_figure(series, caption="c", axis="a", x_axis="x")

    few, many = draw(2).svg, draw(9).svg
    assert height(many) > height(few) + 35
    assert height(draw(4, "a name that needs a line of its own").svg) > height(few)
    assert all(f">s{k}</text>" in many for k in range(9))


def test_a_drawing_of_ones_own_takes_the_colours_of_the_page():
    with drawing(3.0, 2.0) as (canvas, axes):
        axes.plot([0, 1], [0, 1], color=SERIES[1])
        axes.plot([0, 1], [1, 0], color=INK)
    svg = to_svg(canvas)
    assert "var(--series-2)" in svg
    assert "currentColor" in svg
    assert not re.search(r"#0[0-9a-f]{5}", svg)


def test_of_many_systems_the_first_has_a_band():
    def bands(count):
        series = {f"s{k}": [(0.0, interval(0.5)), (1.0, interval(0.6))] for k in range(count)}
        svg = line_figure(series, caption="c", axis="a", x_axis="x").svg
        return svg.count("fill-opacity: 0.13")

    assert bands(5) * 4 == bands(4)
