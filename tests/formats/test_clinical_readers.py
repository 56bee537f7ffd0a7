"""SCP-ECG, HL7 aECG, GE MUSE, Philips Sierra and ISHNE: the values, names and people of hand-built files.

Independent here is the writing: `clinical_files` builds each file from its published layout and knows nothing
of the package that decodes it. No file here comes from a device. The compressed Philips file and the ISHNE
file were also read by `sierraecg` 0.4.0 and `ishneholterlib` 2020.5.29, with the same values; `docs/data.md`
says which published files of devices were read once by hand.
"""

import re
import struct
import sys
from datetime import datetime

import numpy as np
import pytest

from anylead.errors import ConfigError, RecordFileError
from anylead.formats import clinical_xml, read
from anylead.formats import philips as philips_module
from anylead.formats import scp as scp_module
from anylead.formats.aecg import read_aecg
from anylead.formats.ishne import read_ishne
from anylead.formats.muse import read_muse
from anylead.formats.philips import read_philips
from anylead.formats.scp import read_scp
from anylead.leads import INDEPENDENT_8, STANDARD_12
from clinical_files import (
    aecg,
    ishne,
    lzw,
    muse,
    muse_waveform,
    philips,
    scp,
    second_series,
    some_counts,
    xli,
)

pytest.importorskip("ecgdatakit")

COUNTS = some_counts()
WRITTEN = {
    "aecg": (aecg(COUNTS), 0.0025, 500.0),
    "muse": (muse(COUNTS), 0.00488, 500.0),
    "philips": (philips(COUNTS, compressed=False), 0.005, 500.0),
    "philips compressed": (philips(COUNTS, compressed=True), 0.005, 500.0),
    "ishne": (ishne(COUNTS), 0.0025, 200.0),
    "scp": (scp(COUNTS), 0.0025, 500.0),
    "scp compressed": (scp(COUNTS, huffman=True), 0.0025, 500.0),
}


def save(folder, content: str | bytes):
    path = folder / "recording.bin"  # the name tells nothing
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def expect(record, counts, mv_per_count):
    for lead, values in counts.items():
        row = record.signal[record.leads.index(lead)]
        np.testing.assert_allclose(row, values * mv_per_count, atol=1e-6)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_is_recognised_and_read_in_millivolts(tmp_path, name):
    content, mv_per_count, rate = WRITTEN[name]
    record = read(save(tmp_path, content))
    assert (record.leads, record.sampling_rate_hz, record.flags) == (STANDARD_12, rate, ())
    expect(record, COUNTS, mv_per_count)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_patient_and_the_date_are_read(tmp_path, name):
    record = read(save(tmp_path, WRITTEN[name][0]))
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == (
        "recording",
        "P-7",
        45.0,
        "F",
    )
    assert record.recorded_at == datetime(2025, 3, 4, 9, 15)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "philips compressed"])
def test_leads_go_by_name_whatever_their_order(tmp_path, name):
    # Compressed Philips leads have one order only: their residuals are of the first two.
    backwards = dict(reversed(COUNTS.items()))
    writer = {"aecg": aecg, "muse": muse, "ishne": ishne, "scp": scp}.get(name.split()[0])
    content = philips(backwards, compressed=False) if writer is None else writer(backwards)
    expect(read(save(tmp_path, content)), COUNTS, WRITTEN[name][1])


@pytest.mark.parametrize("name", WRITTEN)
def test_a_missing_package_is_named(tmp_path, monkeypatch, name):
    path = save(tmp_path, WRITTEN[name][0])
    for parser in ("hl7_aecg", "ge_muse_xml", "sierra_xml", "ishne_holter", "scp_ecg"):
        monkeypatch.setitem(sys.modules, f"ecgdatakit.parsing.parsers.{parser}", None)
    with pytest.raises(
        ConfigError, match=r"is read with ecgdatakit, which is not installed; install anylead"
    ):
        read(path)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "ishne"])
def test_a_file_cut_off_is_refused(tmp_path, name):
    # Not ISHNE: writers state lengths of several kinds there, so it is read and flagged.
    content = WRITTEN[name][0]
    with pytest.raises(
        RecordFileError, match=r"ecgdatakit cannot decode this as .*; export the recording again"
    ):
        read(save(tmp_path, content[: len(content) * 2 // 3]))


# HL7 aECG


def test_aecg_applies_origin_scale_and_unit(tmp_path):
    record = read_aecg(save(tmp_path, aecg(COUNTS, scale="0.5", origin="-3", unit="mV")))
    expect(record, {"V2": COUNTS["V2"] * 0.5 - 3}, 1.0)


def test_aecg_keeps_a_rate_that_is_no_whole_number(tmp_path):
    record = read_aecg(save(tmp_path, aecg(COUNTS, increment="0.0039")))
    assert record.sampling_rate_hz == pytest.approx(1 / 0.0039)


def test_aecg_flags_a_second_series(tmp_path):
    record = read_aecg(save(tmp_path, aecg(COUNTS, extra=second_series(some_counts(seed=1)))))
    assert record.flags == ("series_left_out",)
    expect(record, COUNTS, 0.0025)


def test_aecg_beats_left_out_are_no_series(tmp_path):
    text = aecg(COUNTS)
    first, beats, last = re.split(r"(<derivation>.*</derivation>)", text, flags=re.DOTALL)
    assert read_aecg(save(tmp_path, first + beats + beats + last)).flags == ()


def test_aecg_without_a_unit_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"lead I has no usable scale .*accepted units are mV"):
        read_aecg(save(tmp_path, aecg(COUNTS, unit="")))


def test_aecg_leaves_out_a_channel_that_is_no_voltage(tmp_path):
    text = aecg(some_counts(("I", "RESP")))
    text = re.sub(r'(LEAD_RESP".*?)unit="uV"(.*?)unit="uV"', r'\1unit="Ohm"\2unit="Ohm"', text, count=1)
    record = read_aecg(save(tmp_path, text))
    assert (record.leads, record.flags) == (("I",), ("not_voltage:RESP",))


def test_a_file_without_any_voltage_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"no channel is in volts, so there is no ECG lead"):
        read_aecg(save(tmp_path, aecg(some_counts(("RESP",)), unit="Ohm")))


def test_what_makes_no_record_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"the sampling rate is 2 Hz; rates from 50"):
        read_aecg(save(tmp_path, aecg(COUNTS, increment="0.5")))


# XML that declares things

ENTITIES = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE AnnotatedECG SYSTEM "http://127.0.0.1/any.dtd">'


@pytest.mark.parametrize("declaration", [ENTITIES, EXTERNAL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_xml_with_entities_or_a_document_type_is_refused(tmp_path, declaration, encoding):
    text = aecg(COUNTS, before=declaration).replace("UTF-8", "UTF-16" if "16" in encoding else "UTF-8")
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(RecordFileError, match=r"declares entities or a document type"):
        read_aecg(path)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE RestingECG SYSTEM "http://127.0.0.1/restecg.dtd">',
        '<!DOCTYPE RestingECG SYSTEM "../../etc/passwd">',
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd" [<!ELEMENT a ANY>]>',
        '<!DOCTYPE RestingECG [<!ENTITY a "b">]>',
    ],
)
def test_muse_may_name_its_dtd_and_nothing_else(tmp_path, doctype):
    with pytest.raises(RecordFileError, match=r"declares entities or a document type"):
        read_muse(save(tmp_path, muse(COUNTS, doctype=doctype)))


def test_the_dtd_that_muse_names_is_never_opened(tmp_path):
    (tmp_path / "restecg.dtd").write_text('<!ENTITY stolen "opened">')
    path = save(tmp_path, muse(COUNTS).replace("P-7", "&stolen;"))
    with pytest.raises(RecordFileError, match=r"cannot decode this as GE MUSE XML"):
        read_muse(path)


def test_a_large_xml_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(clinical_xml, "MAXIMUM_XML_BYTES", 100)
    with pytest.raises(RecordFileError, match=r"the XML has \d+ bytes; up to 100 are read"):
        read_aecg(save(tmp_path, aecg(COUNTS)))


def test_an_xml_of_nothing_but_tags_is_refused_before_it_is_parsed(tmp_path):
    text = aecg(COUNTS, extra="<a/>" * clinical_xml.MAXIMUM_TAGS)
    with pytest.raises(RecordFileError, match=r"the XML has \d+ tags; up to 262144 are read"):
        read_aecg(save(tmp_path, text))


def test_an_xml_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"the file cannot be read \(No such file"):
        read_aecg(tmp_path / "absent.xml")


@pytest.mark.parametrize(
    ("head", "root"),
    [
        (b"<a/>", "a"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <b> -->\n<!DOCTYPE c SYSTEM "d">\n<n:a x="1">', "a"),
        ("<a >".encode("utf-16"), "a"),
        (b"a", None),
        (b"<!-- <a>", None),
        (b"", None),
    ],
)
def test_the_root_element_is_found(head, root):
    assert clinical_xml.root_element(head) == root


# GE MUSE


def test_muse_computes_the_limb_leads_it_does_not_store(tmp_path):
    stored = {lead: COUNTS[lead] for lead in reversed(INDEPENDENT_8)}
    record = read_muse(save(tmp_path, muse(stored)))
    assert record.leads == STANDARD_12
    assert record.flags == ("derived:III", "derived:aVR", "derived:aVL", "derived:aVF")
    one, two = COUNTS["I"], COUNTS["II"]
    limb = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    expect(record, {**stored, **limb}, 0.00488)


def test_muse_computes_nothing_from_one_lead_or_from_unequal_ones(tmp_path):
    assert read_muse(save(tmp_path, muse({"II": COUNTS["II"]}))).leads == ("II",)
    record = read_muse(save(tmp_path, muse({"I": COUNTS["I"], "II": COUNTS["II"][:30]})))
    assert record.leads == ("I", "II")
    assert np.isnan(record.signal[1, 30:]).all()


def test_muse_flags_what_it_leaves_out(tmp_path):
    text = muse(COUNTS, extra=muse_waveform(some_counts(seed=1)))
    text = text.replace("<LeadID>V1<", "<FirstSampleBaseline>7</FirstSampleBaseline><LeadID>V1<")
    text = text.replace("<LeadID>V2<", "<LeadDataCRC32>1</LeadDataCRC32><LeadID>V2<")
    record = read_muse(save(tmp_path, text))
    assert record.flags == ("waveform_left_out", "baseline_not_applied", "checksum_differs")
    expect(record, COUNTS, 0.00488)


def test_muse_without_a_unit_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"lead I has no usable scale"):
        read_muse(save(tmp_path, muse(COUNTS, unit="")))


# Philips


def test_philips_refuses_more_channels_than_there_can_be(tmp_path):
    text = re.sub(r'leadlabels="[^"]*"', "", philips(COUNTS, compressed=False, channels=10**12))
    with pytest.raises(RecordFileError, match=r"announces 1e\+12 channels; up to 64 are read"):
        read_philips(save(tmp_path, text))


def test_philips_refuses_compressed_leads_that_explode(tmp_path, monkeypatch):
    body = lzw(bytes(400_000))
    assert len(body) < 4_000
    monkeypatch.setattr(philips_module, "MAXIMUM_XLI_BYTES", 300_000)
    payload = struct.pack("<ihh", len(body), 0, 0) + body
    with pytest.raises(RecordFileError, match=r"grow beyond 300000 bytes"):
        read_philips(save(tmp_path, philips(COUNTS, compressed=True, payload=payload)))


def test_philips_leads_that_are_not_compressed_are_not_taken_for_it(tmp_path):
    text = philips(COUNTS, compressed=False).replace('"False"', '"False" compressmethod="XLI"')
    expect(read_philips(save(tmp_path, text)), COUNTS, 0.005)


def test_philips_refuses_a_chunk_of_no_size(tmp_path):
    payload = struct.pack("<ihh", 0, 0, 0) + xli(np.array(list(COUNTS.values())))
    with pytest.raises(RecordFileError, match=r"invalid size 0"):
        read_philips(save(tmp_path, philips(COUNTS, compressed=True, payload=payload)))


def test_philips_is_read_in_utf_16(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(philips(COUNTS, compressed=True).replace("UTF-8", "UTF-16").encode("utf-16"))
    expect(read(path), COUNTS, 0.005)


# ISHNE


def test_ishne_lead_faults_are_missing(tmp_path):
    counts = {"I": COUNTS["I"].copy(), "V5": COUNTS["V5"]}
    counts["I"][3:6] = -32768
    record = read_ishne(save(tmp_path, ishne(counts, nanovolts=1000)))
    assert np.flatnonzero(np.isnan(record.signal[0])).tolist() == [3, 4, 5]
    assert not np.isnan(record.signal[1]).any()


def test_ishne_channels_without_a_lead_code_are_not_called_lead_i(tmp_path):
    counts = some_counts(("a", "b", "c"))
    record = read_ishne(save(tmp_path, ishne(counts, codes=(0, 1, 5))))
    assert record.leads == ("channel 1", "channel 2", "I")


def test_ishne_flags_another_length_and_a_wrong_checksum(tmp_path):
    content = bytearray(ishne(COUNTS, declared=49))
    assert read_ishne(save(tmp_path, bytes(content))).flags == ("length_differs",)
    content[30] ^= 1
    assert read_ishne(save(tmp_path, bytes(content))).flags == ("length_differs", "checksum_differs")


def test_ishne_without_resolution_is_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"lead I has no usable scale"):
        read_ishne(save(tmp_path, ishne(COUNTS, nanovolts=0)))


# SCP-ECG


def test_scp_puts_leads_where_they_begin(tmp_path):
    counts = some_counts(("I", "V1"), 40)
    record = read_scp(save(tmp_path, scp(counts, starts={"I": 101, "V1": 121})))
    assert record.samples == 60
    np.testing.assert_allclose(record.signal[1, 20:], counts["V1"] * 0.0025, atol=1e-6)
    assert np.isnan(record.signal[1, :20]).all()
    assert np.isnan(record.signal[0, 40:]).all()


def test_scp_keeps_a_rate_that_is_no_whole_number(tmp_path):
    record = read_scp(save(tmp_path, scp(COUNTS, interval_us=3906)))
    assert record.sampling_rate_hz == pytest.approx(1e6 / 3906)


def test_scp_leads_far_apart_are_refused(tmp_path):
    with pytest.raises(RecordFileError, match=r"the leads span 40000\d+ samples and hold 100 in all"):
        read_scp(save(tmp_path, scp(some_counts(("I", "V1")), starts={"V1": 4_000_000_000})))


def test_scp_refuses_what_it_cannot_hold_before_allocating(tmp_path):
    with pytest.raises(RecordFileError, match=r"announce 4000000\d+ samples and the file has \d+ bytes"):
        read_scp(save(tmp_path, scp(COUNTS, huffman=True, ends={"V6": 4_000_000_000})))


def test_scp_refuses_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(scp_module, "MAXIMUM_SCP_BYTES", 100)
    with pytest.raises(RecordFileError, match=r"an SCP-ECG record of up to 100 is read"):
        read_scp(save(tmp_path, scp(COUNTS)))


def test_scp_leads_counted_from_zero_are_read(tmp_path):
    counted = scp(COUNTS, starts=dict.fromkeys(COUNTS, 0), ends=dict.fromkeys(COUNTS, 50))
    record = read_scp(save(tmp_path, counted))
    assert (record.samples, record.flags) == (50, ("counted_from_zero",))
    expect(record, COUNTS, 0.0025)


def test_scp_flags_a_wrong_checksum(tmp_path):
    content = bytearray(scp(COUNTS))
    content[0] ^= 1
    assert read_scp(save(tmp_path, bytes(content))).flags == ("checksum_differs",)
