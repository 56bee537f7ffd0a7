import numpy as np
import pytest

from anylead.config import to_plain
from anylead.errors import InputError
from anylead.evaluation.identification import gallery_and_probes
from anylead.evaluation.probe import ProbeConfig
from anylead.evaluation.readout_choice import choose_identity_readout, choose_readout, pooling_columns
from anylead.evaluation.whitening import fit_whitening

CONFIG = ProbeConfig(l2_strengths=(10.0, 1.0))


def task(seed=0, records=80):
    random = np.random.default_rng(seed)
    labels = random.random((records, 2)) < 0.4
    good = labels + 0.3 * random.normal(size=labels.shape)
    bad = random.normal(size=labels.shape)
    return labels, good, bad


def test_poolings_are_the_first_columns():
    vector = np.concatenate([np.full(4, name) for name in ("mean", "std", "max")])
    assert set(vector[pooling_columns("mean", 4)]) == {"mean"}
    assert vector[pooling_columns("mean_std", 4)].tolist() == ["mean"] * 4 + ["std"] * 4
    assert len(vector[pooling_columns("mean_std_max", 4)]) == 12


def test_refuses_a_pooling_that_is_none():
    with pytest.raises(InputError, match="there is no pooling 'sum'"):
        pooling_columns("sum", 4)


def test_the_candidate_that_is_better_on_validation_recordings_is_taken():
    labels, good, _ = task()
    truth, new_good, new_bad = task(1)
    # The training recordings alone would say otherwise: there layer 2 knows the labels by heart.
    candidates = {(1, "mean"): (good, new_good), (2, "mean"): (10.0 * labels, new_bad)}
    choice = choose_readout(candidates, labels, truth, patients=[None] * 80, config=CONFIG)
    assert (choice.chosen.layer, choice.chosen.pooling) == (1, "mean")
    assert choice.chosen.score > 0.95 > 0.7 > choice.tried[1].score
    assert choice.judged_on == "validation recordings"
    assert len(to_plain(choice)["tried"]) == 2


def test_without_validation_recordings_patients_are_kept_apart():
    labels, good, bad = task()
    candidates = {(None, "mean_std"): (bad, None), (3, "mean"): (good, None)}
    choice = choose_readout(candidates, labels, patients=[f"p{row // 2}" for row in range(80)], config=CONFIG)
    assert choice.chosen.layer == 3
    assert choice.judged_on == "training recordings, in cross-validation by patient"


def test_of_equal_candidates_the_first_is_taken():
    labels, good, _ = task()
    truth, new, _ = task(1)
    candidates = {(4, "mean"): (good, new), (1, "mean"): (good, new)}
    assert choose_readout(candidates, labels, truth, patients=[None] * 80, config=CONFIG).chosen.layer == 4


def persons(seed=0, count=20):
    """Three recordings a person: one strong direction of nuisance, weak ones of identity."""
    random = np.random.default_rng(seed)
    names = [f"p{row // 3}" for row in range(3 * count)]
    identity = np.repeat(random.normal(size=(count, 4)), 3, axis=0)
    nuisance = random.normal(size=(3 * count, 1))
    return np.concatenate([20.0 * nuisance, identity], axis=1), names, random


def test_identity_chooses_layer_and_whitening():
    embeddings, names, random = persons()
    protocol = gallery_and_probes(names)
    whitening = fit_whitening(embeddings + 0.05 * random.normal(size=embeddings.shape), names, shrinkage=0.0)
    candidates = {
        (1, "mean"): (random.normal(size=embeddings.shape), None),
        (2, "mean"): (embeddings, whitening),
    }
    choice = choose_identity_readout(candidates, protocol)
    assert (choice.chosen.layer, choice.chosen.is_whitened) == (2, True)
    assert [(t.layer, t.is_whitened) for t in choice.tried] == [(1, False), (2, False), (2, True)]
    assert choice.chosen.score > 0.9 > choice.tried[1].score
    assert choice.chosen.equal_error_rate < 0.1


def test_equal_rank_one_is_decided_by_the_equal_error_rate():
    # Both tell everybody; in the second the persons stand further apart than their recordings.
    random = np.random.default_rng(1)
    names = [f"p{row // 2}" for row in range(20)]
    apart = np.repeat(np.eye(10), 2, axis=0) + 0.05 * random.normal(size=(20, 10))
    blurred = apart + np.linspace(0.0, 3.0, 20)[:, None]
    protocol = gallery_and_probes(names)
    choice = choose_identity_readout({(1, "mean"): (blurred, None), (2, "mean"): (apart, None)}, protocol)
    first, second = choice.tried
    assert first.score == second.score == 1.0
    assert second.equal_error_rate < first.equal_error_rate
    assert choice.chosen.layer == 2


def test_refuses_nothing_to_choose_by():
    labels, good, _ = task()
    nothing = np.zeros_like(labels)
    with pytest.raises(InputError, match="undefined for all of 1 candidates on validation recordings"):
        choose_readout({(1, "mean"): (good, good)}, labels, nothing, patients=[None] * 80, config=CONFIG)
    with pytest.raises(InputError, match="Rank-1 is undefined for all of 1 candidates"):
        choose_identity_readout({(1, "mean"): (good, None)}, gallery_and_probes([f"p{i}" for i in range(80)]))
