import numpy as np
import pytest

from anylead.signal import linear_resample


def slow(signal: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Sample k of n stands at k (size - 1) / (n - 1) of the output (METHOD 1.1, the newer formula)."""
    n, size = signal.shape[1], int(signal.shape[1] * (to_hz / from_hz))
    place = np.arange(n) * (size - 1) / (n - 1)
    return np.stack([np.interp(np.arange(size), place, lead) for lead in signal])


@pytest.mark.parametrize(
    ("samples", "from_hz"), [(2934, 400.0), (4096, 400.0), (1000, 1000.0), (771, 257.0), (7, 250.0)]
)
def test_equals_the_formula(samples, from_hz):
    signal = np.random.default_rng(0).normal(size=(2, samples)).astype(np.float32)
    found = linear_resample(signal, from_hz=from_hz, to_hz=500.0)
    np.testing.assert_allclose(found, slow(signal.astype(float), from_hz, 500.0), atol=1e-6)
    np.testing.assert_allclose(found[:, [0, -1]], signal[:, [0, -1]], atol=1e-6)


def test_a_missing_sample_is_missing_wherever_it_would_count():
    signal = np.arange(10, dtype=np.float32)[None].repeat(2, axis=0)
    signal[0, 4] = np.nan
    found = linear_resample(signal, from_hz=250.0, to_hz=500.0)
    place = np.arange(20) * 9 / 19
    assert np.isnan(found[0]).tolist() == (np.abs(place - 4) < 1).tolist()
    assert not np.isnan(found[1]).any()


def test_as_many_samples_are_left_as_they_are_and_one_stays_one():
    signal = np.ones((1, 500), dtype=np.float32)
    assert linear_resample(signal, from_hz=500.0, to_hz=500.0) is signal
    assert linear_resample(signal[:, :1], from_hz=100.0, to_hz=500.0).tolist() == [[1.0] * 5]
    assert linear_resample(signal[:, :1], from_hz=1000.0, to_hz=500.0).tolist() == [[1.0]]
