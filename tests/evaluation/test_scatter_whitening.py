import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.whitening import fit_whitening

RANDOM = np.random.default_rng(0)
MIXING = RANDOM.normal(size=(4, 4))


def segments(recordings=400, each=5):
    centres = RANDOM.normal(size=(recordings, 4)) * 3.0 + 7.0
    noise = RANDOM.normal(size=(recordings * each, 4)) @ MIXING
    return np.repeat(centres, each, axis=0) + noise, np.repeat(np.arange(recordings), each).tolist()


def within_scatter(values, recordings):
    place = np.array(recordings)
    rest = np.concatenate([values[place == r] - values[place == r].mean(axis=0) for r in np.unique(place)])
    return rest.T @ rest / (len(rest) - len(np.unique(place)))


def test_scatter_within_recordings_becomes_the_identity():
    values, recordings = segments()
    whitened = fit_whitening(values, recordings, shrinkage=0.0)(values)
    np.testing.assert_allclose(within_scatter(whitened, recordings), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(whitened.mean(axis=0), 0.0, atol=1e-10)


def test_full_shrinkage_only_scales():
    values, recordings = segments(20)
    matrix = fit_whitening(values, recordings, shrinkage=1.0).matrix
    np.testing.assert_allclose(matrix, matrix[0, 0] * np.eye(4), atol=1e-12)


def test_estimated_shrinkage_is_the_one_of_scikit_learn_for_one_recording():
    from sklearn.covariance import ledoit_wolf_shrinkage

    values = RANDOM.normal(size=(30, 10)) @ np.diag(np.arange(1.0, 11.0))
    part = fit_whitening(values, ["one"] * 30).shrinkage
    # scikit-learn divides by the number of segments, here by one less.
    assert part == pytest.approx(ledoit_wolf_shrinkage(values), rel=0.05)
    assert 0.0 < part < 1.0


def test_more_segments_need_less_shrinkage_and_fewer_than_features_still_invert():
    values, recordings = segments(300)
    few = fit_whitening(values[:10], recordings[:10])
    assert fit_whitening(values, recordings).shrinkage < few.shrinkage
    wide = RANDOM.normal(size=(6, 50))
    assert np.isfinite(fit_whitening(wide, [0, 0, 0, 1, 1, 1])(wide)).all()


def test_recordings_of_one_segment_tell_nothing_of_the_scatter():
    values, recordings = segments(30)
    extra = np.concatenate([values, RANDOM.normal(size=(5, 4)) * 100.0])
    names = recordings + [f"alone {i}" for i in range(5)]
    plain = fit_whitening(values, recordings, shrinkage=0.1).matrix
    np.testing.assert_allclose(fit_whitening(extra, names, shrinkage=0.1).matrix, plain)


def test_refuses_segments_without_a_recording():
    with pytest.raises(InputError, match="got 3 segments and 2 recordings"):
        fit_whitening(np.zeros((3, 2)), [0, 0])


def test_refuses_segments_that_do_not_vary():
    with pytest.raises(InputError, match="no recording has two segments that differ"):
        fit_whitening(np.eye(3), [0, 1, 2])


def test_refuses_a_shrinkage_above_one():
    with pytest.raises(InputError, match="shrinkage is 2; give a number from 0 to 1"):
        fit_whitening(np.eye(3), [0, 0, 0], shrinkage=2.0)
