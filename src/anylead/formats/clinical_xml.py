"""What every XML of an electrocardiograph has to pass before it is parsed."""

import re
from pathlib import Path

from anylead.errors import RecordFileError

MAXIMUM_XML_BYTES = 16 * 2**20
"""Twelve leads of four minutes at 1,000 Hz; digits in memory are some thirty times their text."""
MAXIMUM_TAGS = 2**18
"""A resting ECG has some ten thousand; a file of nothing but tags would take minutes and gigabytes."""

_BEFORE_ROOT = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>", re.DOTALL)
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_DOCTYPE = re.compile(rb"<!DOCTYPE[^>]*>?")


def root_element(head: bytes) -> str | None:
    """Returns the name of the root element without its prefix; None where this is no XML.

    Args:
        head: The beginning of a file.
    """
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8", errors="ignore").lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        return None
    match = _ROOT.match(_BEFORE_ROOT.sub("", text).lstrip())
    return match[1] if match else None


def check_xml(path: Path, *, doctype: re.Pattern[bytes] | None = None) -> bytes:
    """Returns the content of an XML file that declares nothing.

    Args:
        path: The file.
        doctype: The only document type that is let through. It names a DTD, which is never opened.

    Raises:
        RecordFileError: If it cannot be read, is too large, has too many tags, or declares entities
            or another document type.
    """
    try:
        size = path.stat().st_size
        content = b"" if size > MAXIMUM_XML_BYTES else path.read_bytes()
    except OSError as error:
        raise RecordFileError(
            f"{path}: the file cannot be read ({error.strerror}); give one that you may read."
        ) from error
    if size > MAXIMUM_XML_BYTES:
        raise RecordFileError(
            f"{path}: the XML has {size} bytes; up to {MAXIMUM_XML_BYTES} are read: "
            "export long recordings in a binary format."
        )
    plain = content.replace(b"\0", b"")  # UTF-16 looks like ASCII without its zeros
    tags = plain.count(b"<")
    if tags > MAXIMUM_TAGS:
        raise RecordFileError(
            f"{path}: the XML has {tags} tags; up to {MAXIMUM_TAGS} are read: give one recording."
        )
    declared = _DOCTYPE.findall(plain)
    if b"<!ENTITY" in plain or any(doctype is None or not doctype.fullmatch(text) for text in declared):
        raise RecordFileError(
            f"{path}: the XML declares entities or a document type, which can name other files or grow "
            "without bound; remove the declaration."
        )
    return content
