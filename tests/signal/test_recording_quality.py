"""Each measure on synthetic patients: what was added is measured, and only in the lead where it was added."""

import numpy as np
import pytest

from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.signal import noise
from anylead.signal.arm_reversal import ArmSigns, arm_signs
from anylead.signal.background_noise import background_noise_mv
from anylead.signal.clipping import clipped_mv
from anylead.signal.einthoven import einthoven_residual
from anylead.signal.lead_faults import swap_leads, swap_limb_leads
from anylead.signal.mains import mains_share
from anylead.signal.quality import flat_share
from anylead.signal.recording_quality import (
    LEAD_MEASURES,
    QualityLimits,
    mean_quality,
    recording_quality,
)
from anylead.signal.wander import wander_mv
from anylead.sources.synthesis.patient import draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record

RATE_HZ = 500.0
TIME_S = np.arange(5000) / RATE_HZ


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """A synthetic patient without noise at the electrodes, mV."""
    session = draw_session(draw_patient(0, 3), 1)
    return (make_record(session, noisy=False) * np.float32(0.001)).astype(np.float32)


def test_half_the_power_in_a_hum_is_half_the_share(clean):
    hum = np.sin(2 * np.pi * 50.0 * TIME_S)
    signal = clean.copy()
    beats = signal[1] - signal[1].mean()
    signal[1] += (hum * beats.std() * np.sqrt(2)).astype(np.float32)
    share = mains_share(signal, rate_hz=RATE_HZ)
    assert 0.4 < share[1] < 0.65  # some of the heart's power is below 1 Hz
    assert np.delete(share, 1).max() < 0.01


@pytest.mark.parametrize("mains_hz", [49.6, 50.4, 59.7, 60.3])
def test_mains_that_drift_are_still_mains(mains_hz):
    assert mains_share(np.sin(2 * np.pi * mains_hz * TIME_S)[None].astype(np.float32), rate_hz=RATE_HZ) > 0.95


def test_white_noise_is_no_hum():
    white = np.random.default_rng(0).standard_normal((4, 5000)).astype(np.float32)
    assert mains_share(white, rate_hz=RATE_HZ).max() < 0.01


def test_mains_cannot_be_told_at_100_hz_in_a_second_or_in_a_constant():
    assert np.isnan(mains_share(np.ones((1, 1000), np.float32), rate_hz=100.0)).all()
    assert np.isnan(mains_share(np.ones((1, 500), np.float32), rate_hz=RATE_HZ)).all()
    assert np.isnan(mains_share(np.ones((1, 5000), np.float32), rate_hz=RATE_HZ)).all()
    assert np.isnan(mains_share(np.full((1, 5000), np.nan, np.float32), rate_hz=RATE_HZ)).all()


def test_wander_is_the_deviation_of_the_drift_and_not_of_the_offset(clean):
    signal = clean.copy()
    signal[4] += (3.0 + 0.8 * np.sin(2 * np.pi * 0.2 * TIME_S)).astype(np.float32)
    added = wander_mv(signal, rate_hz=RATE_HZ)
    assert added[4] == pytest.approx(0.8 / np.sqrt(2), rel=0.15)
    np.testing.assert_allclose(np.delete(added, 4), np.delete(wander_mv(clean, rate_hz=RATE_HZ), 4))
    assert np.isnan(wander_mv(signal[:, :900], rate_hz=RATE_HZ)).all()


def test_noise_is_measured_between_the_complexes(clean):
    rng = np.random.default_rng(1)
    white = rng.standard_normal(5000) * 0.1
    signal = clean.copy()
    signal[7] += white.astype(np.float32)
    measured = background_noise_mv(signal, rate_hz=RATE_HZ)
    in_band = 0.1 * np.sqrt(20.0 / 250.0)
    assert measured[7] == pytest.approx(in_band, rel=0.25)
    assert np.delete(measured, 7).max() < 0.005
    assert np.isnan(background_noise_mv(signal[:, :300], rate_hz=RATE_HZ)).all()


def test_muscle_noise_is_seen_and_wander_is_not(clean):
    settings = {"leads": STANDARD_12, "rate_hz": RATE_HZ, "snr_db": 6.0}
    before = background_noise_mv(clean, rate_hz=RATE_HZ)
    muscle = noise.muscle(clean, **settings, rng=np.random.default_rng(2))
    wander = noise.baseline_wander(clean, **settings, rng=np.random.default_rng(2))
    assert (background_noise_mv(muscle, rate_hz=RATE_HZ) > 3 * before).sum() >= 10
    assert (background_noise_mv(wander, rate_hz=RATE_HZ) < 1.5 * before).all()


def test_clipping_is_found_at_any_height_and_after_a_gain(clean):
    signal = clean.copy()
    lead = int(np.argmax(signal.max(axis=1)))
    height = float(np.median(signal[lead]) + 0.5 * (signal[lead].max() - np.median(signal[lead])))
    signal[lead] = np.round(1.7 * np.minimum(signal[lead], height), 3)
    found = clipped_mv(signal, rate_hz=RATE_HZ)
    assert found[lead] == pytest.approx(1.7 * (height - np.median(clean[lead])), abs=0.02)
    assert np.isnan(np.delete(found, lead)).all()
    assert np.isnan(clipped_mv(clean, rate_hz=RATE_HZ)).all()


def test_flat_share_counts_standstills_of_a_second(clean):
    signal = clean.copy()
    signal[2, 1000:2000] = 2.0
    signal[3, :200] = 0.0
    signal[5] = 0.0
    signal[6] = np.nan
    share = flat_share(signal, rate_hz=RATE_HZ)
    assert share[2] == pytest.approx(0.2, abs=0.001)
    assert share[5] == 1.0
    assert share[[0, 1, 3, 4, 6]].tolist() == [0.0] * 5
    assert flat_share(signal[[5], :100], rate_hz=RATE_HZ) == 1.0


@pytest.mark.parametrize("electrodes", ["LA/RA", "LA/LL", "RA/LL"])
def test_einthovens_law_holds_under_any_exchange_of_limb_electrodes(clean, electrodes):
    swapped = swap_limb_leads(clean, leads=STANDARD_12, electrodes=electrodes)
    assert einthoven_residual(clean, leads=STANDARD_12) < 0.01
    assert einthoven_residual(swapped, leads=STANDARD_12) < 0.01


def test_einthovens_law_finds_a_wrong_name_and_a_wrong_gain(clean):
    renamed = swap_leads(clean, leads=STANDARD_12, first="II", second="aVL")
    scaled = clean.copy()
    scaled[0] *= 2
    assert einthoven_residual(renamed, leads=STANDARD_12) > 0.2
    assert einthoven_residual(scaled, leads=STANDARD_12) > 0.05
    all_scaled = 2 * clean + np.float32(1.0)
    assert einthoven_residual(all_scaled, leads=STANDARD_12) < 0.01


def test_einthovens_law_says_nothing_of_two_limb_leads_or_of_silence(clean):
    assert np.isnan(einthoven_residual(clean[:2], leads=("I", "II")))
    assert np.isnan(einthoven_residual(clean[6:], leads=STANDARD_12[6:]))
    assert np.isnan(einthoven_residual(np.zeros_like(clean), leads=STANDARD_12))
    missing = clean.copy()
    missing[0] = np.nan
    assert np.isnan(einthoven_residual(missing, leads=STANDARD_12))


def test_exchanged_arms_show_all_four_signs(clean):
    right = arm_signs(clean, leads=STANDARD_12, rate_hz=RATE_HZ)
    swapped = swap_limb_leads(clean, leads=STANDARD_12, electrodes="LA/RA")
    wrong = arm_signs(swapped, leads=STANDARD_12, rate_hz=RATE_HZ)
    assert right is not None
    assert wrong is not None
    assert not right.suspected
    assert right.count == 0
    assert wrong.suspected
    assert wrong.qrs_of_i_down
    assert wrong.p_of_i_down
    assert wrong.i_against_v6


def test_exchanged_arms_are_found_among_synthetic_patients():
    found, false = 0, 0
    for number in range(1, 21):
        signal = make_record(draw_session(draw_patient(1, number), 1)) * np.float32(0.001)
        swapped = swap_limb_leads(signal, leads=STANDARD_12, electrodes="LA/RA")
        found += arm_signs(swapped, leads=STANDARD_12, rate_hz=RATE_HZ).suspected
        false += arm_signs(signal, leads=STANDARD_12, rate_hz=RATE_HZ).suspected
    assert found >= 16
    assert false <= 1


def test_exchanged_arms_cannot_be_told_without_lead_i_or_company(clean):
    assert arm_signs(clean[1:], leads=STANDARD_12[1:], rate_hz=RATE_HZ) is None
    assert arm_signs(clean[:1], leads=("I",), rate_hz=RATE_HZ) is None
    assert arm_signs(clean[:, :600], leads=STANDARD_12, rate_hz=RATE_HZ) is None


def test_avr_follows_from_i_and_ii(clean):
    swapped = swap_limb_leads(clean, leads=STANDARD_12, electrodes="LA/RA")
    whole = arm_signs(swapped, leads=STANDARD_12, rate_hz=RATE_HZ)
    two = arm_signs(swapped[:2], leads=("I", "II"), rate_hz=RATE_HZ)
    assert isinstance(two, ArmSigns)
    assert two.i_against_v6 is None
    assert two.qrs_of_avr_up == whole.qrs_of_avr_up


def test_faults_name_kind_and_lead_and_how_far_beyond_the_limit(clean):
    signal = clean.copy()
    signal[6] = 0.0
    signal[3, :1000] = np.nan
    measured = recording_quality(signal, leads=STANDARD_12, rate_hz=RATE_HZ)
    faults = measured.faults(STANDARD_12, QualityLimits(missing=0.1))
    assert set(faults) == {"flat:V1", "missing:aVR"}
    assert faults["flat:V1"] == pytest.approx(10.0)
    assert faults["missing:aVR"] == pytest.approx(2.0)
    assert measured.worst()["flat"] == 1.0


def test_exchanged_arms_and_a_wrong_gain_are_faults_of_the_recording(clean):
    swapped = swap_limb_leads(clean, leads=STANDARD_12, electrodes="LA/RA")
    swapped[1] *= 3
    faults = recording_quality(swapped, leads=STANDARD_12, rate_hz=RATE_HZ).faults(
        STANDARD_12, QualityLimits()
    )
    assert set(faults) == {"einthoven", "reversed"}


def test_a_recording_measured_in_parts_has_their_mean(clean):
    still = np.zeros_like(clean)
    parts = [recording_quality(signal, leads=STANDARD_12, rate_hz=RATE_HZ) for signal in (clean, still)]
    together = mean_quality(parts)
    np.testing.assert_allclose(together.of_leads["flat"], 0.5)
    # What one part cannot tell the other does.
    np.testing.assert_allclose(together.of_leads["noise"], parts[0].of_leads["noise"] / 2, atol=1e-6)
    assert together.einthoven == parts[0].einthoven
    assert together.arm_signs == parts[0].arm_signs
    assert set(together.of_leads) == set(LEAD_MEASURES)


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="the limit of noise is 0; give a number above 0"):
        QualityLimits(noise=0.0)
