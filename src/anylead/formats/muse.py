"""GE MUSE XML: the rhythm waveform of a resting ECG, decoded by `ecgdatakit`.

MUSE stores I, II and V1 to V6 and computes the other four limb leads when it draws them; they are computed
here as well and flagged ``derived:<lead>``. The median waveform is left out.

Source: restecg.dtd as its exports name it; limb leads after Einthoven and Goldberger.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from anylead.formats.base import Format, missing_package
from anylead.formats.channels import Channel
from anylead.formats.clinical_xml import check_xml, root_element
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.leads import FROM_I_AND_II, STANDARD_12
from anylead.record import Record

_DOCTYPE = re.compile(rb"<!DOCTYPE\s+RestingECG\s+SYSTEM\s+(?:\"[\w.-]+\"|'[\w.-]+')\s*>", re.IGNORECASE)
"""Every export begins with it: a DTD by its bare name, with no declarations of its own."""


def recognises(head: bytes, path: Path) -> bool:
    """Says whether the root element is ``RestingECG``."""
    return (root_element(head) or "").lower() == "restingecg"


def read_muse(path: Path) -> Record:
    """Reads the rhythm waveform of a MUSE export.

    Further rhythm waveforms are left out and the record is flagged ``waveform_left_out``. A baseline that
    the file states for a lead (``FirstSampleBaseline``, whose meaning is not published) is not applied and
    the record is flagged ``baseline_not_applied``.

    Raises:
        RecordFileError: If it is malformed, declares entities, or has no lead with a scale in volts.
        ConfigError: If `ecgdatakit` is not installed.
    """
    try:
        from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
    except ImportError as error:
        raise missing_package(path, "GE MUSE XML", "ecgdatakit") from error
    check_xml(path, doctype=_DOCTYPE)
    with decoding(path, "GE MUSE XML", "ecgdatakit") as heard:
        parsed = GEMuseXMLParser().parse(path)
        channels, flags = channels_of(path, parsed.leads)
        rate = float(parsed.leads[0].sampling_rate)
    flags += tuple(
        flag
        for flag, words in (
            ("waveform_left_out", "Additional rhythm"),
            ("baseline_not_applied", "was not applied"),
            ("checksum_differs", "CRC32 mismatch"),
        )
        if any(words in message for message in heard)
    )
    derived = _derived(channels)
    flags += tuple(f"derived:{channel.name}" for channel in derived)
    order = {lead: row for row, lead in enumerate(STANDARD_12)}
    channels = sorted([*channels, *derived], key=lambda channel: order.get(channel.name, len(order)))
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


def _derived(channels: Sequence[Channel]) -> list[Channel]:
    """Returns the limb leads that follow from I and II and are not among the channels."""
    stored = {channel.name: channel for channel in channels}
    if not {"I", "II"} <= set(stored):
        return []
    one, two = stored["I"].millivolts, stored["II"].millivolts
    if one.size != two.size:
        return []
    return [
        Channel(name=name, millivolts=of_one * one + of_two * two)
        for name, (of_one, of_two) in FROM_I_AND_II.items()
        if name not in stored
    ]


FORMAT = Format(name="GE MUSE XML (.xml)", recognises=recognises, read=read_muse)
