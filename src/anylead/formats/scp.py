"""SCP-ECG (``.scp``): the rhythm data of a resting ECG, decoded by `ecgdatakit`.

Three things are set right: leads that begin at different samples are put there, the sampling rate is that
of the interval in microseconds and not the nearest hertz, and what the lead definitions announce is compared
with the bytes there are before anything is allocated. Reference beats are used where they were subtracted,
and otherwise left out.

Source: EN 1064 / ISO 11073-91064, sections 0 (pointers), 3 (lead definition) and 6 (rhythm data).
"""

import struct
from pathlib import Path

from anylead.errors import RecordFileError
from anylead.formats.base import Format
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.record import Record

MAXIMUM_SCP_BYTES = 2 * 2**20
"""A lead holds at most 65,535 bytes of rhythm data: this is 32 full ones."""

_PREAMBLE_BYTES = 6
_SECTION_HEADER_BYTES = 16
_POINTER = struct.Struct("<HII")
_LEAD = struct.Struct("<IIB")


def recognises(head: bytes, path: Path) -> bool:
    """Says whether the file begins with a section 0 that points to itself, at byte 7."""
    if len(head) < 32:
        return False
    section, length = struct.unpack_from("<HI", head, 8)
    pointed, _, index = _POINTER.unpack_from(head, _PREAMBLE_BYTES + _SECTION_HEADER_BYTES)
    return (section, pointed, index) == (0, 0, 7) and length >= 26 and (length - 16) % 10 == 0


def read_scp(path: Path) -> Record:
    """Reads the rhythm data of an SCP-ECG record.

    The record is flagged ``checksum_differs`` where a section does not match its checksum.

    Raises:
        RecordFileError: If it is truncated, contradictory, too large, or has no amplitude.
        ConfigError: If `ecgdatakit` is not installed.
    """
    with decoding(path, "SCP-ECG", "ecgdatakit"):
        from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

        _check_announced(path)
        parsed = SCPECGParser().parse(path)
        starts = [int(lead.annotations.get("start_sample", 1)) - 1 for lead in parsed.leads]
        first = min(starts)
        channels, flags = channels_of(path, parsed.leads, starts=[start - first for start in starts])
        rate = 1e6 / int(parsed.raw_metadata["rhythm_sample_interval_us"])
    if not parsed.raw_metadata["checksum_valid"]:
        flags += ("checksum_differs",)
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


def _check_announced(path: Path) -> None:
    """Refuses leads that announce more samples than there are bits; the shortest code is one bit."""
    size = path.stat().st_size
    if size > MAXIMUM_SCP_BYTES:
        raise RecordFileError(
            f"{path}: the file has {size} bytes; an SCP-ECG record of up to {MAXIMUM_SCP_BYTES} is read: "
            "export long recordings in another format."
        )
    content = path.read_bytes()
    definition = _section(content, 3)
    count = definition[0] if definition else 0
    available = (len(definition) - 2) // _LEAD.size
    leads = [_LEAD.unpack_from(definition, 2 + _LEAD.size * row) for row in range(min(count, available))]
    announced = sum(max(end - start + 1, 0) for start, end, _ in leads)
    if announced > 8 * size:
        raise RecordFileError(
            f"{path}: the leads announce {announced} samples and the file has {size} bytes; "
            "it is cut off or damaged: copy it again."
        )


def _section(content: bytes, wanted: int) -> bytes:
    """Returns the body of the last section of a number that section 0 points to; empty if there is none."""
    body = b""
    (length,) = struct.unpack_from("<I", content, 10)
    end = min(_PREAMBLE_BYTES + length, len(content)) - _POINTER.size
    for offset in range(_PREAMBLE_BYTES + _SECTION_HEADER_BYTES, end + 1, _POINTER.size):
        section, size, index = _POINTER.unpack_from(content, offset)
        if section == wanted and size and index:
            body = content[index - 1 + _SECTION_HEADER_BYTES : index - 1 + size]
    return body


FORMAT = Format(name="SCP-ECG (.scp)", recognises=recognises, read=read_scp)
