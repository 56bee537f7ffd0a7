"""EDF and BDF. Independent: ecgdatakit reads what edfio writes; the bytes of BDF and of EDF+D are put
together here from the published specifications."""

from datetime import date, datetime

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import read
from anylead.leads import STANDARD_12
from fake_trees import fake_ecg

edfio = pytest.importorskip("edfio")


@pytest.fixture
def ecg():
    return fake_ecg(np.random.default_rng(0), seconds=4)


def signal(data, label, *, fs=500, unit="mV", span=(-8.0, 8.0)):
    return edfio.EdfSignal(data, fs, label=label, physical_dimension=unit, physical_range=span)


def write(path, signals, **about):
    edfio.Edf(signals, **about).write(path)
    return path


def block(text, width):
    return str(text).ljust(width).encode()


def by_hand(path, channels, *, bits=16, duration=1, kind="", records=None):
    """Writes EDF or BDF; a channel is label, unit, physical and digital range, values (records, samples)."""
    count = len(channels[0][4]) if records is None else records
    mark = block("0", 8) if bits == 16 else b"\xffBIOSEMI"
    head = mark + block("X X X X", 80) + block("", 80) + b"01.02.1903.04.05"
    head += block(256 * (len(channels) + 1), 8) + block(kind, 44) + block(count, 8) + block(duration, 8)
    head += block(len(channels), 4)
    columns = [
        [block(c[0], 16) for c in channels],
        [block("", 80)] * len(channels),
        [block(c[1], 8) for c in channels],
        [block(c[2][0], 8) for c in channels],
        [block(c[2][1], 8) for c in channels],
        [block(c[3][0], 8) for c in channels],
        [block(c[3][1], 8) for c in channels],
        [block("", 80)] * len(channels),
        [block(len(c[4][0]) if isinstance(c[4][0], np.ndarray) else len(c[4][0]) // 2, 8) for c in channels],
        [block("", 32)] * len(channels),
    ]
    head += b"".join(cell for column in columns for cell in column)
    body = b""
    for row in range(len(channels[0][4])):
        for channel in channels:
            values = channel[4][row]
            if isinstance(values, bytes):
                body += values
            else:
                body += b"".join(int(v).to_bytes(bits // 8, "little", signed=True) for v in values)
    path.write_bytes(head + body)
    return path


def test_what_edfio_writes_is_read_as_ecgdatakit_reads_it(tmp_path, ecg):
    path = write(
        tmp_path / "r.edf", [signal(row, f"ECG {lead}") for row, lead in zip(ecg, STANDARD_12, strict=True)]
    )
    record = read(path)
    assert (record.record_id, record.leads, record.sampling_rate_hz) == ("r", STANDARD_12, 500.0)
    np.testing.assert_allclose(record.signal, ecg, atol=16 / 65535)
    second = pytest.importorskip("ecgdatakit").FileParser().parse(path)
    for lead in second.leads:
        physical = lead.samples * lead.resolution + lead.offset if lead.is_raw else lead.samples
        scale = {"uV": 1e-3, "mV": 1.0}[lead.units or lead.resolution_unit]
        np.testing.assert_allclose(record.select([lead.label]).signal[0], physical * scale, atol=1e-5)


def test_every_unit_becomes_millivolts(tmp_path, ecg):
    units = [("uV", 1e3), ("mV", 1.0), ("V", 1e-3), ("nV", 1e6)]
    signals = [
        signal(ecg[row] * per_mv, STANDARD_12[row], unit=unit, span=(-8 * per_mv, 8 * per_mv))
        for row, (unit, per_mv) in enumerate(units)
    ]
    np.testing.assert_allclose(read(write(tmp_path / "r.edf", signals)).signal, ecg[:4], atol=2e-3)


def test_who_and_when_are_read(tmp_path, ecg):
    about = {
        "patient": edfio.Patient(sex="F", birthdate=date(1950, 6, 1)),
        "recording": edfio.Recording(startdate=date(2020, 5, 31)),
        "starttime": datetime(2020, 5, 31, 14, 50, 55).time(),
    }
    record = read(write(tmp_path / "r.edf", [signal(ecg[0], "I")], **about))
    assert (record.sex, record.age_years) == ("F", 69.0)
    assert record.recorded_at == datetime(2020, 5, 31, 14, 50, 55)


def test_nobody_is_nobody(tmp_path, ecg):
    record = read(write(tmp_path / "r.edf", [signal(ecg[0], "I")]))
    assert (record.sex, record.age_years, record.patient_id) == (None, None, None)


def test_what_is_no_ecg_or_of_another_rate_is_left_out_and_flagged(tmp_path, ecg):
    signals = [
        signal(ecg[1], "MLII"),
        signal(ecg[0, ::2], "V1", fs=250),
        signal(ecg[0] * 1e3, "EEG C3-A2", unit="uV", span=(-8e3, 8e3)),
        signal(ecg[0], "SpO2", unit="%"),
    ]
    annotations = [edfio.EdfAnnotation(1, None, "beat")]
    record = read(write(tmp_path / "r.edf", signals, annotations=annotations))
    assert record.leads == ("II",)
    assert set(record.flags) == {"other_rate:V1", "not_ecg:EEG C3-A2", "not_voltage:SpO2"}


def test_bdf_by_the_specification(tmp_path):
    counts = np.array([[-(2**23), -1, 0, 1, 2**23 - 1] * 12] * 2)
    channel = ("II", "uV", (-262144, 262143), (-8388608, 8388607), counts)
    record = read(by_hand(tmp_path / "r.bdf", [channel], bits=24, kind="24BIT"))
    assert (record.samples, record.sampling_rate_hz, record.recorded_at.hour) == (120, 60.0, 3)
    expected = -262144 + (counts.ravel() + 2**23) * (524287 / (2**24 - 1))
    np.testing.assert_allclose(record.signal[0], expected * 1e-3, rtol=1e-6, atol=1e-6)


def timed(path, onsets):
    counts = np.arange(60 * len(onsets)).reshape(len(onsets), 60)
    stamps = [f"+{onset}\x14\x14".encode().ljust(40, b"\0") for onset in onsets]
    channels = [
        ("II", "mV", (-32768, 32767), (-32768, 32767), counts),
        ("EDF Annotations", "", (-1, 1), (-32768, 32767), stamps),
    ]
    return by_hand(path, channels, kind="EDF+D")


def test_an_edf_d_without_gaps_is_read_and_one_with_gaps_refused(tmp_path):
    record = read(timed(tmp_path / "whole.edf", [0, 1, 2]))
    np.testing.assert_array_equal(record.signal[0], np.arange(180))
    with pytest.raises(RecordFileError, match=r"the recording has gaps \(EDF\+D\); continuous ones are read"):
        read(timed(tmp_path / "gaps.edf", [0, 1, 7]))


class TestRefused:
    @pytest.fixture
    def path(self, tmp_path, ecg):
        return write(tmp_path / "r.edf", [signal(ecg[0], "I")])

    @pytest.mark.parametrize("keep", [512, 600, -1])
    def test_cut_off(self, path, keep):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(RecordFileError, match=r"its header promises .*; it is empty or cut off: copy it"):
            read(path)

    def test_an_announcement_of_more_than_there_is(self, path):
        content = path.read_bytes()
        path.write_bytes(content[:236] + b"99999999" + content[244:])
        with pytest.raises(RecordFileError, match=r"it is empty or cut off"):
            read(path)

    @pytest.mark.parametrize(("at", "text"), [(252, b"-1  "), (184, b"123     "), (236, b"-5      ")])
    def test_a_header_that_contradicts_itself(self, path, at, text):
        content = path.read_bytes()
        path.write_bytes(content[:at] + text + content[at + len(text) :])
        with pytest.raises(RecordFileError, match=r"these contradict each other|no number stands"):
            read(path)

    def test_no_number_where_one_must_stand(self, path):
        content = path.read_bytes()
        path.write_bytes(content[:236] + b"many    " + content[244:])
        with pytest.raises(RecordFileError, match=r"the EDF header is cut off or no number stands where one"):
            read(path)

    def test_what_edfio_cannot_decode(self, path):
        content = path.read_bytes()
        path.write_bytes(content[:244] + b"long    " + content[252:])
        with pytest.raises(RecordFileError, match=r"edfio cannot decode the file \(ValueError"):
            read(path)

    def test_a_range_without_a_scale(self, tmp_path):
        channel = ("I", "mV", (1, 1), (-32768, 32767), np.zeros((1, 60)))
        with pytest.raises(RecordFileError, match=r"channel I spans .* from which no scale follows"):
            read(by_hand(tmp_path / "r.edf", [channel]))

    def test_a_standard_lead_that_is_no_voltage(self, tmp_path, ecg):
        with pytest.raises(RecordFileError, match=r"lead I is in '%'; accepted units are mV"):
            read(write(tmp_path / "r.edf", [signal(ecg[0], "I", unit="%")]))

    def test_no_ecg(self, tmp_path, ecg):
        with pytest.raises(RecordFileError, match=r"no channel is an ECG in volts; give an ECG"):
            read(write(tmp_path / "r.edf", [signal(ecg[0], "SpO2", unit="%")]))

    def test_two_leads_of_one_name(self, tmp_path, ecg):
        with pytest.raises(RecordFileError, match=r"r\.edf: record r: lead I is named more than once"):
            read(write(tmp_path / "r.edf", [signal(ecg[0], "I"), signal(ecg[0], "ECG I")]))

    def test_a_package_that_is_not_installed(self, path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "edfio", None)
        with pytest.raises(
            ConfigError, match=r"EDF is read with edfio, which is not installed; install anyle"
        ):
            read(path)
