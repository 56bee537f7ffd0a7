"""WFDB records: millivolts whatever the unit, NaN for what is missing, one sentence for what is broken."""

from datetime import datetime

import numpy as np
import pytest

import anylead
from anylead.errors import RecordFileError
from anylead.formats import read
from anylead.formats.wfdb import read_wfdb
from anylead.leads import STANDARD_12
from fake_trees import NAN_MARKER, STANDARD, UPPER, fake_ecg, write_wfdb


@pytest.fixture
def ecg():
    return fake_ecg(np.random.default_rng(0), seconds=2)


def edit_header(path, old, new):
    header = path.with_name(f"{path.name}.hea")
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("layout", ["dat", "mat"])
@pytest.mark.parametrize("suffix", ["", ".hea", "data"])
def test_a_record_is_found_by_any_of_its_names(tmp_path, ecg, layout, suffix):
    path = write_wfdb(tmp_path / "r", ecg, layout=layout)
    record = read(path.with_name("r" + (f".{layout}" if suffix == "data" else suffix)))
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)
    assert record.signal.dtype == np.float32
    assert (record.record_id, record.leads, record.sampling_rate_hz) == ("r", STANDARD_12, 500.0)


def test_read_is_public_and_takes_text(tmp_path, ecg):
    assert anylead.read(str(write_wfdb(tmp_path / "r", ecg))).samples == 1000


def test_lead_names_in_capitals_are_canonical(tmp_path, ecg):
    assert read(write_wfdb(tmp_path / "r", ecg, UPPER)).leads == STANDARD_12


def test_a_date_before_the_time_age_and_sex_are_read(tmp_path, ecg):
    path = write_wfdb(
        tmp_path / "r", ecg, when="05-May-2020 14:50:55", comments=("#Age: NaN", "# Sex: Female", "#Dx: 1")
    )
    record = read(path)
    assert (record.recorded_at, record.age_years, record.sex) == (datetime(2020, 5, 5, 14, 50, 55), None, "F")


@pytest.mark.parametrize(
    ("unit", "stored_per_mv"), [("mV", 1e3), ("mv", 1e3), ("uV", 1e3), ("µV", 1e3), ("μV", 1e3), ("V", 1e3)]
)
def test_every_unit_becomes_millivolts(tmp_path, ecg, unit, stored_per_mv):
    per_unit = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}[unit.lower()]
    path = write_wfdb(tmp_path / "r", ecg / per_unit, gains=stored_per_mv * per_unit, units=unit)
    np.testing.assert_allclose(read(path).signal, ecg, rtol=1e-5, atol=1e-6)


def test_units_may_differ_from_lead_to_lead(tmp_path, ecg):
    two = ecg[:2] * [[1.0], [1000.0]]
    path = write_wfdb(tmp_path / "r", two, STANDARD[:2], gains=[1000.0, 1.0], units=["mV", "µV"])
    np.testing.assert_allclose(read(path).signal, ecg[:2], atol=1e-6)


def test_a_baseline_is_subtracted(tmp_path, ecg):
    np.testing.assert_allclose(read(write_wfdb(tmp_path / "r", ecg, baseline=-37)).signal, ecg, atol=1e-6)


def test_a_gain_of_zero_means_200_and_is_flagged(tmp_path, ecg):
    path = write_wfdb(tmp_path / "r", ecg[:1], ["I"], gains=200.0)
    edit_header(path, " 200/mV", " 0/mV")
    record = read(path)
    np.testing.assert_allclose(record.signal, ecg[:1], atol=2.6e-3)
    assert record.flags == ("uncalibrated:I",)


def test_nan_markers_become_nan(tmp_path, ecg):
    ecg[3, 10:20] = np.nan
    path = write_wfdb(tmp_path / "r", ecg)
    assert (np.fromfile(tmp_path / "r.dat", "<i2") == NAN_MARKER).sum() == 10
    np.testing.assert_allclose(read(path).signal, ecg, atol=1e-6)


def test_a_lead_without_any_sample_is_all_nan(tmp_path, ecg):
    ecg[5] = np.nan
    assert np.isnan(read(write_wfdb(tmp_path / "r", ecg)).signal).all(axis=1).nonzero()[0].tolist() == [5]


def test_a_gain_beyond_all_numbers_gives_missing_samples(tmp_path, ecg):
    path = write_wfdb(tmp_path / "r", ecg)
    edit_header(path, " 1000/mV", " 1e-320/mV")
    signal = read(path).signal
    assert np.isnan(signal).any()
    assert not np.isinf(signal).any()


def test_stored_integers_can_be_read_at_another_gain(tmp_path, ecg):
    ecg[0, 0] = np.nan
    path = write_wfdb(tmp_path / "r", ecg, gains=np.linspace(400, 2000, 12), baseline=3)
    stored = np.fromfile(tmp_path / "r.dat", "<i2").reshape(-1, 12).T.astype(float)
    stored[0, 0] = np.nan
    np.testing.assert_allclose(read_wfdb(path, counts_per_mv=1000.0).signal, stored / 1000, atol=1e-6)


def test_a_channel_that_is_no_voltage_is_left_out_and_flagged(tmp_path, ecg):
    record = read(write_wfdb(tmp_path / "r", ecg[:2], ["II", "RESP"], units=["mV", "Ohm"]))
    assert (record.leads, record.flags) == (("II",), ("not_voltage:RESP",))


def test_a_lead_that_no_encoder_knows_is_kept(tmp_path, ecg):
    assert read(write_wfdb(tmp_path / "r", ecg[:2], ["I", "Vx"])).leads == ("I", "Vx")


def test_several_samples_a_frame_are_all_kept(tmp_path):
    (tmp_path / "r.hea").write_text(
        "r 2 250 100\nr.dat 16x2 1000/mV 16 0 0 0 0 I\nr.dat 16 1000/mV 16 0 0 0 0 V1\n"
    )
    fast, slow = np.arange(200), 1000 + np.arange(100)
    frames = np.stack([fast[::2], fast[1::2], slow], axis=1).astype("<i2")
    (tmp_path / "r.dat").write_bytes(frames.tobytes())
    record = read(tmp_path / "r")
    assert record.sampling_rate_hz == 500.0
    np.testing.assert_allclose(record.signal * 1000, [fast, np.repeat(slow, 2)], rtol=1e-5)


def test_the_length_is_that_of_the_file_where_the_header_is_silent(tmp_path, ecg):
    path = write_wfdb(tmp_path / "r", ecg)
    edit_header(path, "r 12 500 1000", "r 12 500")
    assert read(path).samples == 1000


def test_format_212_is_read(tmp_path):
    """Two 12-bit samples in three bytes: 0x123 and -1."""
    (tmp_path / "r.hea").write_text(
        "r 2 360 2\nr.dat 212 200/mV 12 0 0 0 0 MLII\nr.dat 212 200/mV 12 0 0 0 0 V5\n"
    )
    (tmp_path / "r.dat").write_bytes(bytes([0x23, 0xF1, 0xFF] * 2))
    record = read(tmp_path / "r")
    assert record.leads == ("II", "V5")
    np.testing.assert_allclose(record.signal * 200, [[0x123] * 2, [-1] * 2], rtol=1e-6)


def test_one_hour_is_read(tmp_path):
    hour = np.tile(np.arange(1000) / 1000, 1800)[None]
    record = read(write_wfdb(tmp_path / "r", hour, ["I"]))
    assert record.duration_s == 3600.0
    np.testing.assert_allclose(record.signal[0, -1000:], np.arange(1000) / 1000, atol=1e-6)


class TestRefused:
    def test_no_such_file(self, tmp_path):
        with pytest.raises(RecordFileError, match="absent: there is no such file"):
            read(tmp_path / "absent")

    def test_a_folder(self, tmp_path):
        with pytest.raises(RecordFileError, match="this is a folder; give one recording"):
            read(tmp_path)

    def test_unknown_content(self, tmp_path):
        (tmp_path / "r.txt").write_text("hello")
        with pytest.raises(
            RecordFileError, match=r"r.txt: the content is of no known format; read are .*WFDB \(record.hea"
        ):
            read(tmp_path / "r.txt")

    @pytest.mark.parametrize("suffix", [".dat", ".mat"])
    def test_data_without_a_header(self, tmp_path, ecg, suffix):
        path = write_wfdb(tmp_path / "r", ecg, layout=suffix[1:])
        path.with_suffix(".hea").unlink()
        with pytest.raises(RecordFileError, match=r"there is no header r\.hea beside it"):
            read(path.with_suffix(suffix))

    def test_a_header_without_data(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg)
        path.with_suffix(".dat").unlink()
        with pytest.raises(RecordFileError, match=r"its data file r\.dat cannot be read \(No such file"):
            read(path)

    @pytest.mark.parametrize("layout", ["dat", "mat"])
    @pytest.mark.parametrize("keep", [0, 10, -1])
    def test_truncated_and_empty_data(self, tmp_path, ecg, layout, keep):
        path = write_wfdb(tmp_path / "r", ecg, layout=layout)
        data = path.with_suffix(f".{layout}")
        data.write_bytes(data.read_bytes()[:keep])
        size = 24000 + 24 * (layout == "mat")
        with pytest.raises(RecordFileError, match=f"its header promises {size}; it is empty or cut off"):
            read(path)

    def test_empty_data_of_unstated_length(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg)
        edit_header(path, "r 12 500 1000", "r 12 500")
        path.with_suffix(".dat").write_bytes(b"")
        with pytest.raises(RecordFileError, match="it is empty or cut off"):
            read(path)

    def test_a_length_of_zero(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg)
        edit_header(path, "r 12 500 1000", "r 12 500 0")
        with pytest.raises(RecordFileError, match="the header announces 12 leads of 0 samples"):
            read(path)

    def test_zero_leads(self, tmp_path):
        (tmp_path / "r.hea").write_text("r 0 500 1000\n")
        with pytest.raises(
            RecordFileError, match="the header announces 0 leads of 1000 samples; at least one of each"
        ):
            read(tmp_path / "r")

    def test_two_leads_of_one_name(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg[:2], ["AVR", "aVR"])
        with pytest.raises(RecordFileError, match=r"r\.hea: record r: lead aVR is named more than once"):
            read(path)

    @pytest.mark.parametrize("rate", [49, 10001, 0])
    def test_a_rate_out_of_range(self, tmp_path, ecg, rate):
        path = write_wfdb(tmp_path / "r", ecg, fs=rate)
        with pytest.raises(
            RecordFileError, match=rf"r\.hea: record r: the sampling rate is {rate} Hz; rates from 50 to"
        ):
            read(path)

    def test_an_unknown_unit_of_a_standard_lead(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg[:2], ["I", "avr"], units=["mV", "NU"])
        with pytest.raises(RecordFileError, match="lead aVR is in 'NU'; accepted units are mV, uV"):
            read(path)

    def test_no_channel_in_volts(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg[:1], ["PLETH"], units="NU")
        with pytest.raises(RecordFileError, match="no channel is in volts"):
            read(path)

    def test_frames_that_do_not_divide(self, tmp_path):
        (tmp_path / "r.hea").write_text(
            "r 2 100 10\nr.dat 16x2 1000/mV 16 0 0 0 0 I\nr.dat 16x3 1000/mV 16 0 0 0 0 II\n"
        )
        with pytest.raises(RecordFileError, match=r"channels have \[2, 3\] samples a frame"):
            read(tmp_path / "r")

    @pytest.mark.parametrize("file", ["../secret.dat", "/etc/hostname"])
    def test_data_in_another_folder(self, tmp_path, ecg, file):
        path = write_wfdb(tmp_path / "r", ecg[:1], ["I"])
        edit_header(path, "r.dat", file)
        with pytest.raises(RecordFileError, match="is in another folder; put it beside the header"):
            read(path)

    def test_what_wfdb_cannot_decode(self, tmp_path, ecg):
        path = write_wfdb(tmp_path / "r", ecg[:1], ["I"])
        edit_header(path, "r.dat 16 ", "r.dat 99 ")
        with pytest.raises(RecordFileError, match=r"wfdb cannot decode the record \(.*\); check the header"):
            read(path)
