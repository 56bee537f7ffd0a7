"""Writing DICOM ECG: one waveform object of 16-bit integers, by `pydicom`.

The narrowest of three objects that admits the recording: 12-lead (standard leads, 200 to 1,000 Hz, up to
16,384 samples), general (up to 24 leads, 200 to 1,000 Hz), ambulatory (up to 12 leads, 50 to 1,000 Hz).

Source: DICOM PS3.3 A.34.3, A.34.4, A.34.5 (objects) and C.10.9 (waveform module), PS3.16 CID 3001 (leads).
"""

from pathlib import Path
from typing import Any

import numpy as np

from anylead.errors import ConfigError, InputError
from anylead.formats.wfdb_writer import MISSING, stored_integers
from anylead.leads import STANDARD_12
from anylead.provenance import atomic_path
from anylead.record import Record

TWELVE_LEAD = "1.2.840.10008.5.1.4.1.1.9.1.1"
GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.2"
AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"

_CODES = dict(zip(STANDARD_12, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
_LABEL_CHARACTERS = 16
_MAXIMUM_SAMPLES = 16384


def write_dicom(record: Record, path: Path) -> None:
    """Writes a recording as a DICOM waveform object, with the patient and the date where known.

    A missing sample is the padding value. The age is in whole years, in months below two years.

    Raises:
        InputError: If no object admits the rate and the number of leads.
        ConfigError: If pydicom is not installed.
        FileError: If the disk refuses.
    """
    sop_class = _sop_class(record, path)
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    except ImportError as error:
        raise ConfigError(
            f"{path}: DICOM is written with pydicom, which is not installed; install anylead[formats]."
        ) from error
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = sop_class, generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.Modality, data.SeriesNumber, data.InstanceNumber = "ECG", 1, 1
    data.Manufacturer = "anylead"
    data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.AcquisitionContextSequence = []
    _add_patient(data, record)
    data.WaveformSequence = [_waveform(Dataset, record)]
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with atomic_path(path) as temporary:
        data.save_as(temporary, enforce_file_format=True)


def _sop_class(record: Record, path: Path) -> str:
    rate, leads = record.sampling_rate_hz, len(record.leads)
    if 200 <= rate <= 1000 and set(record.leads) <= set(STANDARD_12) and record.samples <= _MAXIMUM_SAMPLES:
        return TWELVE_LEAD
    if 200 <= rate <= 1000 and leads <= 24:
        return GENERAL
    if rate <= 1000 and leads <= 12:
        return AMBULATORY
    raise InputError(
        f"{path}: no DICOM ECG object admits {leads} leads at {rate:g} Hz; up to 24 at 200 to 1000 Hz and 12 "
        "at 50 to 1000 Hz are admitted: choose WFDB, CSV or Parquet, or fewer leads."
    )


def _add_patient(data: Any, record: Record) -> None:
    data.PatientName = data.PatientBirthDate = ""
    data.PatientID, data.PatientSex = record.patient_id or "", record.sex or ""
    if record.age_years is not None:
        months = record.age_years < 2
        data.PatientAge = (
            f"{int(record.age_years * 12 if months else record.age_years):03d}{'MY'[not months]}"
        )
    when = record.recorded_at
    data.StudyDate = data.ContentDate = "" if when is None else when.strftime("%Y%m%d")
    data.StudyTime = data.ContentTime = "" if when is None else when.strftime("%H%M%S")
    data.AcquisitionDateTime = "" if when is None else when.strftime("%Y%m%d%H%M%S")


def _waveform(dataset: Any, record: Record) -> Any:
    """Returns the multiplex group."""
    counts, gains = stored_integers(record)
    group = dataset()
    group.WaveformOriginality, group.MultiplexGroupLabel = "ORIGINAL", "RHYTHM"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = counts.shape
    group.SamplingFrequency = f"{record.sampling_rate_hz:.12g}"
    group.ChannelDefinitionSequence = [
        _channel(dataset, lead, number, gain)
        for number, (lead, gain) in enumerate(zip(record.leads, gains, strict=True), 1)
    ]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.add_new("WaveformPaddingValue", "OW", np.array(MISSING, "<i2").tobytes())
    group.add_new("WaveformData", "OW", np.ascontiguousarray(counts.T).astype("<i2").tobytes())
    return group


def _channel(dataset: Any, lead: str, number: int, gain: float) -> Any:
    channel = dataset()
    channel.WaveformChannelNumber = number
    if len(lead) <= _LABEL_CHARACTERS:
        channel.ChannelLabel = lead
    if lead in _CODES:
        source = _code(dataset, f"2:{_CODES[lead]}", "MDC", f"Lead {lead}")
    else:
        source = _code(dataset, f"channel {number}", "99ANYLEAD", lead)
    channel.ChannelSourceSequence = [source]
    channel.ChannelSensitivity = f"{1000 / gain:.10g}"
    channel.ChannelSensitivityUnitsSequence = [_code(dataset, "uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "0"
    channel.ChannelSampleSkew, channel.WaveformBitsStored = "0", 16
    return channel


def _code(dataset: Any, value: str, scheme: str, meaning: str) -> Any:
    code = dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
