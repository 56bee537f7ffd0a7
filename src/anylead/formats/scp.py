"""SCP-ECG (``.scp``): the rhythm data of a resting ECG, decoded by `ecgdatakit`.

Four things are set right: leads that begin at different samples are put there, leads that a writer counted
from 0 are read, the sampling rate is that of the interval in microseconds and not the nearest hertz, and what
the lead definitions announce is compared with the bytes there are before anything is allocated. Reference
beats are used where they were subtracted, and otherwise left out.

Source: EN 1064 / ISO 11073-91064, sections 0 (pointers), 3 (lead definition) and 6 (rhythm data).
"""

import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anylead.errors import RecordFileError
from anylead.formats.base import Format, missing_package
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.record import Record

if TYPE_CHECKING:
    from ecgdatakit.models import ECGRecord
    from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

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

    The record is flagged ``checksum_differs`` where a section does not match its checksum, and
    ``counted_from_zero`` where its leads were counted so (they are from 1 in the standard).

    Raises:
        RecordFileError: If it is truncated, contradictory, too large, or has no amplitude.
        ConfigError: If `ecgdatakit` is not installed.
    """
    try:
        from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser
    except ImportError as error:
        raise missing_package(path, "SCP-ECG", "ecgdatakit") from error
    with decoding(path, "SCP-ECG", "ecgdatakit"):
        content = _content(path)
        leads = _leads(content)
        _check_announced(path, leads, len(content))
        from_zero = bool(leads) and all(start == 0 for _, start, _ in leads)
        parsed = _parse(SCPECGParser(), _counted_from_one(content, leads) if from_zero else content)
        starts = [int(lead.annotations.get("start_sample", 1)) - 1 for lead in parsed.leads]
        first = min(starts)
        channels, flags = channels_of(path, parsed.leads, starts=[start - first for start in starts])
        rate = 1e6 / int(parsed.raw_metadata["rhythm_sample_interval_us"])
    if from_zero:
        flags += ("counted_from_zero",)  # the checksum is that of the file before it was set right
    elif not parsed.raw_metadata["checksum_valid"]:
        flags += ("checksum_differs",)
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAXIMUM_SCP_BYTES:
        raise RecordFileError(
            f"{path}: the file has {size} bytes; an SCP-ECG record of up to {MAXIMUM_SCP_BYTES} is read: "
            "export long recordings in another format."
        )
    return path.read_bytes()


def _parse(parser: "SCPECGParser", content: bytes) -> "ECGRecord":
    with tempfile.TemporaryDirectory() as folder:  # the parser takes a path
        copy = Path(folder) / "record.scp"
        copy.write_bytes(content)
        return parser.parse(copy)


def _check_announced(path: Path, leads: list[tuple[int, int, int]], size: int) -> None:
    """Refuses leads that announce more samples than there are bits; the shortest code is one bit."""
    announced = sum(max(end - start + 1, 0) for _, start, end in leads)
    if announced > 8 * size:
        raise RecordFileError(
            f"{path}: the leads announce {announced} samples and the file has {size} bytes; "
            "it is cut off or damaged: copy it again."
        )


def _leads(content: bytes) -> list[tuple[int, int, int]]:
    """Returns where each lead of section 3 is defined, and its first and last sample."""
    offset, length = _section(content, 3)
    count = content[offset] if length else 0
    places = [offset + 2 + _LEAD.size * row for row in range(min(count, (length - 2) // _LEAD.size))]
    return [(place, *_LEAD.unpack_from(content, place)[:2]) for place in places]


def _counted_from_one(content: bytes, leads: list[tuple[int, int, int]]) -> bytes:
    """Returns the content with the first sample of every lead set from 0 to 1; the last stays."""
    counted = bytearray(content)
    for place, _, _ in leads:
        struct.pack_into("<I", counted, place, 1)
    return bytes(counted)


def _section(content: bytes, wanted: int) -> tuple[int, int]:
    """Returns where the body of a section begins and how long it is in the file; (0, 0) if there is none."""
    found = (0, 0)
    (length,) = struct.unpack_from("<I", content, 10)
    end = min(_PREAMBLE_BYTES + length, len(content)) - _POINTER.size
    for offset in range(_PREAMBLE_BYTES + _SECTION_HEADER_BYTES, end + 1, _POINTER.size):
        section, size, index = _POINTER.unpack_from(content, offset)
        if section == wanted and size and index:
            begin = index - 1 + _SECTION_HEADER_BYTES
            found = (begin, max(min(index - 1 + size, len(content)) - begin, 0))
    return found


FORMAT = Format(name="SCP-ECG (.scp)", recognises=recognises, read=read_scp)
