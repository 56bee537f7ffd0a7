import numpy as np
import pytest
from scipy.special import log_expit
from sklearn.linear_model import LogisticRegression

from anylead.evaluation.logistic import logistic_paths


def case(records, width, classes=3, seed=0):
    """Features that lie near few directions, as embeddings do, and classes from common to rare."""
    random = np.random.default_rng(seed)
    latent = random.normal(size=(records, 4))
    features = latent @ random.normal(size=(4, width)) + 0.01 * random.normal(size=(records, width))
    logits = 2.0 * latent[:, :classes] - np.linspace(0.0, 3.0, classes)
    return features - features.mean(axis=0), random.random((records, classes)) < 1 / (1 + np.exp(-logits))


def objective(features, truth, weight, bias, strength):
    logits = features @ weight + bias
    return -log_expit(np.where(truth, logits, -logits)).sum() + 0.5 * strength * (weight**2).sum()


@pytest.mark.parametrize(("records", "width"), [(120, 10), (40, 90)])
def test_equals_scikit_learn_class_by_class_and_strength_by_strength(records, width):
    features, labels = case(records, width)
    strengths = [1e3, 10.0, 0.1]
    for strength, (weight, bias) in zip(strengths, logistic_paths(features, labels, strengths), strict=True):
        for k in range(labels.shape[1]):
            model = LogisticRegression(C=1.0 / strength, tol=1e-10, max_iter=20_000)
            model.fit(features, labels[:, k])
            np.testing.assert_allclose(
                features @ weight[k] + bias[k], model.decision_function(features), atol=2e-4
            )
            mine = objective(features, labels[:, k], weight[k], bias[k], strength)
            theirs = objective(features, labels[:, k], model.coef_[0], model.intercept_[0], strength)
            assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_strength_does_not_depend_on_those_before_it():
    features, labels = case(80, 30)
    alone = list(logistic_paths(features, labels, [1.0]))[-1]
    after = list(logistic_paths(features, labels, [1e4, 1e2, 1.0]))[-1]
    np.testing.assert_allclose(features @ alone[0].T + alone[1], features @ after[0].T + after[1], atol=2e-4)


def test_a_class_does_not_depend_on_the_others():
    features, labels = case(80, 30)
    ((weight, bias),) = logistic_paths(features, labels, [1.0])
    ((own, own_bias),) = logistic_paths(features, labels[:, 1:2], [1.0])
    np.testing.assert_allclose(features @ weight[1] + bias[1], features @ own[0] + own_bias[0], atol=2e-4)


def test_an_infinite_penalty_leaves_the_prevalence():
    features, labels = case(60, 5)
    ((weight, bias),) = logistic_paths(features, labels, [1e12])
    assert np.abs(weight).max() < 1e-9
    np.testing.assert_allclose(1.0 / (1.0 + np.exp(-bias)), labels.mean(axis=0), atol=1e-6)


def test_features_without_spread_get_no_weight():
    features, labels = case(60, 5)
    features[:, 2:] = 0.0
    ((weight, _),) = logistic_paths(features, labels, [1.0])
    np.testing.assert_array_equal(weight[:, 2:], 0.0)
    ((none, bias),) = logistic_paths(np.zeros((60, 5)), labels, [1.0])
    np.testing.assert_array_equal(none, 0.0)
    assert np.isfinite(bias).all()


def test_separable_classes_stay_finite():
    features = np.linspace(-1.0, 1.0, 20)[:, None]
    ((weight, bias),) = logistic_paths(features, features > 0.0, [1e-3])
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()
    assert weight[0, 0] > 10.0
