"""What a gallery answers, in words: near certainty is not rounded to certainty, false alerts are counted."""

from dataclasses import replace

import pytest

from anylead.gallery.results import Case, Interval, Worklist


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.00258, "0.258"),
        (0.5, "50"),
        (0.721, "72.1"),
        (0.9914, "99.1"),
        (0.9975, "99.8"),
        (0.99962, "99.96"),
        (0.999999, ">99.99"),
        (1.0, "100"),
    ],
)
def test_a_share_in_percent(value: float, shown: str) -> None:
    assert Interval(value=value, low=value, high=value).percent() == f"{shown} % [{shown}, {shown}]"


def test_how_many_suspects_are_right_is_said_without_the_duplicates() -> None:
    rare = Interval(value=0.02, low=0.01, high=0.04)
    case = Case(
        case_id="c",
        kind="wrong patient",
        record_id="r",
        patient_id="p",
        lead_set="I",
        probability=rare,
        own=None,
        other=None,
    )
    worklist = Worklist(
        cases=[case, case, replace(case, kind="duplicate")],
        screened=9,
        not_screened=0,
        prevalence=0.0005,
        expected_false_alerts=Interval(value=1.96, low=1.92, high=1.98),
    )
    assert worklist.expectation() == (
        "If 0.05 % of recordings are filed wrongly, 0.04 [0.02, 0.08] of these 2 suspects are expected to "
        "be; the others are false alerts."
    )
    assert replace(worklist, expected_false_alerts=None).expectation() == ""
