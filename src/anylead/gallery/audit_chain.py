"""Audit trail as a chain: each line holds a keyed hash of itself and of the line before."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anylead.errors import GalleryError
from anylead.gallery.database import AuditEntry

START = "0" * 64
"""What stands for the hash before the first line."""


def subject_hash(key: bytes, subject: str) -> str:
    """Returns the HMAC-SHA-256 of an id in hexadecimal; an empty one stays empty."""
    return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest() if subject else ""


def entry_hash(key: bytes, entry: AuditEntry) -> str:
    """Returns the HMAC-SHA-256 of all of a line but its own hash: none but the key's holder can forge it."""
    fields: list[Any] = [entry.number, entry.at, entry.actor, entry.action, entry.subject, entry.details]
    text = json.dumps([*fields, entry.previous], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def link(
    key: bytes, *, number: int, previous: str, at: str, actor: str, action: str, subject: str, details: Any
) -> AuditEntry:
    """Returns the line that follows the one whose hash is `previous`; `subject` is given in clear."""
    entry = AuditEntry(
        number=number,
        at=at,
        actor=actor,
        action=action,
        subject=subject_hash(key, subject),
        details=details or {},
        previous=previous,
        hash="",
    )
    return replace(entry, hash=entry_hash(key, entry))


def check_chain(entries: Sequence[AuditEntry], *, key: bytes, head: tuple[int, str], where: str) -> None:
    """Refuses a trail in which a line was changed, left out, put in or taken from the end.

    Args:
        entries: All lines in order.
        key: Of the chain.
        head: Number and hash of the last line, as they are kept apart from the trail.
        where: Names the gallery.

    Raises:
        GalleryError: If the lines do not follow each other.
    """
    previous = START
    for number, entry in enumerate(entries, start=1):
        whole = hmac.compare_digest(entry_hash(key, entry), entry.hash)
        if entry.number != number or entry.previous != previous or not whole:
            raise GalleryError(_broken(where, f"line {number} does not follow the one before it"))
        previous = entry.hash
    if (len(entries), previous) != head:
        raise GalleryError(_broken(where, f"it ends at line {len(entries)} where {head[0]} were written"))


def _broken(where: str, what: str) -> str:
    return (
        f"{where}: the audit trail was changed: {what}; compare it with that of an export, and find out who "
        "could write to the gallery."
    )
