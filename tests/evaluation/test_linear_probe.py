import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from anylead.errors import InputError
from anylead.evaluation.classification import auroc
from anylead.evaluation.probe import ProbeConfig, fit_probe


def case(seed=0, records=120, features=6):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(records, features)) * np.array([1, 10, 0.1, 1, 1, 1]) + 5.0
    signal = embeddings[:, 0] - 5.0 + (embeddings[:, 1] - 5.0) / 10.0
    labels = np.stack([signal > 0.3, random.random(records) < 0.2, np.zeros(records, dtype=bool)], axis=1)
    return embeddings, labels, [f"p{i // 3}" for i in range(records)]


def test_equals_scikit_learn_on_standardised_features():
    embeddings, labels, patients = case()
    probe = fit_probe(embeddings, labels, patients=patients, config=ProbeConfig(l2_strengths=(2.0,)))
    standardised = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    model = LogisticRegression(C=0.5).fit(standardised, labels[:, 0])
    np.testing.assert_allclose(
        probe.predict_proba(embeddings)[:, 0], model.predict_proba(standardised)[:, 1], atol=1e-4
    )


def test_units_of_the_features_do_not_matter():
    embeddings, labels, patients = case()
    one = fit_probe(embeddings, labels, patients=patients).predict_proba(embeddings)
    other = fit_probe(embeddings * 1000.0, labels, patients=patients).predict_proba(embeddings * 1000.0)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_reads_what_is_there_on_new_recordings():
    embeddings, labels, patients = case()
    new, truth, _ = case(seed=1)
    result = auroc(truth, fit_probe(embeddings, labels, patients=patients).predict_proba(new))
    assert result[0] > 0.95
    assert 0.3 < result[1] < 0.7


def test_a_class_with_one_outcome_gets_its_smoothed_prevalence():
    embeddings, labels, patients = case()
    probabilities = fit_probe(embeddings, labels, patients=patients).predict_proba(embeddings)
    np.testing.assert_allclose(probabilities[:, 2], 0.5 / 121.0)


def test_a_feature_that_is_constant_in_training_has_no_say():
    embeddings, labels, patients = case()
    embeddings[:, 5] = 3.0
    probe = fit_probe(embeddings, labels, patients=patients)
    moved = embeddings.copy()
    moved[:, 5] = 1e6
    np.testing.assert_array_equal(probe.predict_proba(moved), probe.predict_proba(embeddings))


def test_strength_is_chosen_on_validation_recordings():
    # Many useless features: the weakest penalty must lose on recordings it has not seen.
    random = np.random.default_rng(2)
    embeddings, new = random.normal(size=(60, 80)), random.normal(size=(400, 80))
    labels, truth = embeddings[:, :1] + random.normal(size=(60, 1)) > 0.0, new[:, :1] > 0.0
    config = ProbeConfig(l2_strengths=(1e-3, 1e2))
    probe = fit_probe(
        embeddings, labels, patients=[str(i) for i in range(60)], valid=(new, truth), config=config
    )
    assert probe.l2_strength == 1e2
    assert [strength for strength, _ in probe.macro_auroc_by_strength] == [1e2, 1e-3]


def test_of_equal_strengths_the_strongest_is_taken():
    embeddings, labels, patients = case()
    nothing = np.zeros((4, 6)), np.zeros((4, 3), dtype=bool)
    probe = fit_probe(embeddings, labels, patients=patients, valid=nothing)
    assert probe.l2_strength == max(ProbeConfig().l2_strengths)


def test_cross_validation_keeps_patients_on_one_side():
    # A patient's recordings are equal and the label is a coin: patients seen in training are known by heart.
    random = np.random.default_rng(0)
    embeddings = np.repeat(random.normal(size=(40, 60)), 5, axis=0)
    labels = np.repeat(random.random((40, 1)) < 0.5, 5, axis=0)
    patients = [f"p{i // 5}" for i in range(200)]
    grouped = fit_probe(embeddings, labels, patients=patients)
    leaky = fit_probe(embeddings, labels, patients=[None] * 200)
    assert max(value for _, value in grouped.macro_auroc_by_strength) < 0.7
    assert max(value for _, value in leaky.macro_auroc_by_strength) > 0.9


def test_same_data_same_probe_in_any_order_of_patients_names():
    embeddings, labels, patients = case()
    one = fit_probe(embeddings, labels, patients=patients)
    again = fit_probe(embeddings, labels, patients=patients)
    np.testing.assert_array_equal(one.weight, again.weight)
    assert one.macro_auroc_by_strength == again.macro_auroc_by_strength


def test_refuses_too_few_patients_for_the_folds():
    embeddings, labels, _ = case(records=6)
    with pytest.raises(InputError, match="got 2 patients for 4 folds"):
        fit_probe(embeddings, labels, patients=["a"] * 3 + ["b"] * 3)


def test_refuses_recordings_without_a_patient():
    embeddings, labels, patients = case()
    with pytest.raises(InputError, match="got 120 recordings and 119 patients"):
        fit_probe(embeddings, labels, patients=patients[1:])


def test_refuses_embeddings_that_are_not_finite():
    embeddings, labels, patients = case()
    embeddings[3, 2] = np.nan
    with pytest.raises(InputError, match="an embedding holds NaN or infinity"):
        fit_probe(embeddings, labels, patients=patients)
