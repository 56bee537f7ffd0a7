"""ISHNE Holter files (``.ecg``), decoded by `ecgdatakit`.

Three things are set right: -32768 marks a faulty lead and is a missing sample, a channel without a lead code
is ``channel 1`` and not ``Lead 1`` (which would be lead I), and a file shorter than it says is flagged.

Source: Badilini, The ISHNE Holter standard output file format, Ann. Noninvasive Electrocardiol. 3 (1998) 263.
"""

from dataclasses import replace
from pathlib import Path

from anylead.formats.base import Format, check_values, missing_package
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.record import Record

MAGIC = b"ISHNE1.0"
MISSING = -32768
"""What the standard proposes for a lead fault."""

_NAMED_CODES = range(2, 20)
"""Codes of Table 1 that name a lead; 0 is unknown, 1 is generic bipolar, -9 is absent."""


def recognises(head: bytes, path: Path) -> bool:
    """Says whether the file begins with the standard's magic word."""
    return head.startswith(MAGIC)


def read_ishne(path: Path) -> Record:
    """Reads an ISHNE Holter file.

    The record is flagged ``length_differs`` where the header states another number of samples than the file
    holds, and ``checksum_differs`` where its header does not match its checksum.

    Raises:
        RecordFileError: If it is unreadable, contradictory, or a lead has no resolution.
        ConfigError: If `ecgdatakit` is not installed.
    """
    try:
        from ecgdatakit.parsing.parsers.ishne_holter import ISHNEHolterParser
    except ImportError as error:
        raise missing_package(path, "ISHNE Holter", "ecgdatakit") from error
    with decoding(path, "ISHNE Holter", "ecgdatakit"):
        check_values(path, path.stat().st_size // 2)
        parsed = ISHNEHolterParser().parse(path)
        facts = parsed.raw_metadata
        leads = [
            lead if code in _NAMED_CODES else replace(lead, label=f"channel {number}")
            for number, (lead, code) in enumerate(zip(parsed.leads, facts["lead_spec"], strict=True), 1)
        ]
        channels, flags = channels_of(path, leads, missing=MISSING)
        rate = float(parsed.leads[0].sampling_rate)
    if facts["ecg_size"] != facts["samples_per_lead"]:
        flags += ("length_differs",)
    if facts["checksum_valid"] is False:
        flags += ("checksum_differs",)
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


FORMAT = Format(name="ISHNE Holter (.ecg)", recognises=recognises, read=read_ishne)
