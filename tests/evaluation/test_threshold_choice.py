import numpy as np
import pytest
from sklearn.metrics import f1_score

from anylead.errors import InputError
from anylead.evaluation.challenge_score import challenge_score
from anylead.evaluation.thresholds import best_challenge_thresholds, best_f1_thresholds


def case(seed, classes=4, levels=None):
    random = np.random.default_rng(seed)
    labels = random.random((60, classes)) < 0.3
    probabilities = np.clip(0.3 * labels + 0.7 * random.random((60, classes)), 0.0, 1.0)
    return labels, probabilities if levels is None else (probabilities * levels).round() / levels


@pytest.mark.parametrize("levels", [None, 5])
def test_no_threshold_has_a_higher_f1(levels):
    labels, probabilities = case(0, levels=levels)
    thresholds = best_f1_thresholds(labels, probabilities)
    for k in range(4):
        every = np.concatenate([[-1.0], np.unique(probabilities[:, k])])
        best = max(f1_score(labels[:, k], probabilities[:, k] > t, zero_division=0.0) for t in every)
        assert f1_score(labels[:, k], probabilities[:, k] > thresholds[k]) == pytest.approx(best)


def test_f1_threshold_lies_midway():
    labels = np.array([[True], [True], [False]])
    assert best_f1_thresholds(labels, np.array([[0.9], [0.6], [0.2]]))[0] == pytest.approx(0.4)


def test_a_class_without_a_positive_keeps_one_half():
    assert best_f1_thresholds(np.zeros((3, 1), dtype=bool), np.array([[0.9], [0.6], [0.2]]))[0] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_challenge_thresholds_cannot_be_improved_one_at_a_time(seed):
    labels, probabilities = case(seed, levels=12)
    credit = np.eye(4) * 0.5 + 0.5 * np.random.default_rng(seed).random((4, 4))
    chosen = best_challenge_thresholds(labels, probabilities, credit)

    def score(thresholds):
        return challenge_score(labels, probabilities > thresholds, credit, sinus=0).score

    assert score(chosen) >= score(np.full(4, 0.5))
    for k in range(4):
        for threshold in np.concatenate([[-0.1], np.unique(probabilities[:, k])]):
            other = chosen.copy()
            other[k] = threshold
            assert score(other) <= score(chosen) + 1e-9


def test_refuses_no_recordings():
    with pytest.raises(InputError, match="got 0 recordings; give at least one"):
        best_f1_thresholds(np.zeros((0, 2), dtype=bool), np.zeros((0, 2)))


def test_where_a_class_is_unknown_it_is_neither_true_nor_answered():
    labels, probabilities = case(2)
    credit = np.eye(4) + 0.3 * (1 - np.eye(4))
    told = np.random.default_rng(0).random((60, 4)) < 0.6
    chosen = best_challenge_thresholds(labels & told, probabilities, credit, told=told)

    def score(thresholds):
        return challenge_score(labels & told, (probabilities > thresholds) & told, credit, sinus=0).score

    for k in range(4):
        for threshold in np.concatenate([[-0.1], np.unique(probabilities[:, k])]):
            other = chosen.copy()
            other[k] = threshold
            assert score(other) <= score(chosen) + 1e-9
    poisoned = best_challenge_thresholds(labels | ~told, probabilities, credit, told=told)
    assert np.array_equal(poisoned, chosen)
    whole = best_challenge_thresholds(labels, probabilities, credit, told=np.ones_like(told))
    assert np.array_equal(whole, best_challenge_thresholds(labels, probabilities, credit))
