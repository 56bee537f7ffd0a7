import numpy as np
import pytest

from anylead.errors import InputError, LeadError
from anylead.record import Record


def make(signal=None, leads=("I", "II"), rate=500.0):
    signal = np.zeros((2, 10), np.float32) if signal is None else signal
    return Record(signal=signal, leads=leads, sampling_rate_hz=rate, record_id="r1")


def test_names_are_canonical_and_length_is_known():
    record = make(leads=("DI", "MLII"))
    assert record.leads == ("I", "II")
    assert record.samples == 10
    assert record.duration_s == pytest.approx(0.02)


def test_select_orders_by_name():
    record = make(np.array([[1.0, 1], [2, 2]], np.float32))
    assert record.select(["ii", "i"]).signal[:, 0].tolist() == [2.0, 1.0]
    with pytest.raises(LeadError, match="record r1: lead V1 is not recorded; it has I, II"):
        record.select(["V1"])


def test_flags_are_kept_once():
    assert make().with_flags("flat:I").with_flags("flat:I", "missing:II").flags == ("flat:I", "missing:II")


@pytest.mark.parametrize("rate", [49.0, 10_001.0, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(InputError, match="rates from 50 to 10000 Hz are accepted"):
        make(rate=rate)


def test_impossible_shapes_and_names_are_refused():
    with pytest.raises(InputError, match="there are no samples"):
        make(np.zeros((2, 0), np.float32))
    with pytest.raises(LeadError, match="2 lead names for 3 rows"):
        make(np.zeros((3, 10), np.float32))
    with pytest.raises(LeadError, match="lead I is named more than once"):
        make(leads=("I", "I"))


def test_arrays_are_taken_as_they_come():
    record = Record.from_array([[0, 1, 2]], fs=100.0, leads="II")
    assert record.signal.dtype == np.float32
    assert Record.from_array(np.arange(5), fs=100.0, leads=["V2"]).signal.shape == (1, 5)
    source = np.zeros((2, 9))
    taken = Record.from_array(source, fs=100.0, leads="I,II")
    source += 1
    assert (taken.signal == 0).all()


def test_a_transposed_array_is_questioned():
    with pytest.raises(InputError, match=r"is it transposed\? Give \(leads, samples\)"):
        Record.from_array(np.zeros((1000, 2)), fs=500.0, leads=["I", "II"])


def test_amplitudes_that_are_not_millivolts_are_questioned():
    signal = np.zeros((1, 100))
    signal[0, 3] = -850.0
    with pytest.raises(InputError, match="the largest amplitude is 850; signals are in millivolts"):
        Record.from_array(signal, fs=500.0, leads=["I"])
    signal[0, 3] = np.nan
    Record.from_array(signal, fs=500.0, leads=["I"])


def test_what_is_no_array_is_refused():
    with pytest.raises(InputError, match="is not an array of numbers"):
        Record.from_array([["a", "b"]], fs=500.0, leads=["I"])
    with pytest.raises(InputError, match=r"give a 2-D array \(leads, samples\)"):
        Record.from_array(np.zeros((1, 2, 3)), fs=500.0, leads=["I"])
