"""A whole gallery as one encrypted file: to back up, to move between SQLite and PostgreSQL, to cancel a key.

The file is a line of text that says how the key is made of the passphrase, then pieces of AES-256-GCM. A
piece's nonce holds its number and whether it is the last, so that pieces cannot be changed, left out,
exchanged or cut off without notice.

Source: V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", CRYPTO 2015, section 7 (STREAM); C. Percival, S. Josefsson, RFC 7914 (scrypt).
"""

import json
import os
import secrets
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from anylead.errors import ConfigError, GalleryError
from anylead.gallery.database import Database
from anylead.gallery.open_database import create_database
from anylead.gallery.projection import Projection
from anylead.gallery.sql_database import SqlDatabase
from anylead.gallery.template import Enrolment, GalleryIdentity, LeadSet

SHORTEST_PASSPHRASE = 12
_FORMAT = 1
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}
"""64 MiB and about 0.2 s a guess."""
_MOST_SCRYPT_BYTES = 2**30
_AT_ONCE = 64
"""Recordings in one piece."""
_LARGEST_PIECE = 2**30
_LENGTH = struct.Struct("<I")


def export_gallery(database: Database, path: Path, *, passphrase: str, actor: str = "local") -> int:
    """Writes a gallery with its documents and its audit trail into one encrypted file.

    Vectors of a projected gallery are turned back, so that the import can turn them by its own key. API keys
    and the key of the gallery are left out.

    Returns:
        How many recordings were written.

    Raises:
        GalleryError: If the passphrase is short, the file cannot be written, or the gallery changed.
        ConfigError: If an optional package is missing.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise GalleryError(
            f"{path}: the passphrase has {len(passphrase)} characters; {SHORTEST_PASSPHRASE} at least "
            "are needed "
            "to protect an export: take several words."
        )
    before = database.version()
    ids = database.record_ids()
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _encrypt(file, _pieces(database, ids), passphrase=passphrase)
            file.flush()
            os.fsync(file.fileno())
        if database.version() != before:
            raise GalleryError(f"{path}: the gallery was changed during the export; export it again.")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, GalleryError):
            raise
        raise GalleryError(
            f"{path}: the export cannot be written ({error.strerror}); name a file in a folder with room."
        ) from error
    database.append_audit("export", actor=actor, details={"recordings": len(ids)})
    return len(ids)


def import_gallery(path: Path, url: str | Path, *, passphrase: str, actor: str = "local") -> SqlDatabase:
    """Makes a gallery of an export, and returns it open.

    The whole file is decrypted once before anything is written. The new gallery has a key and an audit trail
    of its own; the exported trail is kept as the document ``history``.

    Raises:
        GalleryError: If the passphrase is wrong, the file is damaged, or there is a gallery at the URL.
        ConfigError: If an optional package is missing.
    """
    for _ in _decrypt(path, passphrase=passphrase):
        pass
    pieces = _decrypt(path, passphrase=passphrase)
    head, _ = next(pieces)
    identity = _identity(head["identity"])
    database = create_database(url, identity)
    database.set_importing(True)
    turn = _projection(database, identity)
    for head, blobs in pieces:
        if "documents" in head:
            for name, value in head["documents"].items():
                database.put_document(name, value, actor=actor, action="import")
        else:
            database.enrol(list(_enrolments(head["recordings"], blobs, turn)), actor=actor)
    database.append_audit("import", actor=actor, details={"recordings": len(database.record_ids())})
    database.set_importing(False)
    return database


def _pieces(database: Database, ids: list[str]) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Yields what is written: the identity, recordings, and the documents with the audit trail."""
    identity = database.identity()
    turn = _projection(database, identity)
    yield {"identity": asdict(identity)}, []
    for start in range(0, len(ids), _AT_ONCE):
        recordings, blobs = [], []
        for enrolment in database.enrolments(record_ids=ids[start : start + _AT_ONCE]):
            vectors = {
                name: turn.undo(vector) if turn else vector for name, vector in enrolment.templates.items()
            }
            recordings.append(
                {
                    "record_id": enrolment.record_id,
                    "patient_id": enrolment.patient_id,
                    "recorded_at": enrolment.recorded_at.isoformat() if enrolment.recorded_at else None,
                    "duration_s": enrolment.duration_s,
                    "hash": enrolment.hash,
                    "leads": list(enrolment.leads),
                    "flags": list(enrolment.flags),
                    "lead_sets": list(vectors),
                    "signal": enrolment.signal is not None,
                }
            )
            blobs += [vector.astype("<f4").tobytes() for vector in vectors.values()]
            blobs += [enrolment.signal] if enrolment.signal is not None else []
        yield {"recordings": recordings}, blobs
    names = [name for name in database.document_names() if name not in ("keys", "history")]
    documents = {name: database.document(name) for name in names}
    history = {"lines": [asdict(entry) for entry in database.audit()], "before": database.document("history")}
    yield {"documents": {**documents, "history": history}}, []


def _enrolments(
    recordings: list[dict[str, Any]], blobs: list[bytes], turn: Projection | None
) -> Iterator[Enrolment]:
    rest = iter(blobs)
    for kept in recordings:
        vectors = {name: np.frombuffer(next(rest), "<f4").astype(np.float32) for name in kept["lead_sets"]}
        yield Enrolment(
            record_id=kept["record_id"],
            patient_id=kept["patient_id"],
            templates={name: turn.apply(v) if turn else v for name, v in vectors.items()},
            recorded_at=datetime.fromisoformat(kept["recorded_at"]) if kept["recorded_at"] else None,
            duration_s=kept["duration_s"],
            hash=kept["hash"],
            leads=tuple(kept["leads"]),
            flags=tuple(kept["flags"]),
            signal=next(rest) if kept["signal"] else None,
        )


def _identity(plain: dict[str, Any]) -> GalleryIdentity:
    sets = tuple(LeadSet(name=s["name"], leads=tuple(s["leads"])) for s in plain["lead_sets"])
    return GalleryIdentity(**{**plain, "lead_sets": sets})


def _projection(database: Database, identity: GalleryIdentity) -> Projection | None:
    return Projection(database.secret("projection"), identity.dimension) if identity.projected else None


def _packed(head: dict[str, Any], blobs: Iterable[bytes]) -> bytes:
    text = json.dumps(head).encode()
    parts = [_LENGTH.pack(len(text)), text]
    for blob in blobs:
        parts += [_LENGTH.pack(len(blob)), blob]
    return b"".join(parts)


def _unpacked(piece: bytes) -> tuple[dict[str, Any], list[bytes]]:
    parts, place = [], 0
    while place < len(piece):
        (length,) = _LENGTH.unpack_from(piece, place)
        place += _LENGTH.size
        parts.append(piece[place : place + length])
        place += length
    return json.loads(parts[0]), parts[1:]


def _encrypt(
    file: BinaryIO, pieces: Iterator[tuple[dict[str, Any], list[bytes]]], *, passphrase: str
) -> None:
    header = {"anylead gallery export": _FORMAT, "salt": secrets.token_hex(16), **_SCRYPT}
    line = json.dumps(header).encode() + b"\n"
    cipher = _cipher(passphrase, header)
    file.write(line)
    number, waiting = 0, next(pieces, None)
    while waiting is not None:
        following = next(pieces, None)
        sealed = cipher.encrypt(_nonce(number, last=following is None), _packed(*waiting), line)
        file.write(_LENGTH.pack(len(sealed)) + sealed)
        number, waiting = number + 1, following


def _decrypt(path: Path, *, passphrase: str) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Yields the pieces of an export, each authenticated before it is given out."""
    try:
        with path.open("rb") as file:
            line = file.readline(1000)
            cipher = _cipher(passphrase, _header(path, line))
            number, sealed = 0, _sealed(path, file)
            while sealed is not None:
                following = _sealed(path, file)
                nonce = _nonce(number, last=following is None)
                yield _unpacked(_opened(path, cipher, nonce, sealed, line))
                number, sealed = number + 1, following
    except OSError as error:
        if isinstance(error, GalleryError):
            raise
        raise GalleryError(
            f"{path}: the export cannot be read ({error.strerror}); name a file that `export` wrote."
        ) from error


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        version, n, r, p = (int(header[name]) for name in ("anylead gallery export", "n", "r", "p"))
        bytes.fromhex(header["salt"])
    except (ValueError, TypeError, KeyError) as error:
        raise GalleryError(
            f"{path}: this is no export of a gallery; name a file that `export` wrote."
        ) from error
    if version != _FORMAT or not 1 < 128 * n * r <= _MOST_SCRYPT_BYTES or not 1 <= p <= 16 or n & (n - 1):
        raise GalleryError(
            f"{path}: the export has format {version} with scrypt n={n}, r={r}, p={p}, and this "
            "version reads "
            f"format {_FORMAT} with at most 1 GiB of memory; use the version of anylead that wrote it."
        )
    return dict(header)


def _sealed(path: Path, file: BinaryIO) -> bytes | None:
    length = file.read(_LENGTH.size)
    if not length:
        return None
    size = _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else _LARGEST_PIECE + 1
    sealed = file.read(size) if size <= _LARGEST_PIECE else b""
    if len(sealed) != size:
        raise GalleryError(f"{path}: the export is cut off; copy it again from where it was written.")
    return sealed


def _opened(path: Path, cipher: Any, nonce: bytes, sealed: bytes, line: bytes) -> bytes:
    try:
        from cryptography.exceptions import InvalidTag
    except ImportError as error:
        raise _missing() from error
    try:
        return bytes(cipher.decrypt(nonce, sealed, line))
    except InvalidTag as error:
        raise GalleryError(
            f"{path}: the passphrase is wrong, or the export is damaged or cut off; nothing was "
            "imported: try "
            "the passphrase again or take another copy."
        ) from error


def _cipher(passphrase: str, header: dict[str, Any]) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError as error:
        raise _missing() from error
    salt = bytes.fromhex(header["salt"])
    derive = Scrypt(salt=salt, length=32, n=header["n"], r=header["r"], p=header["p"])
    return AESGCM(derive.derive(passphrase.encode()))


def _nonce(number: int, *, last: bool) -> bytes:
    # The key is of this file alone (a fresh salt), so counting is enough to never use a nonce twice.
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _missing() -> ConfigError:
    return ConfigError(
        "export: a gallery is encrypted with cryptography, which is not installed; install anylead[gallery]."
    )
