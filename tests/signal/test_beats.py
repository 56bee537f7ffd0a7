import os
from pathlib import Path

import numpy as np
import pytest

from anylead.signal.beats import AFTER_S, BEFORE_S, beats, r_peaks

RATE_HZ = 250.0
TIMES_S = np.array([0.6, 1.4, 2.3, 3.0, 3.45, 4.6, 5.4])


def ecg(times_s=TIMES_S, *, gains=(1.0, -0.7, 0.3), duration_s=6.0, noise=0.02, t_wave=0.3):
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    wave = np.zeros_like(time)
    for beat in times_s:
        wave += np.exp(-0.5 * ((time - beat) / 0.012) ** 2)
        wave += t_wave * np.exp(-0.5 * ((time - beat - 0.28) / 0.04) ** 2)
    random = np.random.default_rng(0)
    signal = np.array(gains)[:, None] * wave + noise * random.normal(size=(len(gains), len(time)))
    return (signal + 0.3 * np.sin(2 * np.pi * 0.3 * time)).astype(np.float32)


def assert_found(signal, times_s=TIMES_S):
    peaks = r_peaks(signal, rate_hz=RATE_HZ)
    assert len(peaks) == len(times_s)
    np.testing.assert_allclose(peaks / RATE_HZ, times_s, atol=0.012)


def test_finds_every_beat_of_an_irregular_rhythm_and_no_t_wave():
    assert_found(ecg(t_wave=0.5))


@pytest.mark.parametrize("gains", [(1.0,), (-1.0,), (0.02, -0.02)])
def test_polarity_and_amplitude_do_not_matter(gains):
    assert_found(ecg(gains=gains, noise=0.001))


def test_a_flat_an_absent_and_a_broken_lead_have_no_say():
    signal = np.concatenate([ecg(), np.zeros((1, 1500)), np.full((1, 1500), np.nan)]).astype(np.float32)
    signal[0, 300:340] = np.nan
    assert_found(signal)


def test_one_huge_artefact_hides_no_beat():
    signal = ecg()
    signal[:, 1000:1004] += 20.0
    peaks = r_peaks(signal, rate_hz=RATE_HZ) / RATE_HZ
    assert all(np.abs(peaks - beat).min() < 0.012 for beat in TIMES_S)


def test_nothing_is_found_in_nothing():
    assert len(r_peaks(np.zeros((2, 1000), np.float32), rate_hz=RATE_HZ)) == 0
    assert len(r_peaks(np.full((2, 1000), np.nan, np.float32), rate_hz=RATE_HZ)) == 0
    assert len(r_peaks(ecg()[:, :20], rate_hz=RATE_HZ)) == 0


def test_beats_are_cut_around_their_peak_and_incomplete_ones_left_out():
    signal = ecg(noise=0.0)
    peaks = np.array([10, 150, 350, 1495])
    cut = beats(signal, peaks, rate_hz=RATE_HZ)
    before, after = round(BEFORE_S * RATE_HZ), round(AFTER_S * RATE_HZ)
    assert cut.shape == (2, 3, before + after)
    expected = signal[:, 150 - before : 150 + after]
    np.testing.assert_allclose(cut[0], expected - np.median(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.real
def test_finds_the_complexes_that_cardiologists_marked():
    folder = os.environ.get("ANYLEAD_REAL_DATA")
    if not folder or not (Path(folder) / "ludb").exists():
        pytest.skip("there is no folder ludb in the folder ANYLEAD_REAL_DATA names")
    import wfdb

    found = marked = extra = 0
    for number in range(1, 201, 5):
        path = str(Path(folder) / "ludb" / "data" / str(number))
        record, marks = wfdb.rdrecord(path), wfdb.rdann(path, "ii")
        reference = np.array([s for s, kind in zip(marks.sample, marks.symbol, strict=True) if kind == "N"])
        peaks = r_peaks(record.p_signal.T.astype(np.float32), rate_hz=float(record.fs))
        # The first and the last complex are often left unmarked.
        peaks = peaks[(peaks > reference[0] - 50) & (peaks < reference[-1] + 50)]
        distance = np.abs(peaks[:, None] - reference)
        found += int((distance.min(axis=0) < 50).sum())
        extra += int((distance.min(axis=1) >= 50).sum())
        marked += len(reference)
    assert marked > 300
    assert found >= 0.995 * marked
    assert extra <= 0.005 * marked
