from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anylead.record import Record
from anylead.store.quantise import MISSING, dequantise, quantise, recording_hash

millivolts = st.floats(-200, 200, width=32) | st.just(np.nan)


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 50)), elements=millivolts))
def test_what_comes_back_is_within_half_a_count(signal):
    counts, scale = quantise(signal)
    back = dequantise(counts, scale)
    assert np.array_equal(np.isnan(back), np.isnan(signal))
    error = np.nan_to_num(np.abs(back - signal.astype(np.float64)))
    assert (error <= scale[:, None] * 0.5 + 1e-6 * np.nan_to_num(np.abs(signal))).all()


def test_one_count_is_a_microvolt_up_to_the_range_and_more_beyond():
    signal = np.array([[0.0, 32.767], [0.0, 65.534]], dtype=np.float32)
    counts, scale = quantise(signal)
    assert counts[:, 1].tolist() == [32767, 32767]
    np.testing.assert_allclose(scale, [0.001, 0.002], rtol=1e-6)


def test_missing_and_infinite_samples_become_the_missing_count():
    counts, _ = quantise(np.array([[0.5, np.nan, np.inf, -0.5]], dtype=np.float32))
    assert counts.tolist() == [[500, MISSING, MISSING, -500]]


def some_record(**changes) -> Record:
    signal = np.arange(20, dtype=np.float32).reshape(2, 10) / 7
    return replace(Record(signal=signal, leads=("I", "V1"), sampling_rate_hz=500.0), **changes)


def test_the_hash_knows_the_recording_not_its_circumstances():
    original = some_record()
    same = some_record(record_id="else", patient_id="p", flags=("flat:I",))
    reordered = original.select(["V1", "I"])
    noisy = some_record(signal=original.signal + np.float32(1e-6))
    assert {recording_hash(r) for r in (original, same, reordered, noisy)} == {recording_hash(original)}


def test_the_hash_changes_with_samples_names_rate_length_and_gaps():
    original = some_record()
    moved = original.signal.copy()
    moved[0, 3] += 0.002
    gap = original.signal.copy()
    gap[0, 0] = np.nan  # was 0 mV
    others = [
        some_record(signal=moved),
        some_record(signal=gap),
        some_record(leads=("I", "V2")),
        some_record(sampling_rate_hz=250.0),
        some_record(signal=original.signal[:, :9]),
    ]
    assert len({recording_hash(r) for r in (original, *others)}) == 6
