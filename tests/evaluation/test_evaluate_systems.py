import json
import subprocess
import sys

import numpy as np
import pytest

from anylead.config import to_plain
from anylead.errors import InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.challenge_score import challenge_score
from anylead.evaluation.classification import auroc
from anylead.evaluation.evaluate import (
    Credit,
    evaluate_classification,
    evaluate_identification,
    paired_difference,
)
from anylead.evaluation.identification import gallery_and_probes

CLASSES = ["sinus", "fibrillation", "never"]


def classification(noise, *, system, resamples=300, classes=CLASSES, seed=0):
    random = np.random.default_rng(7)
    labels = random.random((80, 3)) < np.array([0.5, 0.3, 0.0])
    patients = [f"p{i // 2}" if i < 70 else None for i in range(80)]
    probabilities = 1.0 / (1.0 + np.exp(-(2.0 * labels - 1.0 + noise * random.normal(size=(80, 3)))))
    draws = patient_draws(patients, resamples=resamples, seed=seed)
    evaluation = evaluate_classification(
        labels,
        probabilities,
        classes=classes,
        patients=patients,
        draws=draws,
        system=system,
        lead_set="12",
        credit=Credit(weights=np.eye(3), sinus=0),
    )
    return evaluation, labels, probabilities


def identification(noise, *, subset="all", persons=40, rates=(0.01, 0.001)):
    random = np.random.default_rng(3)
    names = [f"p{i // 3:02d}" for i in range(3 * persons)]
    dates = np.datetime64("2021-01-01") + (np.arange(3 * persons) % 3 // 2) * np.timedelta64(1, "D")
    embeddings = np.repeat(random.normal(size=(persons, 8)), 3, axis=0)
    embeddings += noise * random.normal(size=embeddings.shape)
    return evaluate_identification(
        embeddings,
        gallery_and_probes(names, recorded_at=dates),
        draws=patient_draws(names, resamples=200),
        system=f"noise {noise:g}",
        lead_set="I",
        subset=subset,
        false_acceptance_rates=rates,
    )


def test_classification_result_holds_the_values_and_counts():
    evaluation, labels, probabilities = classification(1.0, system="a")
    result = evaluation.result
    per_class = auroc(labels, probabilities)
    assert result.per_class[0].auroc.value == per_class[0]
    assert result.macro_auroc.value == pytest.approx(per_class[:2].mean())
    assert result.macro_auroc.low < result.macro_auroc.value < result.macro_auroc.high
    assert result.undefined_classes == ("never",)
    assert result.per_class[2].auroc.value is None
    assert result.per_class[2].auroc.resamples_undefined == 300
    assert (result.records, result.patients) == (80, 45)
    assert result.per_class[1].positives == labels[:, 1].sum()
    expected = challenge_score(labels, probabilities > 0.5, np.eye(3), sinus=0).score
    assert result.challenge_score.value == pytest.approx(expected)


def test_results_are_json_without_nan():
    evaluation, _, _ = classification(1.0, system="a")
    for result in (evaluation.result, identification(1.0).result):
        assert json.loads(json.dumps(to_plain(result), allow_nan=False))["system"]


def test_paired_difference_of_a_system_with_itself_is_exactly_zero():
    a, _, _ = classification(1.0, system="a")
    b, _, _ = classification(1.0, system="b")
    difference = paired_difference(a, b, "macro_auroc")
    assert (difference.interval.value, difference.interval.low, difference.interval.high) == (0.0, 0.0, 0.0)
    assert not difference.excludes_zero


def test_paired_difference_finds_the_better_system_either_way_round():
    good, _, _ = classification(0.5, system="good")
    poor, _, _ = classification(4.0, system="poor")
    assert paired_difference(good, poor, "macro_auroc").interval.low > 0.0
    assert paired_difference(poor, good, "macro_auroc").excludes_zero


def test_pairs_need_the_same_draws_recordings_and_metric():
    a, _, _ = classification(1.0, system="a")
    b, _, _ = classification(1.0, system="b", seed=1)
    with pytest.raises(InputError, match="a and b were not judged on the same recordings and draws"):
        paired_difference(a, b, "macro_auroc")
    with pytest.raises(InputError, match="there is no metric 'rank1'; there are macro_auroc"):
        paired_difference(a, a, "rank1")
    with pytest.raises(InputError, match="were not judged on the same recordings"):
        paired_difference(identification(1.0), identification(1.0, subset="same_day"), "rank1")


def test_refuses_names_that_do_not_fit_the_labels():
    with pytest.raises(InputError, match=r"got 80 patients and 2 class names for labels \(80, 3\)"):
        classification(1.0, system="a", classes=CLASSES[:2])


def test_identification_counts_and_weights():
    result = identification(0.0).result
    assert (result.probes, result.persons, result.enrolled) == (80, 40, 40)
    assert result.impostor_comparisons == 80 * 39
    assert (result.rank1.value, result.rank1.low, result.eer.value) == (1.0, 1.0, 0.0)
    assert identification(0.0, subset="cross_session").result.probes == 40


def test_acceptance_rate_is_given_only_where_ten_false_acceptances_are_meant():
    tar = identification(1.0, rates=(0.01, 0.001)).result.tar
    assert tar["0.01"].rate is not None
    assert tar["0.001"].rate is None
    assert tar["0.001"].reason == "3120 impostor comparisons are 3.1 at this rate; 10 are needed"


def test_identification_without_a_probe_is_undefined():
    protocol = gallery_and_probes(["a", "b"])
    result = evaluate_identification(
        np.eye(2), protocol, draws=patient_draws(["a", "b"], resamples=5), system="s", lead_set="I"
    ).result
    assert (result.rank1.value, result.eer.value, result.probes) == (None, None, 0)
    assert all(entry.rate is None for entry in result.tar.values())


def test_better_embeddings_win_the_paired_comparison():
    assert paired_difference(identification(0.3), identification(3.0), "rank1").interval.low > 0.0
    assert paired_difference(identification(0.3), identification(3.0), "eer").interval.high < 0.0


def test_metrics_are_importable_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import anylead.evaluation.evaluate, anylead.evaluation.thresholds, anylead.evaluation.whitening\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
