"""DICOM ECG: groups, names, scales and padding.

Objects are written by `pydicom`, which is independent of our reader but not of the package that parses the
elements; a twelve-lead object from an electrocardiograph, which `pydicom` brings along, is read by three
ways: ours, `pydicom`'s own scaling and `ecgdatakit`.
"""

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import read
from anylead.formats.dicom import DEFLATED, read_dicom
from anylead.leads import STANDARD_12
from clinical_files import dicom_group, some_counts, write_dicom

pydicom = pytest.importorskip("pydicom")

COUNTS = some_counts()
MEDIAN = {lead: values[:10] * 0 + 5 for lead, values in COUNTS.items()}
BIG_ENDIAN = "1.2.840.10008.1.2.2"
GENERAL, AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.2", "1.2.840.10008.5.1.4.1.1.9.1.3"


def only(counts, *leads):
    return {lead: counts[lead] for lead in leads}


def expect(record, counts, mv_per_count=0.00125):
    for lead, values in counts.items():
        row = record.signal[record.leads.index(lead)]
        np.testing.assert_allclose(row, values * mv_per_count, atol=1e-6)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "recording.bin"


@pytest.fixture(scope="module")
def cart() -> Path:
    """An object of an electrocardiograph: 12 leads of 10 s at 1,000 Hz, and their median beat."""
    return Path(pydicom.__file__).parent / "data" / "test_files" / "waveform_ecg.dcm"


def test_an_object_of_a_cart_agrees_with_two_other_readers(cart):
    kit = pytest.importorskip("ecgdatakit.parsing.parser")
    record = read(cart)
    assert (record.leads, record.sampling_rate_hz, record.samples) == (STANDARD_12, 1000.0, 10_000)
    microvolts = pydicom.dcmread(cart).waveform_array(0)
    np.testing.assert_allclose(record.signal, microvolts.T / 1000, atol=1e-6)
    for lead in kit.FileParser.parse(cart).leads:
        np.testing.assert_allclose(record.signal[record.leads.index(lead.label)], lead.samples, atol=1e-6)
    assert (
        np.abs(
            record.select(["II"]).signal - record.select(["I"]).signal - record.select(["III"]).signal
        ).max()
        < 0.01
    )


def test_the_patient_and_the_date_are_read(path):
    record = read(write_dicom(path, dicom_group(COUNTS)))
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == (
        "recording",
        "P-7",
        45.0,
        "F",
    )
    assert record.recorded_at == datetime(2025, 3, 4, 9, 15)


@pytest.mark.parametrize(
    ("element", "text", "field", "value"),
    [
        ("PatientAge", "006M", "age_years", 0.5),
        ("PatientAge", "", "age_years", None),
        ("AcquisitionDateTime", "20250304091500.250+0100", "recorded_at", datetime(2025, 3, 4, 9, 15)),
        ("AcquisitionDateTime", "20251304", "recorded_at", None),
        ("AcquisitionDateTime", "", "recorded_at", None),
        ("PatientID", "", "patient_id", None),
        ("PatientSex", "O", "sex", None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_what_is_not_told_is_none(path, element, text, field, value):
    data = pydicom.dcmread(write_dicom(path, dicom_group(COUNTS)))
    setattr(data, element, text)
    data.save_as(path)
    assert getattr(read_dicom(path), field) == value


@pytest.mark.parametrize("label", ["MEDIAN BEAT", "Representative", "average"])
def test_a_median_beat_is_not_read_even_if_it_comes_first(path, label):
    record = read_dicom(write_dicom(path, dicom_group(MEDIAN, label=label), dicom_group(COUNTS)))
    assert record.flags == ()
    expect(record, COUNTS)


def test_a_median_beat_without_a_label_is_the_shorter_group(path):
    record = read_dicom(write_dicom(path, dicom_group(MEDIAN, label="first"), dicom_group(COUNTS)))
    assert record.flags == ("group_left_out:first",)
    expect(record, COUNTS)


def test_an_object_without_rhythm_is_refused(path):
    with pytest.raises(RecordFileError, match=r"the object has 1 waveforms and none is a rhythm"):
        read_dicom(write_dicom(path, dicom_group(MEDIAN, label="MEDIAN BEAT")))
    with pytest.raises(RecordFileError, match=r"the object has 0 waveforms"):
        read_dicom(write_dicom(path))


def test_groups_of_other_leads_are_joined_at_their_offset(path):
    first = dicom_group(only(COUNTS, "I", "II", "III"), label="a", offset_ms=1000)
    second = dicom_group(only(COUNTS, "V1", "V2"), label="b", offset_ms=1100)
    record = read_dicom(write_dicom(path, first, second, sop_class=GENERAL))
    assert (record.leads, record.samples) == (("I", "II", "III", "V1", "V2"), 100)
    np.testing.assert_allclose(record.signal[0, :50], COUNTS["I"] * 0.00125, atol=1e-6)
    np.testing.assert_allclose(record.signal[3, 50:], COUNTS["V1"] * 0.00125, atol=1e-6)
    assert np.isnan(record.signal[0, 50:]).all()
    assert np.isnan(record.signal[3, :50]).all()


def test_a_group_of_another_rate_is_left_out_and_named(path):
    groups = dicom_group(only(COUNTS, "V1"), label="slow", rate=100), dicom_group(only(COUNTS, "I"), rate=50)
    assert read_dicom(write_dicom(path, *groups, sop_class=AMBULATORY)).flags == ("group_left_out:slow",)


def test_groups_far_apart_are_refused(path):
    groups = dicom_group(only(COUNTS, "I")), dicom_group(only(COUNTS, "II"), offset_ms=10**9)
    with pytest.raises(RecordFileError, match=r"the leads span 5000000\d+ samples and hold 100 in all"):
        read_dicom(write_dicom(path, *groups))


def test_sensitivity_correction_and_baseline_are_applied(path):
    group = dicom_group(COUNTS, unit="mV", sensitivity="0.002", correction="1.5", baseline="-0.25")
    record = read_dicom(write_dicom(path, group))
    expect(record, {"V6": COUNTS["V6"] * 0.003 - 0.25}, 1.0)
    np.testing.assert_allclose(record.signal, pydicom.dcmread(path).waveform_array(0).T, atol=1e-6)


def test_padding_is_missing(path):
    counts = {"I": np.array([1, -32768, 3]), "II": np.array([-32768, 5, 6])}
    record = read_dicom(write_dicom(path, dicom_group(counts, padding=-32768)))
    np.testing.assert_array_equal(np.isnan(record.signal), [[False, True, False], [True, False, False]])


def test_a_rate_that_is_no_whole_number_is_kept(path):
    assert read_dicom(write_dicom(path, dicom_group(COUNTS, rate=257.5))).sampling_rate_hz == 257.5


@pytest.mark.parametrize(
    ("meaning", "code", "lead"),
    [
        ("Lead I (Einthoven)", "5.6.3-9-1", "I"),
        ("aVR, augmented voltage, right", "2:62", "aVR"),
        ("lead AVF", "2:64", "aVF"),
        ("Ableitung unbekannt", "2:8", "V6"),
        ("Lead V3", "mine", "V3"),
        ("ES", "mine", "ES"),
        ("", "mine", "channel 1"),
    ],
)
def test_leads_are_named_by_meaning_then_by_code(path, meaning, code, lead):
    group = dicom_group({"I": COUNTS["I"]}, meanings=[meaning], codes=[code])
    record = read_dicom(write_dicom(path, group))
    assert (record.leads, record.flags) == ((lead,), ())


def test_the_channel_label_names_what_the_source_does_not(path):
    group = dicom_group({"I": COUNTS["I"]}, meanings=["electrode"], codes=["mine"])
    group.ChannelDefinitionSequence[0].ChannelLabel = "V2"
    assert read_dicom(write_dicom(path, group)).leads == ("V2",)


def test_a_code_that_contradicts_its_meaning_is_flagged(path):
    group = dicom_group({"I": COUNTS["I"]}, meanings=["Lead II"], codes=["2:1"])
    record = read_dicom(write_dicom(path, group))
    assert (record.leads, record.flags) == (("II",), ("name_and_code_differ:II",))


def test_a_lead_named_twice_is_refused(path):
    group = dicom_group(only(COUNTS, "I", "II"), meanings=["Lead I", "Lead I"])
    with pytest.raises(RecordFileError, match=r"lead I is named more than once"):
        read_dicom(write_dicom(path, group))


def test_a_channel_that_is_no_voltage_is_left_out(path):
    group = dicom_group(some_counts(("I", "pressure")))
    group.ChannelDefinitionSequence[1].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"
    record = read_dicom(write_dicom(path, group))
    assert (record.leads, record.flags) == (("I",), ("not_voltage:Lead pressure",))


@pytest.mark.parametrize("change", [{"unit": "mm[Hg]"}, {"sensitivity": "0"}, {"sensitivity": None}])
def test_a_lead_without_sensitivity_in_volts_is_refused(path, change):
    with pytest.raises(RecordFileError, match=r"lead I has a sensitivity of .*accepted units are mV"):
        read_dicom(write_dicom(path, dicom_group(COUNTS, **change)))


@pytest.mark.parametrize(
    ("kind", "bits", "stored"), [("SB", 8, "i1"), ("UB", 8, "u1"), ("US", 16, "<u2"), ("SL", 32, "<i4")]
)
def test_samples_of_every_width_are_read(path, kind, bits, stored):
    counts = {lead: np.abs(values) % 100 for lead, values in COUNTS.items()}
    group = dicom_group(counts)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = bits, kind
    group.WaveformData = np.array(list(counts.values())).T.astype(stored).tobytes()
    expect(read_dicom(write_dicom(path, group, sop_class=AMBULATORY)), counts)


def test_a_big_endian_object_is_read(path):
    group = dicom_group(COUNTS)
    group.WaveformData = np.array(list(COUNTS.values())).T.astype(">i2").tobytes()
    expect(read_dicom(write_dicom(path, group, syntax=BIG_ENDIAN)), COUNTS)


def test_samples_of_another_kind_are_refused(path):
    group = dicom_group(COUNTS)
    group.WaveformSampleInterpretation = "AB"
    with pytest.raises(RecordFileError, match=r"group RHYTHM has samples of 16 bits as 'AB'; read are SB"):
        read_dicom(write_dicom(path, group))


def test_what_a_group_announces_is_compared_with_its_bytes(path):
    group = dicom_group(COUNTS)
    group.NumberOfWaveformSamples = 2**32 - 1
    with pytest.raises(RecordFileError, match=r"has 1200 bytes and announces 103079215080"):
        read_dicom(write_dicom(path, group))


def test_a_channel_without_a_definition_is_refused(path):
    group = dicom_group(COUNTS)
    del group.ChannelDefinitionSequence[11]
    with pytest.raises(RecordFileError, match=r"describes 11 of its 12 channels"):
        read_dicom(write_dicom(path, group))


def test_a_group_without_rate_is_refused(path):
    with pytest.raises(RecordFileError, match=r"group RHYTHM has 0 samples a second"):
        read_dicom(write_dicom(path, dicom_group(COUNTS, rate=0)))


def test_a_deflated_object_is_refused_before_it_is_inflated(path):
    with pytest.raises(RecordFileError, match=r"the object is deflated"):
        read_dicom(write_dicom(path, dicom_group(COUNTS), syntax=DEFLATED))


def test_an_object_that_is_none_is_refused(path):
    path.write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + b"\xff" * 3)
    with pytest.raises(RecordFileError, match=r"pydicom cannot decode this as DICOM"):
        read(path)


def test_a_missing_package_is_named(path, monkeypatch):
    write_dicom(path, dicom_group(COUNTS))
    monkeypatch.setitem(sys.modules, "pydicom.filereader", None)
    with pytest.raises(ConfigError, match=r"DICOM is read with pydicom, which is not installed"):
        read(path)
