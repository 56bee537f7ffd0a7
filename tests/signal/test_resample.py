import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.signal import resample
from anylead.signal.resample import rate_ratio


def tone(rate_hz: float, seconds: float, frequency_hz: float = 7.0, offset: float = 1.0) -> np.ndarray:
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    return (offset + np.sin(2 * np.pi * frequency_hz * time))[None].astype(np.float32)


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 128.0, 250.0, 257.0, 360.0, 400.0, 977.3, 1000.0, 10_000.0])
def test_a_tone_is_the_same_tone_at_500_hz(rate_hz):
    out = resample(tone(rate_hz, 4.0), from_hz=rate_hz, to_hz=500.0)
    assert abs(out.shape[1] - 2000) <= 500 / rate_hz + 1
    expected = (1 + np.sin(2 * np.pi * 7 * np.arange(out.shape[1]) / 500))[None]
    inner = slice(200, -200)
    # 7 Hz at 50 Hz lies near the end of the pass band of the filter; elsewhere it is far from it.
    assert np.abs(out - expected)[:, inner].max() < (0.02 if rate_hz == 50 else 0.003)
    assert out.dtype == np.float32


def test_what_is_above_the_new_limit_does_not_alias():
    out = resample(tone(1000.0, 4.0, frequency_hz=400.0, offset=0.0), from_hz=1000.0, to_hz=500.0)
    assert np.abs(out[:, 100:-100]).max() < 0.002


def test_an_offset_leaves_no_step_at_the_ends():
    slope = np.linspace(1.0, 1.5, 5000, dtype=np.float32)[None]
    out = resample(slope, from_hz=1000.0, to_hz=500.0)
    # The default padding of scipy is off by 0.25 mV here.
    assert np.abs(out[0] - slope[0, ::2]).max() < 5e-6


def test_a_flat_lead_stays_flat():
    out = resample(np.full((1, 999), 0.7, dtype=np.float32), from_hz=360.0, to_hz=500.0)
    assert np.ptp(out) < 1e-6


RATES = st.sampled_from([50.0, 128.0, 257.0, 360.0, 500.0, 977.3, 1000.0, 10_000.0])


@given(RATES, RATES, st.integers(2, 300), st.integers(0, 299), st.integers(1, 50))
def test_gaps_stay_where_they_are(from_hz, to_hz, samples, start, length):
    signal = np.ones((2, samples), dtype=np.float32)
    signal[1, start : start + length] = np.nan
    out = resample(signal, from_hz=from_hz, to_hz=to_hz)
    ratio = rate_ratio(from_hz, to_hz)
    assert out.shape[1] == -(-samples * ratio.numerator // ratio.denominator)
    assert not np.isnan(out[0]).any()
    missing = np.flatnonzero(np.isnan(signal[1]))
    position = np.arange(out.shape[1]) / float(ratio)
    reach = max(1.0, 1 / float(ratio))
    distance = np.abs(position[:, None] - missing[None]).min(axis=1, initial=np.inf)
    found = np.isnan(out[1])
    assert found[distance < reach - 1e-6].all()
    assert not found[distance > reach + 1e-6].any()


def test_one_missing_sample_is_not_lost_when_the_rate_halves():
    signal = np.ones((1, 100), dtype=np.float32)
    signal[0, 51] = np.nan
    assert np.flatnonzero(np.isnan(resample(signal, from_hz=1000.0, to_hz=500.0))[0]).tolist() == [25, 26]


def test_the_surroundings_of_a_gap_are_not_disturbed():
    whole = tone(1000.0, 2.0)
    gap = whole.copy()
    gap[0, 1000:1100] = np.nan
    out, expected = (resample(x, from_hz=1000.0, to_hz=500.0) for x in (gap, whole))
    known = ~np.isnan(out)
    assert np.abs(out - expected)[known].max() < 0.05
    far = np.r_[0:480, 570:1000]
    np.testing.assert_allclose(out[0, far], expected[0, far], atol=1e-5)


def test_the_same_rate_and_single_samples():
    signal = tone(500.0, 0.1)
    assert resample(signal, from_hz=500.0, to_hz=500.0) is signal
    one = np.array([[0.5], [np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(resample(one, from_hz=250.0, to_hz=500.0), np.repeat(one, 2, axis=1))


def test_odd_rates_drift_less_than_20_ms_an_hour():
    rng = np.random.default_rng(0)
    for rate_hz in [*rng.uniform(50, 10_000, 200), 257.0, 977.3, 1 / 0.003, 10_000 / 1.00009]:
        drift = abs(float(rate_ratio(rate_hz, 500.0)) * rate_hz / 500.0 - 1) * 3600
        assert drift < 0.02, rate_hz
    assert float(rate_ratio(257.0, 500.0)) == 500 / 257
