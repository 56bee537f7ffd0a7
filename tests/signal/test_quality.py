import numpy as np

from anylead.signal import flat_leads, longest_standstill, missing_share, saturated_share

TIME = np.arange(5000) / 500.0


def test_flat_is_what_never_moves():
    signal = np.zeros((5, 100), dtype=np.float32)
    signal[1] = 3.0  # flat at a level
    signal[2, 50] = 0.005  # moves by 5 µV
    signal[3] = np.nan  # absent, not flat
    signal[4, :50] = np.nan  # flat where it is
    assert flat_leads(signal).tolist() == [True, True, False, False, True]


def test_the_longest_standstill_is_counted_in_samples():
    signal = np.arange(40, dtype=np.float32).reshape(4, 10).copy()
    signal[1, 3:7] = 5.0
    signal[2, 2:8] = np.nan  # missing is not standing still
    signal[3] = np.nan
    assert longest_standstill(signal).tolist() == [1, 4, 1, 0]


def test_missing_share_is_the_share():
    signal = np.zeros((2, 100), dtype=np.float32)
    signal[0, :30] = np.nan
    assert missing_share(signal).tolist() == [0.3, 0.0]


def test_a_clipped_wave_is_saturated_and_a_whole_one_is_not():
    wave = 3 * np.sin(2 * np.pi * TIME)
    signal = np.stack([wave, wave.clip(-10, 2.5), wave.clip(-2.5, 2.5)]).astype(np.float32)
    share = saturated_share(signal, rate_hz=500.0)
    # |sin| is above 2.5/3 for 18.6 % of the time on each side.
    np.testing.assert_allclose(share, [0.0, 0.186, 0.373], atol=0.004)


def test_coarse_steps_of_a_small_signal_and_flat_leads_are_no_rails():
    coarse = np.round(0.05 * np.sin(2 * np.pi * TIME) / 0.02) * 0.02
    flat = np.full(5000, 5.0)
    gap = np.full(5000, np.nan)
    share = saturated_share(np.stack([coarse, flat, gap]).astype(np.float32), rate_hz=500.0)
    assert share.tolist() == [0.0, 0.0, 0.0]


def test_a_peak_is_no_rail():
    beat = 1.5 * np.exp(-0.5 * ((TIME % 1 - 0.5) / 0.02) ** 2)
    # At 1 µV the top of the beat stands still for a sample or three.
    assert saturated_share(np.round(beat, 3)[None].astype(np.float32), rate_hz=500.0)[0] == 0.0
