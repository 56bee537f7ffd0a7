import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from anylead.evaluation.calibration import (
    BINS,
    calibration_scores,
    equal_mass_bins,
    error_if_calibrated,
    reliability_points,
)


def case(seed=0, records=500, classes=3):
    random = np.random.default_rng(seed)
    probabilities = random.beta(0.5, 2.0, size=(records, classes))
    return random.random((records, classes)) < probabilities, probabilities


def slow_calibration_error(labels, probabilities, weights):
    """The definition, bin by bin and recording by recording."""
    bins = [10 * sum(other < one for other in probabilities) // len(probabilities) for one in probabilities]
    error = 0.0
    for one in set(bins):
        rows = [row for row, found in enumerate(bins) if found == one]
        mass = sum(weights[row] for row in rows)
        if mass:
            said = sum(weights[row] * probabilities[row] for row in rows) / mass
            true = sum(weights[row] * labels[row] for row in rows) / mass
            error += mass * abs(said - true)
    return error / sum(weights)


def test_brier_by_hand():
    labels, probabilities = np.array([[True], [False]]), np.array([[0.8], [0.4]])
    found = calibration_scores(labels, probabilities, np.array([[1.0, 1.0], [1.0, 3.0]]))
    assert found.brier[:, 0] == pytest.approx([(0.04 + 0.16) / 2, (0.04 + 3 * 0.16) / 4])


def test_brier_equals_scikit_learn_under_weights():
    labels, probabilities = case()
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 500)).astype(float)
    found = calibration_scores(labels, probabilities, weights)
    for draw in range(3):
        for k in range(3):
            expected = brier_score_loss(labels[:, k], probabilities[:, k], sample_weight=weights[draw])
            assert found.brier[draw, k] == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([2, 5, 10_000]))
def test_calibration_error_equals_the_definition(seed, records, levels):
    random = np.random.default_rng(seed)
    probabilities = random.integers(0, levels + 1, size=(records, 1)) / levels
    labels = random.random((records, 1)) < 0.4
    weights = np.vstack([np.ones(records), random.integers(0, 3, size=records)])
    weights[1, 0] += 1.0
    found = calibration_scores(labels, probabilities, weights)
    for draw in range(2):
        expected = slow_calibration_error(labels[:, 0], probabilities[:, 0], weights[draw])
        assert found.ece[draw, 0] == pytest.approx(expected, abs=1e-12)


def test_points_equal_scikit_learn_where_nothing_is_tied():
    labels, probabilities = case()
    points = reliability_points(labels[:, 0], probabilities[:, 0])
    true, said = calibration_curve(labels[:, 0], probabilities[:, 0], n_bins=BINS, strategy="quantile")
    assert [point.predicted for point in points] == pytest.approx(list(said))
    assert [point.observed for point in points] == pytest.approx(list(true))
    assert [point.decisions for point in points] == [50] * BINS


def test_calibration_error_is_the_mean_gap_of_the_points():
    labels, probabilities = case()
    points = reliability_points(labels[:, 0], probabilities[:, 0])
    gaps = sum(point.decisions * abs(point.predicted - point.observed) for point in points) / 500
    assert calibration_scores(labels, probabilities, np.ones((1, 500))).ece[0, 0] == pytest.approx(gaps)


@pytest.mark.parametrize("rare", [0.5, 0.02], ids=["common", "rare"])
def test_right_probabilities_have_the_error_that_chance_explains(rare):
    # Labels drawn from the probabilities themselves, 1500 times.
    random = np.random.default_rng(0)
    probabilities = random.beta(rare, 2.0, size=300)
    many = np.repeat(probabilities[:, None], 1500, axis=1)
    errors = calibration_scores(random.random(many.shape) < many, many, np.ones((1, 300))).ece
    assert error_if_calibrated(probabilities) == pytest.approx(errors.mean(), rel=0.03)


def test_overconfident_probabilities_have_more():
    labels, probabilities = case(records=2000)
    pushed = np.where(probabilities > 0.5, 0.5 + probabilities / 2, probabilities / 2)
    plain, worse = (
        calibration_scores(labels, one, np.ones((1, 2000))).ece[0] for one in (probabilities, pushed)
    )
    assert (worse > 2.0 * plain).all()


def test_equal_probabilities_share_a_bin():
    np.testing.assert_array_equal(equal_mass_bins(np.array([0.1] * 15 + [0.7] * 5)), [0] * 15 + [7] * 5)


def test_scores_that_are_no_probabilities_have_no_calibration():
    labels, probabilities = case()
    probabilities[3, 1] = 1.2
    found = calibration_scores(labels, probabilities, np.ones((2, 500)))
    np.testing.assert_array_equal(np.isnan(found.brier), [[False, True, False]] * 2)
    np.testing.assert_array_equal(np.isnan(found.ece), [[False, True, False]] * 2)
    assert reliability_points(labels[:, 1], probabilities[:, 1]) == ()


def test_a_weighting_of_nothing_is_undefined():
    labels, probabilities = case()
    assert np.isnan(calibration_scores(labels, probabilities, np.zeros((1, 500))).brier).all()


def test_mean_error_of_a_single_right_bin_by_hand():
    # Two recordings of 0.5: the gap of 0, 1 or 2 positives from 1, over 2 recordings.
    assert error_if_calibrated(np.array([0.5, 0.5])) == pytest.approx(0.25)
    assert error_if_calibrated(np.array([0.0, 1.0])) == 0.0
