import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score, roc_curve

from anylead.config import to_plain
from anylead.evaluation.bootstrap import logit_interval, patient_draws
from anylead.evaluation.class_scores import class_measures
from anylead.evaluation.classification import f1_scores, rank_scores
from anylead.evaluation.evaluate import evaluate_classification, paired_difference

CLASSES = ["common", "rare", "never", "always", "scarce"]


def case(seed=0, records=200):
    random = np.random.default_rng(seed)
    labels = random.random((records, 5)) < np.array([0.5, 0.1, 0.0, 1.1, 0.0])
    labels[:4, 4] = True
    probabilities = 1.0 / (1.0 + np.exp(-(random.normal(size=labels.shape) + 1.5 * labels - 1.0)))
    return labels, probabilities, [f"p{row // 2}" for row in range(records)]


def evaluation(*, probabilities=None, f1_thresholds=None, resamples=200, system="s"):
    labels, said, patients = case()
    return evaluate_classification(
        labels,
        said if probabilities is None else probabilities,
        classes=CLASSES,
        patients=patients,
        draws=patient_draws(patients, resamples=resamples),
        system=system,
        lead_set="12",
        f1_thresholds=f1_thresholds,
    )


def slow_sensitivity(labels, scores, weights, specificity):
    """Tries every threshold."""
    positive, negative = weights[labels].sum(), weights[~labels].sum()
    best = 0.0
    for threshold in [*np.unique(scores), np.inf]:
        answers = scores >= threshold
        if weights[~labels & answers].sum() <= (1.0 - specificity) * negative + 1e-9:
            best = max(best, weights[labels & answers].sum() / positive)
    return best


@given(st.integers(0, 10_000), st.sampled_from([3, 8, 1000]), st.sampled_from([0.0, 0.5, 0.9, 0.95, 1.0]))
def test_sensitivity_is_the_best_of_every_threshold(seed, levels, specificity):
    random = np.random.default_rng(seed)
    labels = random.random((40, 1)) < 0.4
    labels[:2, 0] = True, False
    scores = random.integers(0, levels, size=(40, 1)) / levels
    weights = np.vstack([np.ones(40), random.integers(0, 3, size=40)])
    weights[1, :2] += 1.0
    found = rank_scores(labels, scores, weights, specificities=(specificity,)).sensitivity
    for draw in range(2):
        expected = slow_sensitivity(labels[:, 0], scores[:, 0], weights[draw], specificity)
        assert found[0, draw, 0] == pytest.approx(expected, abs=1e-12)


def test_sensitivity_is_not_interpolated():
    # One negative above the second positive: at specificity 0.9 of 4 negatives none may be answered.
    labels = np.array([1, 0, 1, 0, 0, 0], dtype=bool)[:, None]
    scores = np.array([6.0, 5, 4, 3, 2, 1])[:, None]
    found = rank_scores(labels, scores, specificities=(0.9, 0.75)).sensitivity[:, 0, 0]
    np.testing.assert_array_equal(found, [0.5, 1.0])
    false_rate, true_rate, _ = roc_curve(labels[:, 0], scores[:, 0], drop_intermediate=False)
    assert true_rate[false_rate <= 0.1].max() == 0.5


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_f1_equals_scikit_learn_under_weights(threshold):
    labels, probabilities, _ = case()
    weights = np.random.default_rng(1).integers(0, 3, size=(3, 200)).astype(float)
    found = f1_scores(labels, probabilities > threshold, weights)
    for draw in range(3):
        for k in (0, 1, 3):
            expected = f1_score(labels[:, k], probabilities[:, k] > threshold, sample_weight=weights[draw])
            assert found[draw, k] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[:, 2]).all()


def test_means_are_over_the_classes_that_have_both_outcomes():
    labels, probabilities, patients = case()
    thresholds = np.full(5, 0.5)
    means = class_measures(
        labels, probabilities, np.ones((1, 200)), patients=patients, f1_thresholds=thresholds
    ).means()
    both, clean = (0, 1, 4), (0, 1)
    area = {k: roc_auc_score(labels[:, k], probabilities[:, k]) for k in both}
    assert means["macro_auroc"][0] == pytest.approx(np.mean([area[k] for k in both]))
    assert means["clean_macro_auroc"][0] == pytest.approx(np.mean([area[k] for k in clean]))
    brier = [brier_score_loss(labels[:, k], probabilities[:, k]) for k in both]
    assert means["macro_brier"][0] == pytest.approx(np.mean(brier))
    f1 = [f1_score(labels[:, k], probabilities[:, k] > 0.5) for k in both]
    assert means["macro_f1"][0] == pytest.approx(np.mean(f1))


def test_clean_classes_are_those_of_the_sample_in_every_resample():
    labels, probabilities, patients = case()
    weights = patient_draws(patients, resamples=20).record_weights(patients)
    measures = class_measures(
        labels, probabilities, np.concatenate([np.ones((1, 200)), weights]), patients=patients
    )
    expected = measures.auroc[:, :2].mean(axis=1)
    np.testing.assert_allclose(measures.means()["clean_macro_auroc"], expected)


def test_result_tells_every_number_of_a_class():
    labels, probabilities, _ = case()
    thresholds = np.array([0.4, 0.3, 0.5, 0.5, 0.5])
    result = evaluation(f1_thresholds=thresholds).result
    rare = result.per_class[1]
    assert (rare.positives, rare.prevalence) == (labels[:, 1].sum(), labels[:, 1].mean())
    assert rare.threshold == 0.3
    assert rare.f1.value == pytest.approx(f1_score(labels[:, 1], probabilities[:, 1] > 0.3))
    assert rare.brier.value == pytest.approx(brier_score_loss(labels[:, 1], probabilities[:, 1]))
    assert list(rare.sensitivity) == ["0.9", "0.95"]
    for one in (rare.auroc, rare.auprc, rare.f1, rare.brier, rare.sensitivity["0.95"]):
        assert one.low <= one.value <= one.high
    assert (rare.auroc.method, rare.auprc.method, rare.f1.method) == ("score", "logit", "percentile")
    assert len(rare.reliability) == 10
    assert sum(point.decisions for point in result.reliability) == 1000
    assert result.macro_ece == pytest.approx(np.mean([result.per_class[k].ece for k in (0, 1, 4)]))
    assert result.macro_ece_if_calibrated > 0.0


def test_under_ten_positives_there_are_values_and_counts_and_no_interval():
    scarce = evaluation(f1_thresholds=np.full(5, 0.5)).result.per_class[4]
    assert scarce.positives == 4
    for one in (scarce.auroc, scarce.auprc, scarce.f1, scarce.brier, *scarce.sensitivity.values()):
        assert one.value is not None
        assert (one.low, one.high) == (None, None)


def test_classes_of_one_outcome_are_undefined_named_and_counted():
    result = evaluation(f1_thresholds=np.full(5, 0.5)).result
    assert result.undefined_classes == ("never", "always")
    assert result.clean_classes == ("common", "rare")
    never = result.per_class[2]
    assert (never.auroc.value, never.auprc.value, never.f1.value) == (None, None, None)
    assert (never.brier, never.ece, never.reliability) == (None, None, ())
    assert never.auroc.resamples_undefined == 200


def test_micro_has_an_interval_and_the_result_is_json():
    result = evaluation().result
    labels, probabilities, _ = case()
    assert result.micro_auroc.value == pytest.approx(roc_auc_score(labels.ravel(), probabilities.ravel()))
    assert result.micro_auroc.low < result.micro_auroc.value < result.micro_auroc.high
    assert (result.macro_f1, result.per_class[0].f1, result.per_class[0].threshold) == (None, None, None)
    assert json.loads(json.dumps(to_plain(result), allow_nan=False))["clean_classes"] == ["common", "rare"]


def test_scores_that_are_no_probabilities_have_every_score_but_calibration():
    probabilities = case()[1]
    result = evaluation(probabilities=10.0 * probabilities - 3.0).result
    assert result.macro_auroc.value == pytest.approx(evaluation().result.macro_auroc.value)
    assert (result.macro_brier, result.macro_ece, result.macro_ece_if_calibrated) == (None, None, None)
    assert result.reliability == ()
    assert result.per_class[0].brier is None


def test_every_mean_can_be_compared_and_has_a_p_value():
    labels, probabilities, _ = case()
    good = evaluation(probabilities=0.2 * probabilities + 0.6 * labels + 0.05, system="good")
    poor = evaluation(system="poor")
    for metric in ("clean_macro_auroc", "micro_auprc", "macro_sensitivity_0.95"):
        found = paired_difference(good, poor, metric)
        assert found.interval.low > 0.0
        assert found.p_value == pytest.approx(2 / 201)
        assert found.p_holm is None
    assert paired_difference(good, poor, "macro_brier").interval.high < 0.0
    assert paired_difference(good, poor, "challenge_score").p_value is None
    assert paired_difference(poor, poor, "macro_auroc").p_value == 1.0


def test_logit_interval_by_hand():
    draws = np.array([0.7, 0.8, 0.9, np.nan])
    found = logit_interval(0.8, draws, freedom=1e9)
    # Deviation 0.1, divided by 0.8 * 0.2, is 0.625 on the logit scale; 1.96 of it around log 4.
    assert found.low == pytest.approx(1 / (1 + np.exp(-(np.log(4) - 1.95996 * 0.625))), abs=1e-4)
    assert found.high == pytest.approx(1 / (1 + np.exp(-(np.log(4) + 1.95996 * 0.625))), abs=1e-4)
    assert (found.resamples_used, found.resamples_undefined, found.method) == (3, 1, "logit")


def test_logit_interval_of_fewer_patients_is_wider():
    draws = np.array([0.7, 0.8, 0.9])
    assert logit_interval(0.8, draws, freedom=3.0).low < logit_interval(0.8, draws, freedom=30.0).low
    assert logit_interval(0.8, draws, freedom=0.0).low == logit_interval(0.8, draws, freedom=1.0).low


@pytest.mark.parametrize("value", [0.0, 1.0, float("nan")])
def test_logit_interval_needs_a_value_inside(value):
    assert logit_interval(value, np.array([0.7, 0.8]), freedom=5.0).low is None
    assert logit_interval(0.5, np.array([0.5, 0.5]), freedom=5.0).low is None
