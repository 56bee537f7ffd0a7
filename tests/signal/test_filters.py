import numpy as np

from anylead.signal import band_pass, high_pass

RATE = 500.0
TIME = np.arange(10_000) / RATE
INNER = slice(2000, -2000)


def tone(frequency_hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * TIME)[None].astype(np.float32)


def gain(out: np.ndarray, frequency_hz: float) -> complex:
    """Returns by how much, and how late, a tone comes through."""
    carrier = np.exp(-2j * np.pi * frequency_hz * TIME[INNER])
    return 2j * (out[0, INNER] * carrier).mean()


def test_high_pass_halves_at_the_cutoff_and_delays_nothing():
    for frequency_hz, expected in ((0.05, 0.0), (0.5, 0.5), (10.0, 1.0)):
        passed = gain(high_pass(tone(frequency_hz), rate_hz=RATE, cutoff_hz=0.5), frequency_hz)
        assert abs(abs(passed) - expected) < 0.06
        assert expected == 0.0 or abs(np.angle(passed)) < 0.05
    level = high_pass(np.full((1, 10_000), 3.0, dtype=np.float32), rate_hz=RATE, cutoff_hz=0.5)
    assert np.abs(level).max() < 1e-3


def test_band_pass_keeps_the_band():
    for frequency_hz, expected in ((0.05, 0.0), (5.0, 1.0), (40.0, 0.5), (150.0, 0.0)):
        passed = gain(band_pass(tone(frequency_hz), rate_hz=RATE, low_hz=0.5, high_hz=40.0), frequency_hz)
        assert abs(abs(passed) - expected) < 0.03


def test_gaps_stay_and_short_signals_pass():
    signal = np.concatenate([tone(5.0), tone(5.0)])
    signal[0, 100:120] = np.nan
    signal[1] = np.nan
    out = high_pass(signal, rate_hz=RATE, cutoff_hz=0.5)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(signal))
    assert out.dtype == np.float32
    for samples in (1, 2, 5):
        short = np.full((1, samples), 2.0, dtype=np.float32)
        assert np.abs(high_pass(short, rate_hz=RATE, cutoff_hz=0.5)).max() < 1e-3
