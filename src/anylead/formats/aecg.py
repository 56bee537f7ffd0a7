"""HL7 annotated ECG (aECG), the XML of drug trials: the rhythm series, decoded by `ecgdatakit`.

Representative beats are left out. Every lead is a list of integers with an origin and a scale, every series
has one time increment.

Source: ANSI/HL7 V3 ECG, R1-2004 (PORT_MT020001).
"""

from pathlib import Path

from anylead.formats.base import Format, missing_package
from anylead.formats.clinical_xml import check_xml, root_element
from anylead.formats.decoding import decoding
from anylead.formats.ecgdatakit_record import channels_of, record_of
from anylead.record import Record


def recognises(head: bytes, path: Path) -> bool:
    """Says whether the root element is ``AnnotatedECG``."""
    return root_element(head) == "AnnotatedECG"


def read_aecg(path: Path) -> Record:
    """Reads the first rhythm series of an aECG.

    Where there are several, or several sets of sequences, the record is flagged ``series_left_out``.

    Raises:
        RecordFileError: If it is malformed, declares entities, or has no lead with a scale in volts.
        ConfigError: If `ecgdatakit` is not installed.
    """
    try:
        from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
    except ImportError as error:
        raise missing_package(path, "HL7 aECG", "ecgdatakit") from error
    check_xml(path)
    with decoding(path, "HL7 aECG", "ecgdatakit") as heard:
        parsed = HL7aECGParser().parse(path)
        rate = float(parsed.raw_metadata["rhythm_time"]["sampling_rate_exact"])
        channels, flags = channels_of(path, parsed.leads)
    if any("rhythm series" in message and "only the first is read" in message for message in heard):
        flags += ("series_left_out",)
    return record_of(path, parsed, channels, sampling_rate_hz=rate, flags=flags)


FORMAT = Format(name="HL7 aECG (.xml)", recognises=recognises, read=read_aecg)
