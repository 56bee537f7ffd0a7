import os
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.challenge_score import challenge_credits, challenge_score, record_credit

CREDIT = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]])
LABELS = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
OUTPUTS = np.array([[0, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0]], dtype=bool)


def slow_credit(labels, outputs, credit):
    total = 0.0
    for i in range(len(labels)):
        union = max(1, int((labels[i] | outputs[i]).sum()))
        for j in range(labels.shape[1]):
            for k in range(labels.shape[1]):
                total += credit[j, k] * labels[i, j] * outputs[i, k] / union
    return total


def test_hand_value():
    score = challenge_score(LABELS, OUTPUTS, CREDIT, sinus=0)
    # Records earn .5/2, (1 + .25 + .25 + 1)/2, 1/2 and nothing; the truth 1, 1.25, 1; sinus 1, .5/3, 0.
    assert score.observed == pytest.approx(0.25 + 1.25 + 0.5)
    assert score.correct == pytest.approx(1.0 + 1.25 + 1.0)
    assert score.inactive == pytest.approx(1.0 + 0.5 / 3.0)
    assert score.score == pytest.approx((2.0 - 7.0 / 6.0) / (3.25 - 7.0 / 6.0))


def test_equals_the_definition_written_as_loops():
    random = np.random.default_rng(0)
    labels, outputs = random.random((30, 5)) < 0.3, random.random((30, 5)) < 0.3
    credit = random.random((5, 5))
    assert record_credit(labels, outputs, credit).sum() == pytest.approx(slow_credit(labels, outputs, credit))


def test_weights_are_repetitions():
    random = np.random.default_rng(1)
    labels, outputs = random.random((12, 3)) < 0.4, random.random((12, 3)) < 0.4
    counts = random.integers(0, 4, size=12)
    weighted = challenge_credits(labels, outputs, CREDIT, sinus=0).scores(counts[None, :].astype(float))[0]
    rows = np.repeat(np.arange(12), counts)
    assert weighted == pytest.approx(challenge_score(labels[rows], outputs[rows], CREDIT, sinus=0).score)


def test_truth_scores_one_and_sinus_zero():
    only_sinus = np.zeros_like(LABELS)
    only_sinus[:, 0] = True
    assert challenge_score(LABELS, LABELS, CREDIT, sinus=0).score == 1.0
    assert challenge_score(LABELS, only_sinus, CREDIT, sinus=0).score == 0.0


def test_zero_where_nothing_can_be_won():
    only_sinus = np.array([[True, False, False]])
    assert challenge_score(only_sinus, ~only_sinus, CREDIT, sinus=0).score == 0.0


def test_refuses_a_sinus_column_that_does_not_exist():
    with pytest.raises(InputError, match="sinus is column 3; there are columns 0 to 2"):
        challenge_score(LABELS, OUTPUTS, CREDIT, sinus=3)


@pytest.mark.real
def test_equals_the_organisers_evaluator():
    folder = os.environ.get("ANYLEAD_REAL_DATA")
    file = Path(folder or ".") / ".." / "reference" / "cinc.npz"
    if not folder or not file.exists():
        pytest.skip(
            "the reference vector reference/cinc.npz is not beside the folder ANYLEAD_REAL_DATA names"
        )
    data = np.load(file)
    outputs = data["prob"] > data["threshold"]
    got = challenge_score(data["labels"], outputs, data["weights"], sinus=int(data["sinus_index"]))
    for name in ("observed", "correct", "inactive", "score"):
        assert getattr(got, name) == pytest.approx(float(data[name]), abs=1e-12)
    assert got.score == pytest.approx(float(data["organisers_score"]), abs=1e-12)
