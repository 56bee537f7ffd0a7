import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.bootstrap import patient_draws, percentile_interval

PATIENTS = ["b", "a", "b", "c", None, None]


def test_every_resample_draws_as_many_patients_as_there_are():
    draws = patient_draws(PATIENTS, resamples=50)
    assert draws.counts.shape == (50, 5)
    assert (draws.counts.sum(axis=1) == 5).all()
    assert draws.counts.std(axis=0).min() > 0.0


def test_recordings_of_a_patient_are_drawn_together_and_unknown_ones_alone():
    weights = patient_draws(PATIENTS, resamples=200).record_weights(PATIENTS)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    assert (weights[:, 4] != weights[:, 5]).any()


def test_a_patient_named_like_an_unknown_recording_stays_apart():
    assert len(patient_draws(["recording 1", None], resamples=1).patients) == 2


def test_draws_depend_on_the_seed_and_not_on_the_order_of_recordings():
    one = patient_draws(["a", "b", "c"], resamples=20, seed=1)
    other = patient_draws(["c", "b", "a", "a"], resamples=20, seed=1)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.key == other.key
    assert one.key != patient_draws(["a", "b", "c"], resamples=20, seed=2).key


def test_draws_have_the_moments_of_the_bootstrap():
    counts = patient_draws([str(i) for i in range(20)], resamples=20_000).counts
    assert counts.mean() == 1.0
    assert counts.var(axis=0).mean() == pytest.approx(1.0 - 1.0 / 20.0, abs=0.02)


def test_interval_leaves_undefined_resamples_out_and_counts_them():
    draws = np.concatenate([np.linspace(0.0, 1.0, 101), np.full(7, np.nan)])
    interval = percentile_interval(0.5, draws)
    assert (interval.low, interval.high) == (pytest.approx(0.025), pytest.approx(0.975))
    assert (interval.resamples_used, interval.resamples_undefined) == (101, 7)


def test_interval_of_an_undefined_value_has_no_numbers():
    interval = percentile_interval(float("nan"), np.full(3, np.nan))
    assert (interval.value, interval.low, interval.high) == (None, None, None)
    assert (interval.resamples_used, interval.resamples_undefined) == (0, 3)
    assert str(interval) == "undefined"


def test_interval_as_text():
    assert str(percentile_interval(0.8123, np.array([0.78, 0.84]), confidence=1.0)) == "0.812 [0.78, 0.84]"


def test_interval_of_a_mean_has_the_width_statistics_says():
    values = np.random.default_rng(0).normal(size=400)
    names = [str(i) for i in range(400)]
    weights = patient_draws(names, resamples=2000).record_weights(names)
    interval = percentile_interval(float(values.mean()), weights @ values / 400)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20.0, rel=0.06)


def test_refuses_to_draw_from_nobody():
    with pytest.raises(InputError, match="got 0 patients and 1000 resamples"):
        patient_draws([])


def test_refuses_a_patient_who_is_not_drawn_from():
    with pytest.raises(InputError, match="patient z is not among the 1 drawn from"):
        patient_draws(["a"], resamples=2).record_weights(["a", "z"])
