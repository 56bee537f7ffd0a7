import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.evaluation.multiplicity import (
    beats_all,
    bootstrap_p_value,
    corrected,
    holm,
    reads_as,
    resamples_needed,
)
from anylead.evaluation.results import Difference, Interval


def difference(low, high, *, p_value=0.01, metric="macro_auroc"):
    interval = Interval(value=(low + high) / 2, low=low, high=high, resamples_used=100)
    return Difference(
        a="new",
        b="old",
        metric=metric,
        interval=interval,
        excludes_zero=interval.excludes_zero,
        p_value=p_value,
    )


def stepwise_rejections(p_values, level):
    """Holm's procedure as the paper tells it: reject the smallest while it is below level / those left."""
    left = sorted(range(len(p_values)), key=lambda place: p_values[place])
    rejected = set()
    for step, place in enumerate(left):
        if p_values[place] > level / (len(p_values) - step):
            break
        rejected.add(place)
    return rejected


def test_p_value_by_hand():
    # One of nine on the rarer side: 2 * (1 + 1) / (1 + 9).
    assert bootstrap_p_value(np.array([0.1] * 8 + [-0.1])) == pytest.approx(0.4)
    assert bootstrap_p_value(np.full(999, 0.3)) == pytest.approx(2 / 1000)
    assert bootstrap_p_value(np.array([math.nan, 0.1, math.nan, 0.1, 0.1])) == pytest.approx(2 / 4)


def test_p_value_of_no_difference_is_one_and_of_nothing_is_undefined():
    assert bootstrap_p_value(np.zeros(50)) == 1.0
    assert math.isnan(bootstrap_p_value(np.full(3, math.nan)))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_p_value_does_not_depend_on_which_system_comes_first(values):
    draws = np.array(values)
    assert bootstrap_p_value(draws) == bootstrap_p_value(-draws)


def test_p_values_of_equal_systems_are_rarely_small():
    random = np.random.default_rng(0)
    # Means of 30 differences that are zero on average, resampled.
    small = 0
    for _ in range(300):
        sample = random.normal(size=30)
        draws = random.choice(sample, size=(400, 30)).mean(axis=1)
        small += bootstrap_p_value(draws) < 0.05
    assert 3 <= small <= 30


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_corrected_p_values_reject_what_the_stepwise_procedure_rejects(p_values, level):
    adjusted = holm(p_values)
    for place, rejected in enumerate(
        place in stepwise_rejections(p_values, level) for place in range(len(p_values))
    ):
        if not math.isclose(adjusted[place], level, rel_tol=1e-9):
            assert (adjusted[place] <= level) == rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_correction_does_not_depend_on_the_order(p_values, random):
    order = list(range(len(p_values)))
    random.shuffle(order)
    shuffled = holm([p_values[place] for place in order])
    assert shuffled == [holm(p_values)[place] for place in order]


def test_a_family_is_corrected_together_and_what_is_undefined_stays():
    undefined = replace(difference(0.1, 0.2), interval=Interval(value=None), p_value=None)
    found = corrected([difference(0.1, 0.2, p_value=0.01), undefined, difference(0.1, 0.2, p_value=0.03)])
    assert [one.p_holm for one in found] == [pytest.approx(0.02), None, pytest.approx(0.03)]


def test_pre_training_helps_only_against_all_baselines():
    clear = difference(0.02, 0.1, p_value=0.002)
    assert beats_all(corrected([clear, clear, clear]))
    assert not beats_all(corrected([clear, difference(-0.01, 0.1, p_value=0.002)]))
    # 0.03 alone is below 0.05; with a second baseline that has as much it is not.
    assert beats_all(corrected([difference(0.02, 0.1, p_value=0.03)]))
    assert not beats_all(corrected([difference(0.02, 0.1, p_value=0.03)] * 2))
    assert not beats_all(corrected([clear, replace(clear, interval=Interval(value=None), p_value=None)]))
    assert not beats_all([clear])
    assert not beats_all([])


def test_a_difference_reads_as_better_worse_or_not_shown():
    better, worse, open_question = corrected(
        [difference(0.1, 0.3), difference(-0.3, -0.1), difference(-0.1, 0.3)]
    )
    assert [reads_as(one) for one in (better, worse, open_question)] == ["better", "worse", "not shown"]
    assert reads_as(replace(worse, metric="eer")) == "better"
    assert reads_as(replace(worse, p_holm=0.2)) == "not shown"
    assert reads_as(difference(-0.3, -0.1)) == "not shown"


def test_less_error_is_better():
    assert beats_all(corrected([difference(-0.1, -0.02, p_value=0.002, metric="eer")]))
    assert not beats_all(corrected([difference(0.02, 0.1, p_value=0.002, metric="eer")]))


@given(st.integers(1, 60))
def test_fewer_resamples_than_needed_can_show_nothing(comparisons):
    def best(resamples):
        return holm([bootstrap_p_value(np.ones(resamples))] * comparisons)[0]

    needed = resamples_needed(comparisons)
    assert best(needed) < 0.05
    assert best(needed - 1) >= 0.05 - 1e-12
