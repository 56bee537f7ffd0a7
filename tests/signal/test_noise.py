"""Added noise: the ratio it promises, the electrodes it enters at, the band it lies in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfiltfilt, welch

from anylead.errors import InputError
from anylead.leads import STANDARD_12
from anylead.seeding import generator
from anylead.signal.noise import ELECTRODES, NOISES, powerline
from fake_trees import fake_ecg

KINDS = sorted(NOISES)


def disturbed(signal, kind, *, leads=STANDARD_12, rate_hz=500.0, snr_db=6.0, seed=0):
    rng = generator(seed, "test", kind)
    return NOISES[kind](signal, leads=leads, rate_hz=rate_hz, snr_db=snr_db, rng=rng)


def ecg(seconds=10.0, rate_hz=500.0, seed=0):
    return fake_ecg(np.random.default_rng(seed), seconds=seconds, fs=rate_hz).astype(np.float32)


def slow_snr_db(clean, noisy, rate_hz):
    """The definition written out: lead by lead, sample by sample; drift below 0.5 Hz is no signal."""
    sections = butter(2, 0.5, "highpass", fs=rate_hz, output="sos")
    signal_power, noise_power = [], []
    for row, lead in enumerate(clean):
        there = np.flatnonzero(~np.isnan(lead))
        if not len(there):
            continue
        bridged = np.interp(np.arange(lead.size), there, lead[there])
        quick = sosfiltfilt(sections, bridged, padlen=min(9, lead.size - 1))
        signal_power.append(np.mean(quick[there] ** 2))
        noise_power.append(np.mean((noisy[row, there].astype(float) - lead[there]) ** 2))
    return 10 * np.log10(np.mean(signal_power) / np.mean(noise_power))


@pytest.mark.parametrize("kind", KINDS)
@given(
    snr_db=st.sampled_from([24.0, 6.0, -6.0, 3.3]),
    rate_hz=st.sampled_from([125.0, 250.0, 500.0, 1000.0]),
    seconds=st.sampled_from([1.0, 2.5, 10.0]),
    seed=st.integers(0, 1000),
    leads=st.sampled_from([STANDARD_12, ("I", "II"), ("V3",), ("aVF", "V1", "Vx")]),
)
def test_the_ratio_is_met(kind, snr_db, rate_hz, seconds, seed, leads):
    clean = ecg(seconds, rate_hz, seed)[: len(leads)]
    noisy = disturbed(clean, kind, leads=leads, rate_hz=rate_hz, snr_db=snr_db, seed=seed)
    assert (noisy.shape, noisy.dtype) == (clean.shape, np.float32)
    assert slow_snr_db(clean, noisy, rate_hz) == pytest.approx(snr_db, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_samples_stay_missing_and_do_not_count(kind):
    clean = ecg()
    clean[1, 100:1500] = np.nan
    clean[7] = np.nan
    noisy = disturbed(clean, kind)
    np.testing.assert_array_equal(np.isnan(noisy), np.isnan(clean))
    assert slow_snr_db(clean, noisy, 500.0) == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_or_a_drift_of_the_recording_is_no_signal(kind):
    clean, time_s = ecg(30.0), np.arange(15000) / 500.0
    drifting = clean + np.float32(3.0) + (2.0 * np.sin(2 * np.pi * 0.05 * time_s)).astype(np.float32)
    added = disturbed(clean, kind) - clean
    np.testing.assert_allclose(disturbed(drifting, kind) - drifting, added, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_obeys_the_laws_of_the_limb_leads(kind):
    clean = ecg()
    i, ii, iii, avr, avl, avf = (disturbed(clean, kind) - clean)[:6]
    assert np.std(i) > 0.01
    for left, right in [
        (iii, ii - i), (avr, -(i + ii) / 2), (avl, i - ii / 2), (avf, ii - i / 2)
    ]:  # fmt: skip
        np.testing.assert_allclose(left, right, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lead_meets_the_same_noise_whatever_else_was_recorded(kind):
    clean = ecg()
    rows = [STANDARD_12.index(lead) for lead in ("V4", "II")]
    whole = (disturbed(clean, kind) - clean)[rows]
    part = disturbed(clean[rows], kind, leads=("V4", "II")) - clean[rows]
    factor = np.sum(whole * part) / np.sum(part**2)
    np.testing.assert_allclose(factor * part, whole, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_another_ratio_is_the_same_noise_in_another_size(kind):
    clean = ecg()
    mild, strong = (disturbed(clean, kind, snr_db=snr) - clean for snr in (20.0, 0.0))
    np.testing.assert_allclose(10 * mild, strong, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_draws_decide(kind):
    clean = ecg(2.0)
    np.testing.assert_array_equal(disturbed(clean, kind), disturbed(clean, kind))
    assert not np.allclose(disturbed(clean, kind), disturbed(clean, kind, seed=1))


def test_what_an_electrode_of_the_chest_hears_is_in_its_lead_only():
    clean = ecg(60.0)
    noise = disturbed(clean, "muscle") - clean
    i, v1, v2, v3, v4 = noise[[0, 6, 7, 8, 9]]
    # The central terminal, which all chest leads share, is gone from a difference of two.
    assert abs(np.corrcoef(v1 - v2, v3 - v4)[0, 1]) < 0.05
    assert abs(np.corrcoef(v1 - v2, i)[0, 1]) < 0.05
    assert np.corrcoef(v1 - v2, v1 - v3)[0, 1] > 0.1


def power_between(noise, low_hz, high_hz, rate_hz):
    frequency, power = welch(noise, fs=rate_hz, nperseg=noise.shape[1] // 2, detrend=False)
    inside = (frequency >= low_hz) & (frequency <= high_hz)
    return power[:, inside].sum() / power.sum()


@pytest.mark.parametrize(
    ("kind", "low_hz", "high_hz", "share"),
    [
        ("wander", 0.0, 0.6, 0.99),
        ("muscle", 15.0, 170.0, 0.9),
        ("motion", 0.0, 12.0, 0.9),
        ("motion", 0.4, 12.0, 0.3),
    ],
)
def test_noise_lies_in_its_band(kind, low_hz, high_hz, share):
    clean = ecg(60.0)
    noise = (disturbed(clean, kind, snr_db=0.0) - clean).astype(float)
    assert power_between(noise, low_hz, high_hz, 500.0) > share


@pytest.mark.parametrize("seed", range(4))
def test_hum_lies_at_the_mains_and_its_harmonics(seed):
    clean = ecg(60.0)
    noise = (disturbed(clean, "powerline", snr_db=0.0, seed=seed) - clean).astype(float)
    mains = {hz: power_between(noise, hz - 1, hz + 1, 500.0) for hz in (50, 60)}
    hz = max(mains, key=mains.get)
    assert mains[hz] > 0.85
    assert sum(power_between(noise, n * hz - 1, n * hz + 1, 500.0) for n in range(1, 6)) > 0.98


def test_hum_is_50_or_60_hz():
    clean = ecg(4.0)
    found = {
        float(np.argmax(np.abs(np.fft.rfft(disturbed(clean, "powerline", seed=seed)[1] - clean[1]))) / 4)
        for seed in range(20)
    }
    assert {round(hz, -1) for hz in found} == {50.0, 60.0}


def test_muscle_noise_comes_in_bursts_and_wander_does_not_jump():
    clean = ecg(60.0)
    muscle, wander = (disturbed(clean, kind, snr_db=0.0) - clean for kind in ("muscle", "wander"))
    tenths = muscle[6].reshape(-1, 250).std(axis=1)
    assert tenths.max() > 4 * tenths.min()
    assert np.abs(np.diff(wander, axis=1)).max() < 0.02 * np.abs(wander).max()


def test_electrodes_are_the_nine_that_twelve_leads_need():
    assert len(set(ELECTRODES)) == 9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 1.7, np.nan])
def test_without_a_signal_there_is_no_ratio(kind, value):
    silent = np.full((2, 1000), value, dtype=np.float32)
    with pytest.raises(InputError, match="no lead has a signal"):
        disturbed(silent, kind, leads=("I", "II"))


def test_hum_needs_a_rate_that_holds_it():
    with pytest.raises(InputError, match="got 100 samples per second; more than 100 are needed"):
        powerline(ecg(2.0, 100.0), leads=STANDARD_12, rate_hz=100.0, snr_db=0.0, rng=generator(0, "x"))
