import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from anylead.errors import InputError
from anylead.evaluation.classification import auprc, auroc, macro, mean_per_record, micro, rank_scores


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_hand_values_with_a_tie():
    labels = column(1, 0, 1, 0).astype(bool)
    scores = column(0.9, 0.5, 0.5, 0.1)
    # Positive .9 beats both negatives; positive .5 ties with one and beats one: (2 + 1.5) / 4.
    assert auroc(labels, scores)[0] == 3.5 / 4
    # Precision 1 at recall 1/2, then 2/3 at recall 1.
    assert auprc(labels, scores)[0] == pytest.approx(0.5 * 1.0 + 0.5 * 2.0 / 3.0)


@pytest.mark.parametrize("levels", [3, 20, 10_000])
@pytest.mark.parametrize("weighting", ["none", "integers", "floats"])
def test_equals_scikit_learn_with_ties_and_weights(levels, weighting):
    random = np.random.default_rng(levels)
    labels = random.random((150, 4)) < np.array([0.05, 0.3, 0.5, 0.9])
    scores = random.integers(0, levels, size=(150, 4)) / levels + 0.2 * labels.round()
    weights = {
        "none": None,
        "integers": random.integers(0, 4, size=150).astype(float),
        "floats": random.random(150),
    }[weighting]
    for k in range(4):
        expected = roc_auc_score(labels[:, k], scores[:, k], sample_weight=weights)
        assert auroc(labels, scores, weights)[k] == pytest.approx(expected, abs=1e-12)
        expected = average_precision_score(labels[:, k], scores[:, k], sample_weight=weights)
        assert auprc(labels, scores, weights)[k] == pytest.approx(expected, abs=1e-12)


def test_float32_scores_that_differ_in_the_last_bit_are_not_ties():
    one = np.float32(0.5)
    scores = np.array([[np.nextafter(one, np.float32(1))], [one]], dtype=np.float32)
    assert auroc(column(1, 0).astype(bool), scores)[0] == 1.0


def test_many_draws_equal_one_at_a_time():
    random = np.random.default_rng(0)
    labels, scores = random.random((40, 3)) < 0.3, random.random((40, 3)).round(1)
    weights = random.integers(0, 3, size=(600, 40)).astype(float)
    together = rank_scores(labels, scores, weights)
    for draw in (0, 255, 256, 599):
        np.testing.assert_allclose(together.auroc[draw], auroc(labels, scores, weights[draw]), rtol=1e-14)
        np.testing.assert_allclose(together.auprc[draw], auprc(labels, scores, weights[draw]), rtol=1e-14)


def test_a_class_with_one_outcome_is_undefined_and_left_out_of_the_mean():
    labels = np.array([[1, 0, 1], [0, 0, 1]], dtype=bool)
    scores = np.array([[0.9, 0.1, 0.3], [0.2, 0.8, 0.4]])
    result = auroc(labels, scores)
    np.testing.assert_array_equal(result, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(np.isnan(auprc(labels, scores)), [False, True, True])
    assert macro(result) == 1.0
    assert np.isnan(macro(np.array([np.nan, np.nan])))


def test_a_class_whose_positives_have_no_weight_is_undefined_in_that_draw_only():
    labels, scores = column(1, 0, 0).astype(bool), column(0.9, 0.2, 0.3)
    result = rank_scores(labels, scores, np.array([[0.0, 1.0, 2.0], [2.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(result.auroc[:, 0], [np.nan, 1.0])


def test_micro_is_all_decisions_in_one_heap():
    random = np.random.default_rng(3)
    labels, scores = random.random((50, 4)) < 0.3, random.random((50, 4))
    weights = random.integers(0, 3, size=(2, 50)).astype(float)
    got = micro(labels, scores, weights)
    for draw in range(2):
        expected = roc_auc_score(labels.ravel(), scores.ravel(), sample_weight=np.repeat(weights[draw], 4))
        assert got.auroc[draw, 0] == pytest.approx(expected, abs=1e-12)


def test_windows_are_averaged_per_record_in_order_of_appearance():
    names, means = mean_per_record(np.array([[0.2], [1.0], [0.4]]), ["b", "a", "b"])
    assert names == ["b", "a"]
    np.testing.assert_allclose(means, [[0.3], [1.0]])


def test_refuses_windows_without_a_record():
    with pytest.raises(InputError, match="got 3 windows and 2 recordings"):
        mean_per_record(np.zeros((3, 1)), ["a", "b"])


def test_refuses_scores_that_are_not_numbers():
    with pytest.raises(InputError, match="a score is NaN or infinite"):
        auroc(column(1, 0).astype(bool), column(0.5, np.nan))


def test_refuses_negative_weights():
    with pytest.raises(InputError, match="a weight is below zero"):
        auroc(column(1, 0).astype(bool), column(0.5, 0.4), np.array([1.0, -1.0]))


def test_a_thousand_resamples_of_three_hundred_records_take_less_than_two_seconds():
    random = np.random.default_rng(0)
    labels, scores = random.random((300, 14)) < 0.1, random.random((300, 14))
    weights = random.multinomial(300, np.full(300, 1 / 300), size=1000).astype(float)
    start = time.perf_counter()
    rank_scores(labels, scores, weights)
    assert time.perf_counter() - start < 2.0
