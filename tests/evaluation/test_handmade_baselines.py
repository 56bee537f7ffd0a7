import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.baselines import handmade_features, median_beat_embedding
from anylead.leads import STANDARD_12

RATE_HZ = 500.0


def ecg(intervals_s, *, t_wave=0.3, shape=0.012, gains=(1.0, 1.5), seed=0):
    times = np.cumsum([0.5, *intervals_s])
    time = np.arange(round((times[-1] + 0.6) * RATE_HZ)) / RATE_HZ
    wave = np.zeros_like(time)
    for beat in times:
        wave += np.exp(-0.5 * ((time - beat) / shape) ** 2)
        wave += t_wave * np.exp(-0.5 * ((time - beat - 0.28) / 0.04) ** 2)
    noise = np.random.default_rng(seed).normal(size=(len(gains), len(time)))
    return (np.array(gains)[:, None] * wave + 0.01 * noise).astype(np.float32)


def features(signal, leads=("I", "II"), vocabulary=("I", "II")):
    return handmade_features(signal, leads, rate_hz=RATE_HZ, vocabulary=vocabulary)


def test_rhythm_is_told():
    regular, slow = features(ecg([0.8] * 10)), features(ecg([1.2] * 10))
    irregular = features(ecg([0.6, 1.0, 0.75, 1.2, 0.5, 0.9, 0.65, 1.1]))
    assert regular[1] == pytest.approx(0.8, abs=0.01)
    assert slow[1] == pytest.approx(1.2, abs=0.01)
    assert irregular[3] > 0.2 > 0.02 > regular[3]


def test_a_premature_beat_is_told():
    early = features(ecg([0.8, 0.8, 0.5, 1.1, 0.8, 0.8, 0.8, 0.8]))
    assert early[8] == pytest.approx(0.5 / 0.8, abs=0.03)
    assert early[9] == pytest.approx(1.1 / 0.8, abs=0.03)


def test_an_inverted_t_wave_changes_the_features_of_the_waves():
    upright, inverted = features(ecg([0.8] * 10)), features(ecg([0.8] * 10, t_wave=-0.3))
    assert np.abs(upright - inverted).max() > 0.3
    np.testing.assert_allclose(upright[:10], inverted[:10], atol=0.02)


def test_the_vector_is_the_same_size_and_finite_for_every_recording():
    hard = [
        ecg([0.8] * 10),
        np.zeros((2, 5000), np.float32),
        np.full((2, 5000), np.nan, np.float32),
        ecg([])[:, :100],
    ]
    vectors = [features(signal, vocabulary=STANDARD_12) for signal in hard]
    assert len({len(vector) for vector in vectors}) == 1
    assert all(np.isfinite(vector).all() for vector in vectors)


def test_a_lead_outside_the_vocabulary_has_no_say():
    signal = ecg([0.8] * 10)
    np.testing.assert_array_equal(features(signal, vocabulary=("I",)), features(signal[:1], ("I",), ("I",)))


def test_frontal_axis():
    signal = ecg([0.8] * 10, gains=(1.0, 1.0))
    axis = features(signal, ("I", "aVF"), ("I", "aVF"))[12:14]
    np.testing.assert_allclose(axis, np.sqrt(0.5), atol=0.02)
    np.testing.assert_array_equal(features(signal, ("I", "II"), ("I", "aVF"))[12:14], 0.0)


def test_median_beat_knows_shape_and_neither_amplitude_nor_rate():
    def beat(signal):
        return median_beat_embedding(signal, ("I", "II"), rate_hz=RATE_HZ, vocabulary=("I", "II"))

    one, other = beat(ecg([0.8] * 10)), beat(ecg([1.0] * 8, gains=(2.0, 3.0), seed=1))
    stranger = beat(ecg([0.8] * 10, t_wave=0.8, shape=0.03))

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(one, other) > 0.98 > cosine(one, stranger)


def test_refuses_leads_that_are_not_in_the_vocabulary():
    with pytest.raises(InputError, match="got leads X; at least one of I, II is needed"):
        features(ecg([0.8] * 10)[:1], ("X",))
    with pytest.raises(InputError, match="got leads X"):
        median_beat_embedding(ecg([0.8] * 10)[:1], ("X",), rate_hz=RATE_HZ, vocabulary=("I",))
