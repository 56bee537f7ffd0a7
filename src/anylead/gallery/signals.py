"""Prepared recordings as bytes, to be drawn and to be embedded by another model."""

import json
import struct
import zlib
from datetime import datetime

import numpy as np

from anylead.errors import GalleryError
from anylead.record import Record
from anylead.store.quantise import dequantise, quantise

_MAGIC = b"ALS1"
_HEAD = struct.Struct("<4sII")


def pack_signal(record: Record) -> bytes:
    """Packs a recording into bytes: counts of 16 bits, compressed, with all that `Record` says of it.

    The bytes hold the ids of the recording and the patient, so they are as personal as the recording.
    What comes back is within half a microvolt where the lead stays within ±32.767 mV.
    """
    counts, scale_mv = quantise(record.signal)
    header = {
        "leads": list(record.leads),
        "samples": record.samples,
        "sampling_rate_hz": record.sampling_rate_hz,
        "scale_mv": [float(scale) for scale in scale_mv],
        "record_id": record.record_id,
        "patient_id": record.patient_id,
        "recorded_at": record.recorded_at.isoformat() if record.recorded_at else None,
        "age_years": record.age_years,
        "sex": record.sex,
        "flags": list(record.flags),
    }
    text = json.dumps(header).encode()
    body = text + zlib.compress(counts.astype("<i2").tobytes(), 1)
    return _HEAD.pack(_MAGIC, len(text), zlib.crc32(body, len(text))) + body


def unpack_signal(packed: bytes) -> Record:
    """Returns the recording that `pack_signal` packed.

    Raises:
        GalleryError: If the bytes are damaged or of another format.
    """
    damaged = "signal: the kept recording is damaged; restore an export of the gallery."
    if len(packed) < _HEAD.size:
        raise GalleryError(damaged)
    magic, length, checksum = _HEAD.unpack_from(packed)
    body = packed[_HEAD.size :]
    if magic != _MAGIC or zlib.crc32(body, length) != checksum:
        raise GalleryError(damaged)
    header = json.loads(body[:length])
    shape = (len(header["leads"]), header["samples"])
    counts = np.frombuffer(zlib.decompress(body[length:]), "<i2").astype(np.int16).reshape(shape)
    recorded_at = header["recorded_at"]
    return Record(
        signal=dequantise(counts, np.array(header["scale_mv"], np.float32)),
        leads=tuple(header["leads"]),
        sampling_rate_hz=header["sampling_rate_hz"],
        record_id=header["record_id"],
        patient_id=header["patient_id"],
        recorded_at=datetime.fromisoformat(recorded_at) if recorded_at else None,
        age_years=header["age_years"],
        sex=header["sex"],
        flags=tuple(header["flags"]),
    )
