"""What is written is what two readers read: our own and the `wfdb` package."""

from datetime import datetime

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

import anylead
from anylead.errors import FileError, InputError
from anylead.formats.wfdb_writer import encode_wfdb, write_wfdb
from anylead.leads import STANDARD_12
from anylead.record import Record
from fake_trees import fake_ecg


@pytest.fixture
def ecg_record():
    return Record(
        signal=fake_ecg(np.random.default_rng(0), seconds=2).astype(np.float32),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        record_id="r-1_a",
        recorded_at=datetime(2020, 5, 6, 14, 50, 55),
        age_years=54.0,
        sex="F",
    )


def both_readers(path):
    """Returns what each reader makes of a record: leads, rate, (leads, samples) in mV."""
    ours, theirs = anylead.read(path), wfdb.rdrecord(str(path))
    assert theirs.units == ["mV"] * len(ours.leads)
    return [
        (ours.leads, ours.sampling_rate_hz, ours.signal),
        (tuple(theirs.sig_name), theirs.fs, theirs.p_signal.T),
    ]


def test_both_readers_find_what_was_written(tmp_path, ecg_record):
    write_wfdb(ecg_record, tmp_path / "r-1_a")
    for leads, rate_hz, signal in both_readers(tmp_path / "r-1_a"):
        assert (leads, rate_hz) == (STANDARD_12, 500.0)
        np.testing.assert_allclose(signal, ecg_record.signal, atol=1e-6)  # whole microvolts are exact
    again = anylead.read(tmp_path / "r-1_a")
    for name in ("record_id", "recorded_at", "age_years", "sex", "flags"):
        assert getattr(again, name) == getattr(ecg_record, name)
    theirs = wfdb.rdheader(str(tmp_path / "r-1_a"))
    assert theirs.base_datetime == ecg_record.recorded_at
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r-1_a.dat", "r-1_a.hea"]


def test_checksum_and_first_value_are_those_of_the_samples(tmp_path, ecg_record):
    write_wfdb(ecg_record, tmp_path / "r")
    theirs = wfdb.rdrecord(str(tmp_path / "r"), physical=False)
    assert [c % 65536 for c in theirs.checksum] == theirs.calc_checksum()
    assert theirs.init_value == theirs.d_signal[0].tolist()


def test_missing_samples_are_missing_for_both(tmp_path, ecg_record):
    ecg_record.signal[3, 10:20] = np.nan
    ecg_record.signal[4] = np.nan
    ecg_record.signal[5, 7] = np.inf
    write_wfdb(ecg_record, tmp_path / "r")
    expected = np.where(np.isfinite(ecg_record.signal), ecg_record.signal, np.nan)
    for _, _, signal in both_readers(tmp_path / "r"):
        np.testing.assert_allclose(signal, expected, atol=1e-6)


@given(
    peaks=st.lists(st.sampled_from([1e-4, 0.5, 32.767, 32.768, 33.0, 500.0, 1e6]), min_size=1, max_size=3),
    sign=st.sampled_from([-1.0, 1.0]),
    rate_hz=st.sampled_from([100.0, 360.0, 257.5, 1000 / 3]),
)
def test_a_lead_beyond_16_bits_gets_a_gain_of_its_own(tmp_path_factory, peaks, sign, rate_hz):
    wave = sign * np.sin(np.linspace(0, 6, 200))
    signal = (np.array(peaks)[:, None] * wave / np.abs(wave).max()).astype(np.float32)
    record = Record(signal=signal, leads=STANDARD_12[: len(peaks)], sampling_rate_hz=rate_hz)
    path = tmp_path_factory.mktemp("records") / "r"
    write_wfdb(record, path)
    assert np.abs(np.fromfile(path.with_suffix(".dat"), "<i2").astype(int)).max() <= 32767
    for _, read_hz, read in both_readers(path):
        assert read_hz == pytest.approx(rate_hz, rel=1e-9)
        half_counts = np.maximum(0.5e-3, 0.5 * np.array(peaks) / 32767)[:, None]
        assert (np.abs(read - signal) <= 1.01 * half_counts + 1e-7).all()


def test_comments_come_last_and_can_be_read(tmp_path, ecg_record):
    write_wfdb(ecg_record, tmp_path / "r", comments=("record_id: ptb-xl/1", "condition: clean"))
    assert wfdb.rdheader(str(tmp_path / "r")).comments[-2:] == ["record_id: ptb-xl/1", "condition: clean"]


def test_unknown_facts_are_left_out():
    record = Record(signal=np.zeros((1, 3), dtype=np.float32), leads=("Vx",), sampling_rate_hz=500.0)
    header, data = encode_wfdb(record, "r")
    assert header.decode() == "r 1 500 3\nr.dat 16 1000(0)/mV 16 0 0 0 0 Vx\n"
    assert data == bytes(6)


@pytest.mark.parametrize("name", ["a b", "a.b", "", "ä"])
def test_a_name_wfdb_cannot_read_is_refused(tmp_path, ecg_record, name):
    with pytest.raises(InputError, match=r"record name .* is not one WFDB can read"):
        encode_wfdb(ecg_record, name)


def test_a_comment_is_one_line(ecg_record):
    with pytest.raises(InputError, match=r"comment 'a\\nb' has several lines"):
        encode_wfdb(ecg_record, "r", comments=("a\nb",))


def test_a_folder_that_cannot_be_made_is_said(tmp_path, ecg_record):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="could not be written"):
        write_wfdb(ecg_record, tmp_path / "file" / "r")
