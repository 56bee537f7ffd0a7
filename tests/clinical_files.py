"""Small valid files of hospital formats, written from the published layouts not by what reads them.

Every writer takes stored integers by lead, so a test can say what each sample has to become.
"""

import binascii
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anylead.leads import STANDARD_12

Counts = Mapping[str, np.ndarray]


def some_counts(
    leads: Sequence[str] = STANDARD_12, samples: int = 50, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns small integers, another sequence for each lead."""
    random = np.random.default_rng(seed)
    return {lead: random.integers(-400, 400, samples) for lead in leads}


# HL7 aECG: elements and codes of PORT_MT020001 (ANSI/HL7 V3 ECG, R1-2004)


def aecg(
    counts: Counts, *, scale="2.5", unit="uV", origin="0", increment="0.002", extra="", before=""
) -> str:
    """Returns an aECG with a rhythm series and one representative beat of other values."""
    rhythm = _sequence_set(counts, scale, unit, origin, increment)
    beat = _sequence_set(
        {lead: values[:5] * 0 + 7 for lead, values in counts.items()}, "5", unit, "0", increment
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>{before}
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<id root="1.2.3"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>
<effectiveTime><low value="20250304091500" inclusive="true"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
<id root="1.2.4" extension="P-7"/>
<subjectDemographicPerson><administrativeGenderCode code="F"/><birthTime value="19800101"/>
</subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>{rhythm}
<derivation><derivedSeries><code code="REPRESENTATIVE_BEAT" codeSystem="2.16.840.1.113883.5.4"/>{beat}
</derivedSeries></derivation></series></component>{extra}
</AnnotatedECG>"""


def _sequence_set(counts: Counts, scale: str, unit: str, origin: str, increment: str) -> str:
    leads = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/>'
        f'<scale value="{scale}" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, values))}</digits></value></sequence></component>"
        for lead, values in counts.items()
    )
    return (
        '<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/>'
        '<value xsi:type="GLIST_TS"><head value="20250304091500.000"/>'
        f'<increment value="{increment}" unit="s"/></value></sequence></component>'
        f"{leads}</sequenceSet></component>"
    )


def second_series(counts: Counts) -> str:
    """Returns one more rhythm series for `aecg`."""
    body = _sequence_set(counts, "2.5", "uV", "0", "0.002")
    return f'<component><series><code code="RHYTHM"/>{body}</series></component>'


# GE MUSE: elements of restecg.dtd as its exports have them

MUSE_DOCTYPE = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">'


def muse(counts: Counts, *, doctype=MUSE_DOCTYPE, unit="MICROVOLTS", extra="") -> str:
    """Returns a MUSE export at 4.88 µV a bit and 500 Hz, with a median waveform of other values."""
    median = {lead: np.full(20, 9) for lead in counts}
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
{doctype}
<RestingECG>
<MuseInfo><MuseVersion>9.0</MuseVersion></MuseInfo>
<PatientDemographics><PatientID>P-7</PatientID><PatientAge>45</PatientAge><AgeUnits>YEARS</AgeUnits>
<Gender>FEMALE</Gender></PatientDemographics>
<TestDemographics><AcquisitionTime>09:15:00</AcquisitionTime><AcquisitionDate>03-04-2025</AcquisitionDate>
</TestDemographics>
{_muse_waveform("Median", median, unit)}{_muse_waveform("Rhythm", counts, unit)}{extra}
</RestingECG>"""


def _muse_waveform(kind: str, counts: Counts, unit: str) -> str:
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>{2 * len(values)}</LeadByteCountTotal>"
        f"<LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits>"
        f"<LeadID>{lead}</LeadID><LeadSampleSize>2</LeadSampleSize>"
        f"<WaveFormData>{b64encode(values.astype('<i2').tobytes()).decode()}</WaveFormData></LeadData>"
        for lead, values in counts.items()
    )
    return (
        f"<Waveform><WaveformType>{kind}</WaveformType><SampleType>CONTINUOUS_SAMPLES</SampleType>"
        f"<SampleBase>500</SampleBase><SampleExponent>0</SampleExponent>{leads}</Waveform>"
    )


def muse_waveform(counts: Counts) -> str:
    """Returns one more rhythm waveform for `muse`."""
    return _muse_waveform("Rhythm", counts, "MICROVOLTS")


# Philips Sierra 1.04: elements of its published schema; XLI as the sierraecg project describes it


def philips(counts: Counts, *, compressed: bool, channels: object = 12, payload: bytes | None = None) -> str:
    """Returns a Philips export at 5 µV a count and 500 Hz."""
    samples = len(next(iter(counts.values())))
    rows = np.array([counts[lead] for lead in counts])
    if payload is None:
        payload = xli(rows) if compressed else rows.astype("<i2").tobytes()
    how = (
        'compressflag="True" compressmethod="XLI" compression="XLI"' if compressed else 'compressflag="False"'
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>SierraECG</documenttype><documentversion>1.04</documentversion></documentinfo>
<patient><generalpatientdata><patientid>P-7</patientid><age><years>45</years></age><sex>Female</sex>
</generalpatientdata></patient>
<dataacquisition date="2025-03-04" time="09:15:00"><signalcharacteristics><samplingrate>500</samplingrate>
<resolution>5</resolution><numberchannelsallocated>{channels}</numberchannelsallocated>
<acquisitiontype>STD-12</acquisitiontype></signalcharacteristics></dataacquisition>
<waveforms><parsedwaveforms dataencoding="Base64" {how} durationperchannel="{2 * samples}"
samplespersecond="500" resolution="5" numberofleads="{len(counts)}" leadlabels="{" ".join(counts)}">
{b64encode(payload).decode()}</parsedwaveforms></waveforms>
</restingecgdata>"""


def xli(rows: np.ndarray) -> bytes:
    """Compresses twelve leads in standard order: residuals of the limb leads, second differences, LZW."""
    one, two, three, right, left, foot = (row.astype(int) for row in rows[:6])
    stored = [one, two, two - one - three, -right - (one + two) // 2]
    stored += [(one - three) // 2 - left, (two + three) // 2 - foot, *rows[6:].astype(int)]
    return b"".join(_xli_chunk(lead) for lead in stored)


def _xli_chunk(lead: np.ndarray) -> bytes:
    steps = 2 * lead[1:-1] - lead[:-2] - lead[2:]  # what the decoder subtracts from its extrapolation
    words = np.concatenate([lead[:2], steps[1:] + 64, [64]]).astype(np.int16).astype(">i2")
    plain = words.view(np.uint8).reshape(-1, 2)
    body = lzw(plain[:, 0].tobytes() + plain[:, 1].tobytes())
    return struct.pack("<ihh", len(body), 0, int(steps[0])) + body


def lzw(data: bytes) -> bytes:
    """Compresses with codes of ten bits, the first bit first."""
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in data:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) <= 1022:
            table[longer] = len(table)
        word = bytes([value])
    bits = "".join(f"{code:010b}" for code in [*codes, table[word]])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# ISHNE: Table of Badilini 1998

ISHNE_CODES = {lead: code for code, lead in enumerate(STANDARD_12, 5)}


def ishne(
    counts: Counts, *, nanovolts: int = 2500, declared: int | None = None, codes: Sequence[int] = ()
) -> bytes:
    """Returns an ISHNE Holter file at 200 Hz."""
    rows = np.array([counts[lead] for lead in counts])
    specs = list(codes) or [ISHNE_CODES[lead] for lead in counts]
    count = len(specs)
    comment = b"hand-built"
    fixed = struct.pack(
        "<iiii", len(comment), rows.shape[1] if declared is None else declared, 522, 522 + len(comment)
    )
    fixed += struct.pack("<h40s40s20sHH", 1, b"Ada", b"Test", b"P-7", 2, 0)
    fixed += struct.pack("<9h", 4, 3, 1980, 4, 3, 2025, 5, 3, 2025)  # born, recorded, written: day first
    fixed += struct.pack("<3hh", 9, 15, 0, count)
    for values in (specs, [1] * count, [nanovolts] * count):
        fixed += struct.pack("<12h", *values, *[-9] * (12 - count))
    fixed += struct.pack("<h40sh80s80s88s", 0, b"digital", 200, b"", b"", b"")
    assert len(fixed) == 512
    header = fixed + comment
    crc = binascii.crc_hqx(header, 0xFFFF)
    return b"ISHNE1.0" + struct.pack("<H", crc) + header + rows.T.astype("<i2").tobytes()


# SCP-ECG: sections of EN 1064, little-endian

SCP_CODES = dict(zip(STANDARD_12, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


def scp(
    counts: Counts,
    *,
    starts: Mapping[str, int] | None = None,
    interval_us: int = 2000,
    huffman: bool = False,
    ends: Mapping[str, int] | None = None,
) -> bytes:
    """Returns an SCP-ECG record at 2.5 µV a count.

    Args:
        counts: Stored integers.
        starts: First sample of a lead, from 1.
        interval_us: Microseconds between samples.
        huffman: Second differences in the default code instead of plain integers.
        ends: Last sample to announce instead of the true one.
    """
    starts, ends = starts or {}, ends or {}
    encoded = [_huffman(values) if huffman else values.astype("<i2").tobytes() for values in counts.values()]
    tags = [(2, b"P-7\0"), (4, struct.pack("<HB", 45, 1)), (8, b"\x02")]
    tags += [(25, struct.pack("<HBB", 2025, 3, 4)), (26, bytes([9, 15, 0])), (255, b"")]
    sections = {1: b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags)}
    if huffman:
        sections[2] = struct.pack("<H", 19999)
    sections[3] = struct.pack("<BB", len(counts), 4 | len(counts) << 3)
    for lead, values in counts.items():
        start = starts.get(lead, 1)
        end = ends.get(lead, start + len(values) - 1)
        sections[3] += struct.pack("<IIB", start, end, SCP_CODES[lead])
    sections[6] = struct.pack("<HHBB", 2500, interval_us, 2 if huffman else 0, 0)
    sections[6] += struct.pack(f"<{len(encoded)}H", *map(len, encoded)) + b"".join(encoded)
    return _scp_record(sections)


def _scp_record(sections: Mapping[int, bytes]) -> bytes:
    padded = {number: body + b"\0" * (len(body) % 2) for number, body in sections.items()}
    length0 = 16 + 10 * (len(padded) + 1)
    pointers, index = struct.pack("<HII", 0, length0, 7), 7 + length0
    for number, body in padded.items():
        pointers += struct.pack("<HII", number, 16 + len(body), index)
        index += 16 + len(body)
    content = b"".join(_scp_section(number, body) for number, body in {0: pointers, **padded}.items())
    sized = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", binascii.crc_hqx(sized, 0xFFFF)) + sized


def _scp_section(number: int, body: bytes) -> bytes:
    reserved = b"SCPECG" if number == 0 else b"\0" * 6
    checked = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(checked, 0xFFFF)) + checked


def _huffman(values: np.ndarray) -> bytes:
    differences = [*values[:2], *(values[2:] - 2 * values[1:-1] + values[:-2])]
    bits = "".join(_scp_code(int(value)) for value in differences)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _scp_code(value: int) -> str:
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value < 128:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


# DICOM: written by pydicom


def dicom_group(counts: Counts, *, label: str = "RHYTHM", rate: float = 500, offset_ms: float = 0, **options):
    """Returns a multiplex group of 16-bit samples at 1.25 µV a count.

    Args:
        counts: Stored integers.
        label: Of the group.
        rate: Samples a second.
        offset_ms: Of the group.
        options: ``unit``, ``sensitivity``, ``correction``, ``baseline``, ``padding``; ``meanings`` and
            ``codes`` replace those of the leads.
    """
    from pydicom.dataset import Dataset

    group = Dataset()
    group.MultiplexGroupTimeOffset, group.MultiplexGroupLabel = offset_ms, label
    group.WaveformOriginality = "ORIGINAL"
    rows = np.array([counts[lead] for lead in counts])
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = rows.shape
    group.SamplingFrequency = rate
    meanings = options.get("meanings") or [f"Lead {lead}" for lead in counts]
    codes = options.get("codes") or [f"2:{SCP_CODES.get(lead, 999)}" for lead in counts]
    group.ChannelDefinitionSequence = [
        _dicom_channel(meaning, code, options) for meaning, code in zip(meanings, codes, strict=True)
    ]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    if "padding" in options:
        group.WaveformPaddingValue = struct.pack("<h", options["padding"])
    group.WaveformData = rows.T.astype("<i2").tobytes()
    return group


def _dicom_channel(meaning: str, code: str, options: Mapping):
    from pydicom.dataset import Dataset

    channel, source, unit = Dataset(), Dataset(), Dataset()
    source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = code, "MDC", meaning
    channel.ChannelSourceSequence = [source]
    channel.ChannelSensitivity = options.get("sensitivity", "1.25")
    unit.CodeValue, unit.CodingSchemeDesignator = options.get("unit", "uV"), "UCUM"
    unit.CodeMeaning = "microvolt"
    channel.ChannelSensitivityUnitsSequence = [unit]
    channel.ChannelSensitivityCorrectionFactor = options.get("correction", "1")
    channel.ChannelBaseline = options.get("baseline", "0")
    channel.WaveformBitsStored = 16
    return channel


def write_dicom(
    path: Path,
    *groups,
    syntax: str = "1.2.840.10008.1.2.1",
    sop_class: str = "1.2.840.10008.5.1.4.1.1.9.1.1",
) -> Path:
    """Writes a DICOM waveform object, twelve-lead and explicit little endian unless told otherwise."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = sop_class, generate_uid(), "ECG"
    data.PatientID, data.PatientAge, data.PatientSex = "P-7", "045Y", "F"
    data.AcquisitionDateTime = "20250304091500"
    data.WaveformSequence = list(groups)
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.save_as(path, enforce_file_format=True)
    return path
