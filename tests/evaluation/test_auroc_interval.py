import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from anylead.evaluation.auroc_interval import MINIMUM_OUTCOMES, auroc_bounds


def coverage_benchmark():
    """Returns the recorded simulation as a module: the tests run a small part of it."""
    path = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = coverage_benchmark()


def case(seed=0, *, records=240, patients=80, auroc=0.85):
    random = np.random.default_rng(seed)
    labels = random.random((records, 3)) < np.array([0.1, 0.3, 0.5])
    scores = random.normal(size=(records, 3)) + labels * np.sqrt(2.0) * stats.norm.ppf(auroc)
    return labels, scores, [f"p{row % patients}" for row in range(records)]


def least(positives, sets=200):
    """What 93 % comes to in so few data sets, at worst in one of a thousand runs."""
    return stats.binom.ppf(0.001, sets, 0.93) / sets


@pytest.mark.parametrize("auroc", BENCHMARK.AUROCS)
@pytest.mark.parametrize("positives", [10, 20, 50, 100])
@pytest.mark.parametrize("patients", [BENCHMARK.ALONE, BENCHMARK.SOME], ids=["alone", "clustered"])
def test_interval_holds_the_truth(positives, auroc, patients):
    cell = BENCHMARK.auroc_cell(positives, auroc, patients, "normal", 200, seed=1)
    assert cell["coverage"] >= least(positives)


def test_interval_of_many_positives_is_not_too_wide():
    cells = [
        BENCHMARK.auroc_cell(100, auroc, patients, "normal", 200, seed=2)["coverage"]
        for auroc in BENCHMARK.AUROCS
        for patients in (BENCHMARK.ALONE, BENCHMARK.SOME)
    ]
    # Of 1600 data sets, not more than 97 % and chance.
    assert np.mean(cells) <= stats.binom.ppf(0.999, 1600, 0.97) / 1600


def test_percentile_interval_of_few_positives_holds_the_truth_less_often():
    # The reason for an interval of our own: measured, 20 positives at 0.95.
    cell = BENCHMARK.resampled_cell(20, 0.95, BENCHMARK.ALONE, sets=100, resamples=100, seed=1)
    assert cell["coverage"]["auroc, percentiles"] <= 0.92


def test_value_is_the_area_with_ties():
    labels, scores, patients = case()
    bounds = auroc_bounds(labels, scores.round(1), patients)
    for k in range(3):
        assert bounds.value[k] == pytest.approx(roc_auc_score(labels[:, k], scores[:, k].round(1)), abs=1e-12)


def test_many_patients_of_one_recording_agree_with_the_variance_of_delong():
    random = np.random.default_rng(0)
    labels = random.random((4000, 1)) < 0.4
    scores = random.normal(size=(4000, 1)) + 0.8 * labels
    bounds = auroc_bounds(labels, scores, [None] * 4000)
    positives, negatives = scores[labels], scores[~labels]
    wins = positives[:, None] > negatives[None, :]
    variance = wins.mean(axis=1).var(ddof=1) / len(positives) + wins.mean(axis=0).var(ddof=1) / len(negatives)
    width = bounds.high[0] - bounds.low[0]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.02)


def test_variance_between_patients_is_that_of_obuchowski():
    # 300 patients of 4 equal recordings say no more than 300 of one.
    random = np.random.default_rng(1)
    labels, scores = random.random((300, 1)) < 0.4, random.normal(size=(300, 1))
    one = auroc_bounds(labels, scores, [str(row) for row in range(300)])
    four = auroc_bounds(
        np.repeat(labels, 4, axis=0), np.repeat(scores, 4, axis=0), [str(row // 4) for row in range(1200)]
    )
    assert four.value[0] == pytest.approx(one.value[0], abs=1e-12)
    assert four.high[0] - four.low[0] == pytest.approx(one.high[0] - one.low[0], rel=0.02)
    taken_apart = auroc_bounds(np.repeat(labels, 4, axis=0), np.repeat(scores, 4, axis=0), [None] * 1200)
    assert taken_apart.high[0] - taken_apart.low[0] < 0.6 * (four.high[0] - four.low[0])


@given(st.integers(0, 1000))
def test_interval_holds_its_value_and_stays_between_0_and_1(seed):
    labels, scores, patients = case(seed, auroc=0.97)
    bounds = auroc_bounds(labels, scores, patients)
    told = ~np.isnan(bounds.low)
    assert told[1:].all()
    assert (bounds.low[told] >= 0.0).all()
    assert (bounds.low[told] < bounds.value[told]).all()
    assert (bounds.value[told] <= bounds.high[told]).all()
    assert (bounds.high[told] <= 1.0).all()


def test_interval_depends_on_ranks_alone_and_mirrors_for_the_other_outcome():
    labels, scores, patients = case()
    one = auroc_bounds(labels, scores, patients)
    stretched = auroc_bounds(labels, np.exp(3.0 * scores), patients)
    np.testing.assert_allclose([stretched.low, stretched.high], [one.low, one.high])
    other = auroc_bounds(~labels, scores, patients)
    np.testing.assert_allclose([1.0 - other.high, 1.0 - other.low], [one.low, one.high], atol=1e-9)


def test_more_confidence_is_a_wider_interval():
    labels, scores, patients = case()
    narrow, wide = (auroc_bounds(labels, scores, patients, confidence=level) for level in (0.8, 0.99))
    assert (wide.low < narrow.low).all()
    assert (wide.high > narrow.high).all()


def test_perfect_ranking_still_has_a_lower_end_that_rises_with_positives():
    def low(positives):
        labels = np.arange(400)[:, None] < positives
        return auroc_bounds(labels, labels.astype(float), [None] * 400)

    few, many = low(12), low(100)
    assert (few.value[0], few.high[0]) == (1.0, pytest.approx(1.0))
    assert few.low[0] < many.low[0] < 1.0


@pytest.mark.parametrize("positives", [0, 1, 9, 10, 11])
@pytest.mark.parametrize("rare", [True, False], ids=["rare positives", "rare negatives"])
def test_under_ten_of_either_outcome_there_is_no_interval(positives, rare):
    labels = (np.arange(60)[:, None] < positives) == rare
    scores = np.random.default_rng(0).normal(size=(60, 1))
    bounds = auroc_bounds(labels, scores, [None] * 60)
    assert np.isnan(bounds.value[0]) == (positives == 0)
    assert np.isnan(bounds.low[0]) == np.isnan(bounds.high[0]) == (positives < MINIMUM_OUTCOMES)


def test_positives_of_two_persons_have_no_interval():
    labels = np.arange(60)[:, None] < 12
    scores = np.random.default_rng(0).normal(size=(60, 1))
    two = [f"p{row % 2}" if row < 12 else f"q{row}" for row in range(60)]
    assert np.isnan(auroc_bounds(labels, scores, two).low[0])
    three = [f"p{row % 3}" if row < 12 else f"q{row}" for row in range(60)]
    found = auroc_bounds(labels, scores, three)
    assert not np.isnan(found.low[0])
    assert found.positive_patients[0] == pytest.approx(3.0)


def test_effective_number_of_positive_patients_by_hand():
    # 6 and 3 and 1 positives: 10^2 / (36 + 9 + 1).
    labels = np.arange(40)[:, None] < 10
    patients = ["a"] * 6 + ["b"] * 3 + ["c"] + [f"n{row}" for row in range(30)]
    found = auroc_bounds(labels, np.arange(40.0)[:, None], patients)
    assert found.positive_patients[0] == pytest.approx(100 / 46)


def test_mean_over_classes_has_fewer_degrees_of_freedom_where_it_hangs_on_few():
    random = np.random.default_rng(0)
    labels = random.random((2000, 3)) < np.array([0.5, 0.5, 0.005])
    scores = random.normal(size=(2000, 3)) + 2.0 * labels
    bounds = auroc_bounds(labels, scores, [None] * 2000)
    # Of two broad classes nearly normal; with the rare one, that of its ten positives.
    broad = bounds.mean_freedom(np.array([True, True, False]))
    whole = bounds.mean_freedom(np.array([True, True, True]))
    assert broad > 500.0
    assert 2.0 <= whole < 60.0


def test_pull_of_a_patient_is_what_the_value_loses_without():
    labels, scores, patients = case(records=900, patients=300)
    bounds = auroc_bounds(labels, scores, patients)
    names = sorted(set(patients))
    for place in (0, 7):
        rest = [row for row, name in enumerate(patients) if name != names[place]]
        without = auroc_bounds(labels[rest], scores[rest], [patients[row] for row in rest]).value
        np.testing.assert_allclose(bounds.pull[place], bounds.value - without, atol=3e-4)
    np.testing.assert_allclose(bounds.pull.sum(axis=0), 0.0, atol=1e-12)
