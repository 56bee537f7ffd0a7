import math
import re

import pytest

from anylead.evaluation.lead_figures import _RADIUS, _places, falls_figure, lead_map_figure
from anylead.evaluation.results import Interval
from anylead.leads import STANDARD_12


def numbers(svg):
    return re.findall(r">(-?\.\d+|-?\d+\.\d+)</text>", svg)


def test_every_lead_is_named_with_its_number():
    values = {lead: 0.001 * place for place, lead in enumerate(STANDARD_12)}
    figure = lead_map_figure(values, caption="c", meaning="Fall of the score without the lead")
    for place, lead in enumerate(STANDARD_12):
        assert f">{lead}</text>" in figure.svg
        assert f">.{place:03d}</text>" in figure.svg
    assert figure.description.startswith("Fall of the score without the lead. I 0.000, II 0.001, ")


def test_no_lead_covers_another():
    places = _places()
    assert set(places) == set(STANDARD_12)
    for one in places:
        for other in places:
            if one != other:
                assert math.dist(places[one], places[other]) > 1.95 * _RADIUS


def test_the_patients_left_is_on_the_right():
    places = _places()
    assert places["V1"][0] < places["V2"][0] < places["V4"][0] < places["V6"][0]
    assert places["aVR"][0] < places["aVL"][0]
    assert places["aVF"][1] < places["I"][1] < places["aVL"][1]


def test_what_is_not_known_has_a_disc_and_no_number():
    figure = lead_map_figure({"I": 0.5, "V1": None, "V2": math.nan}, caption="c", meaning="m")
    assert numbers(figure.svg) == [".500"]
    assert ">V1</text>" in figure.svg
    assert figure.description == "m. I 0.500."
    empty = lead_map_figure({}, caption="c", meaning="m")
    assert empty.description == "m. No lead known."


def test_larger_is_darker_and_below_the_palest_is_of_another_colour():
    figure = lead_map_figure({"I": 0.02, "II": 0.01, "V1": -0.01}, caption="c", meaning="m", palest=0.0)
    filled = re.findall(r"fill: var\(--series-(\d)\); opacity: ([\d.]+)", figure.svg)
    strengths = sorted((color, float(opacity)) for color, opacity in filled if float(opacity) > 0.0)
    assert strengths == [("1", pytest.approx(0.25)), ("1", pytest.approx(0.5)), ("2", pytest.approx(0.25))]


def test_a_number_that_is_not_small_is_whole():
    svg = lead_map_figure({"I": -1.25, "II": 10.0, "III": -0.5}, caption="c", meaning="m", digits=2).svg
    assert sorted(numbers(svg)) == ["-.50", "-1.25", "10.00"]


def test_falls_have_a_row_each():
    fall = Interval(value=0.02, low=0.01, high=0.03, resamples_used=9)
    figure = falls_figure(
        {"new": {"arms exchanged": fall, "V1 flat": Interval(value=None)}, "old": {"arms exchanged": fall}},
        caption="c",
        axis="fall",
    )
    assert ">arms exchanged</text>" in figure.svg
    assert ">V1 flat</text>" in figure.svg
    assert figure.description == (
        "fall. new: arms exchanged 0.020 [0.01, 0.03], V1 flat undefined; "
        "old: arms exchanged 0.020 [0.01, 0.03]."
    )
    more = falls_figure({"new": {f"row {k}": fall for k in range(6)}}, caption="c", axis="fall")
    assert height(more.svg) > height(figure.svg) + 40


def height(svg):
    return float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])
