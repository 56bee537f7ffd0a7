"""Philips Sierra XML (PageWriter, TraceMasterVue, IntelliSpace ECG), decoded by `ecgdatakit`.

Samples are 16-bit integers in Base64, or the same compressed by XLI (LZW over differences, with III, aVR, aVL
and aVF as residuals of I and II). What the file announces is checked before it is decoded: LZW grows up to
six hundred times, and names of channels are made before channels are counted.
"""

from base64 import b64decode
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from anylead.errors import RecordFileError
from anylead.formats.base import Format, missing_package
from anylead.formats.clinical_xml import check_xml, root_element
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.record import Record

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from ecgdatakit.parsing.codecs.lzw import LzwDecoder

MAXIMUM_CHANNELS = 64
MAXIMUM_XLI_BYTES = 4 * 2**20
"""Of decompressed data: twelve leads of three minutes at 1,000 Hz."""

_XLI_HEADER_BYTES = 8
_SAYS_NO = ("false", "no", "f", "0")


def recognises(head: bytes, path: Path) -> bool:
    """Says whether the root element is ``restingecgdata``."""
    return root_element(head) == "restingecgdata"


def read_philips(path: Path) -> Record:
    """Reads the rhythm leads of a Philips export, compressed or not.

    Raises:
        RecordFileError: If it is malformed, declares entities, announces more than it can hold, or has no
            lead with a scale in volts.
        ConfigError: If `ecgdatakit` is not installed.
    """
    try:
        from ecgdatakit.parsing.codecs.lzw import LzwDecoder
        from ecgdatakit.parsing.helpers.xml import parse_xml_root
        from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser
    except ImportError as error:
        raise missing_package(path, "Philips Sierra XML", "ecgdatakit") from error
    content = check_xml(path)
    with decoding(path, "Philips Sierra XML", "ecgdatakit"):
        _check_announced(path, parse_xml_root(content), LzwDecoder)
        parsed = SierraXMLParser().parse(path)
        channels, flags = channels_of(path, parsed.leads)
        rate = float(parsed.leads[0].sampling_rate)
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


def _check_announced(path: Path, root: "Element", lzw: "type[LzwDecoder]") -> None:
    for tag in ("numberchannelsallocated", "numberchannelsvalid"):
        for element in root.iter(tag):
            count = float((element.text or "0").strip() or 0)
            if not isfinite(count) or count > MAXIMUM_CHANNELS:
                raise RecordFileError(
                    f"{path}: the file announces {count:g} channels; up to {MAXIMUM_CHANNELS} are read: "
                    "check the file."
                )
    for element in root.iter("parsedwaveforms"):
        method = element.get("compression") or element.get("compressmethod") or ""
        if method.upper() == "XLI" and element.get("compressflag", "").lower() not in _SAYS_NO:
            _check_xli(path, b64decode("".join((element.text or "").split())), lzw)


def _check_xli(path: Path, data: bytes, lzw: "type[LzwDecoder]") -> None:
    grown = 0
    for chunk in _xli_chunks(data):
        decoder = lzw(chunk, bits=10)
        while decoder.read() >= 0:
            grown += 1
            if grown > MAXIMUM_XLI_BYTES:
                raise RecordFileError(
                    f"{path}: the compressed leads grow beyond {MAXIMUM_XLI_BYTES} bytes, more than any "
                    "resting ECG; export it uncompressed."
                )


def _xli_chunks(data: bytes) -> Iterator[bytes]:
    """Yields the compressed body of each lead; stops at the first size that cannot be."""
    offset = 0
    while offset + _XLI_HEADER_BYTES <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "little", signed=True)
        offset += _XLI_HEADER_BYTES
        if size <= 0:
            return
        yield data[offset : offset + size]
        offset += size


FORMAT = Format(name="Philips Sierra XML (.xml)", recognises=recognises, read=read_philips)
