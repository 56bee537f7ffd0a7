"""What SQLite and PostgreSQL share: tables, statements, checksums and the audit trail."""

import json
import math
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from jaxtyping import Float32
from typing_extensions import override

from anylead.errors import GalleryChangedError, GalleryError
from anylead.gallery.audit_chain import START, check_chain, link
from anylead.gallery.database import KEPT_DOCUMENTS, AuditEntry, Database
from anylead.gallery.gallery_key import GalleryKey
from anylead.gallery.template import Enrolment, GalleryIdentity, LeadSet, TemplateTable

FORMAT = 1
"""Of the tables; a newer one is refused."""

TABLES = (
    "CREATE TABLE gallery_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE gallery_recordings (number {integer} PRIMARY KEY, record_id TEXT NOT NULL UNIQUE, "
    "patient_id TEXT NOT NULL, recorded_at TEXT NOT NULL, duration_s {real} NOT NULL, hash TEXT NOT NULL, "
    "leads TEXT NOT NULL, flags TEXT NOT NULL, signal_checksum {integer} NOT NULL, "
    "checksum {integer} NOT NULL, signal {bytes})",
    "CREATE INDEX gallery_recordings_patient ON gallery_recordings (patient_id)",
    "CREATE TABLE gallery_templates (recording {integer} NOT NULL REFERENCES gallery_recordings (number) "
    "ON DELETE CASCADE, lead_set TEXT NOT NULL, checksum {integer} NOT NULL, vector {vector} NOT NULL, "
    "PRIMARY KEY (recording, lead_set))",
    "CREATE TABLE gallery_documents (name TEXT PRIMARY KEY, checksum {integer} NOT NULL, value TEXT "
    "NOT NULL)",
    "CREATE TABLE gallery_audit (number {integer} PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, "
    "action TEXT NOT NULL, subject TEXT NOT NULL, details TEXT NOT NULL, previous TEXT NOT NULL, "
    "hash TEXT NOT NULL)",
)
"""Statements that make the tables; each database fills in its names of the types."""

_RECORDING = (
    "r.number, r.record_id, r.patient_id, r.recorded_at, r.duration_s, r.hash, r.leads, r.flags, "
    "r.signal_checksum, r.checksum"
)
"""The columns of a recording but its signal; the last one is the checksum of the others."""
_COLUMNS = 10
_AT_ONCE = 500
"""Parameters of one statement; SQLite takes 999 at least."""
_LONGEST_ID = 512
_LENGTH_TOLERANCE = 1e-3


class Statements:
    """Runs statements of one transaction. Values are only ever given as parameters, written ``?``."""

    def __init__(self, cursor: Any, marker: str) -> None:
        self._cursor = cursor
        self._marker = marker

    def run(self, statement: str, *values: Any) -> None:
        """Runs a statement."""
        self._cursor.execute(statement.replace("?", self._marker), values)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Returns all rows of a query."""
        self.run(statement, *values)
        return list(self._cursor.fetchall())

    def rows_of(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Returns all rows of a query that ends in ``IN``, for any number of values."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            found += self.rows(f"{statement} ({', '.join('?' * len(some))})", *some)
        return found

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Runs a statement once for each row of values."""
        self._cursor.executemany(statement.replace("?", self._marker), list(rows))


class SqlDatabase(Database):
    """A gallery in tables. What differs between databases is below the line in the middle."""

    _key: GalleryKey
    _opened_as: GalleryIdentity

    @override
    def identity(self) -> GalleryIdentity:
        with self._reading() as sql:
            return self._identity(sql)

    @override
    def refresh(self) -> GalleryIdentity:
        self._opened_as = self.identity()
        return self._opened_as

    @override
    def version(self) -> int:
        with self._reading() as sql:
            return self._version(sql)

    @override
    def secret(self, purpose: str) -> bytes:
        return self._key.secret(purpose)

    @override
    def enrol(self, enrolments: Sequence[Enrolment], *, actor: str) -> int:
        for enrolment in enrolments:
            self._check(enrolment, self._opened_as)
        with self._writing() as sql:
            self._check_identity(sql)
            fresh = self._fresh(sql, enrolments)
            if fresh:
                self._insert(sql, fresh)
                self._add_audit(
                    sql, actor, "enrol", [(e.patient_id, {"templates": len(e.templates)}) for e in fresh]
                )
                self._count_version(sql)
        return len(fresh)

    @override
    def templates(self, lead_set: str) -> TemplateTable:
        with self._reading() as sql:
            self._check_identity(sql)
            rows = sql.rows(
                f"SELECT {_RECORDING}, t.checksum, t.vector FROM gallery_templates t JOIN "
                "gallery_recordings r ON r.number = t.recording WHERE t.lead_set = ? ORDER BY r.number",
                lead_set,
            )
        vectors = np.empty((len(rows), self._opened_as.dimension), np.float32)
        for place, row in enumerate(rows):
            self._check_recording(row[:_COLUMNS])
            vectors[place] = self._checked_vector(row, lead_set, *row[_COLUMNS:])
        return TemplateTable(
            record_ids=[row[1] for row in rows],
            patient_ids=[row[2] for row in rows],
            vectors=vectors,
            recorded_at=np.array([row[3][:19] or "NaT" for row in rows], "datetime64[s]"),
            duration_s=np.array([row[4] for row in rows], np.float64),
            hashes=[row[5] for row in rows],
            flags=[tuple(json.loads(row[7])) for row in rows],
        )

    @override
    def template_counts(self) -> dict[str, int]:
        with self._reading() as sql:
            counts = dict(sql.rows("SELECT lead_set, COUNT(*) FROM gallery_templates GROUP BY lead_set"))
        known = [lead_set.name for lead_set in self._opened_as.lead_sets]
        return {name: int(counts[name]) for name in known if name in counts}

    @override
    def record_ids(self, *, patient_id: str | None = None, before: datetime | None = None) -> list[str]:
        with self._reading() as sql:
            rows = sql.rows(
                "SELECT record_id, patient_id, recorded_at FROM gallery_recordings ORDER BY number"
            )
        until = None if before is None else before.replace(tzinfo=None)
        return [
            record
            for record, patient, at in rows
            if (patient_id is None or patient == patient_id) and (until is None or _is_before(at, until))
        ]

    @override
    def enrolments(
        self, *, patient_id: str | None = None, record_ids: Sequence[str] | None = None
    ) -> list[Enrolment]:
        query = f"SELECT {_RECORDING}, r.signal FROM gallery_recordings r"
        with self._reading() as sql:
            self._check_identity(sql)
            if record_ids is not None:
                rows = sql.rows_of(f"{query} WHERE r.record_id IN", list(dict.fromkeys(record_ids)))
            elif patient_id is not None:
                rows = sql.rows(f"{query} WHERE r.patient_id = ?", patient_id)
            else:
                rows = sql.rows(query)
            if patient_id is not None:
                rows = [row for row in rows if row[2] == patient_id]
            vectors = sql.rows_of(
                "SELECT recording, lead_set, checksum, vector FROM gallery_templates WHERE recording IN",
                [row[0] for row in rows],
            )
        return self._enrolments(sorted(rows, key=lambda row: int(row[0])), vectors)

    @override
    def patients(self) -> dict[str, int]:
        with self._reading() as sql:
            rows = sql.rows(
                "SELECT patient_id, COUNT(*) FROM gallery_recordings GROUP BY patient_id ORDER BY MIN(number)"
            )
        return {patient_id: int(count) for patient_id, count in rows}

    @override
    def remove(self, patient_id: str, *, actor: str) -> int:
        with self._writing() as sql:
            rows = sql.rows("SELECT number FROM gallery_recordings WHERE patient_id = ?", patient_id)
            removed = [(patient_id, int(number)) for (number,) in rows]
            self._delete(sql, removed, actor=actor)
        self._finish_erasing()
        return len(removed)

    @override
    def remove_before(self, date: datetime, *, actor: str) -> int:
        before = date.replace(tzinfo=None)
        with self._writing() as sql:
            rows = sql.rows("SELECT patient_id, number, recorded_at FROM gallery_recordings")
            removed = [(patient, int(number)) for patient, number, at in rows if _is_before(at, before)]
            self._delete(sql, removed, actor=actor)
        self._finish_erasing()
        return len(removed)

    @override
    def put_document(
        self,
        name: str,
        value: dict[str, Any],
        *,
        actor: str,
        action: str,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        self.update_document(
            name, lambda _: value, actor=actor, action=action, subject=subject, details=details
        )

    @override
    def update_document(
        self,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        actor: str,
        action: str,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        with self._writing() as sql:
            value = change(self._document(sql, name) or {})
            text = json.dumps(value)
            sql.run(
                "INSERT INTO gallery_documents (name, checksum, value) VALUES (?, ?, ?) ON CONFLICT "
                "(name) DO "
                "UPDATE SET checksum = excluded.checksum, value = excluded.value",
                name,
                zlib.crc32(text.encode()),
                text,
            )
            self._add_audit(sql, actor, action, [(subject, {"document": name, **(details or {})})])
        return value

    @override
    def document(self, name: str) -> dict[str, Any] | None:
        with self._reading() as sql:
            return self._document(sql, name)

    @override
    def document_names(self) -> list[str]:
        with self._reading() as sql:
            return [row[0] for row in sql.rows("SELECT name FROM gallery_documents ORDER BY name")]

    @override
    def append_audit(
        self, action: str, *, actor: str, subject: str = "", details: dict[str, Any] | None = None
    ) -> None:
        with self._writing() as sql:
            self._add_audit(sql, actor, action, [(subject, details or {})])

    @override
    def audit(self) -> list[AuditEntry]:
        with self._reading() as sql:
            rows = sql.rows(
                "SELECT number, at, actor, action, subject, details, previous, hash FROM gallery_audit "
                "ORDER BY number"
            )
            head = self._audit_head(sql)
        names = ("number", "at", "actor", "action", "subject", "details", "previous", "hash")
        entries = [
            AuditEntry(**{**dict(zip(names, row, strict=True)), "details": self._parsed(row[5])})
            for row in rows
        ]
        check_chain(entries, key=self.secret("audit"), head=head, where=self.where)
        return entries

    @override
    def replace_all(
        self, identity: GalleryIdentity, enrolments: Sequence[Enrolment], *, actor: str, action: str
    ) -> None:
        for enrolment in enrolments:
            self._check(enrolment, identity)
        with self._writing() as sql:
            self._check_identity(sql)
            sql.run("DELETE FROM gallery_templates")
            sql.run("DELETE FROM gallery_recordings")
            kept = ", ".join("?" * len(KEPT_DOCUMENTS))
            sql.run(f"DELETE FROM gallery_documents WHERE name NOT IN ({kept})", *KEPT_DOCUMENTS)
            self._insert(sql, self._fresh(sql, enrolments))
            self._put_meta(sql, "identity", json.dumps(asdict(identity)))
            self._add_audit(sql, actor, action, [("", {"recordings": len(enrolments)})])
            self._put_meta(sql, "erasing", str(self._count_version(sql)))
        self._opened_as = identity
        self._finish_erasing()

    def set_importing(self, importing: bool) -> None:
        """Marks a gallery as half imported, which `open_database` refuses, or as whole again."""
        with self._writing() as sql:
            if importing:
                self._put_meta(sql, "importing", "1")
            else:
                sql.run("DELETE FROM gallery_meta WHERE name = 'importing'")

    def is_importing(self) -> bool:
        """Says whether an import did not end."""
        with self._reading() as sql:
            return self._meta(sql, "importing") is not None

    # What a database does in its own way.

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Statements]:
        """One transaction that sees one state of all tables."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Statements]:
        """One transaction, alone among writers, kept for good when it ends, undone where an error ends it."""

    @abstractmethod
    def _erase(self) -> None:
        """Wipes from the files what was deleted from the tables."""

    @abstractmethod
    def _vector_in(self, vector: Float32[np.ndarray, "dimension"]) -> Any:
        """Returns a vector as the database takes it."""

    @abstractmethod
    def _vector_out(self, value: Any) -> Float32[np.ndarray, "dimension"]:
        """Returns a vector as the database gave it."""

    # Rows.

    def _fill(self, sql: Statements, identity: GalleryIdentity) -> None:
        """Writes the first rows of a new gallery."""
        self._put_meta(sql, "format", str(FORMAT))
        self._put_meta(sql, "identity", json.dumps(asdict(identity)))
        self._put_meta(sql, "version", "0")
        self._put_meta(sql, "key", self._key.secret("check").hex())
        self._put_meta(sql, "audit_head", f"0:{START}")
        self._add_audit(sql, "local", "create", [("", {"dimension": identity.dimension})])

    def _start(self) -> None:
        """Checks a gallery that was just opened, and ends what a kill interrupted."""
        with self._reading() as sql:
            found = self._meta(sql, "format")
            if found != str(FORMAT):
                raise GalleryError(
                    f"{self.where}: the gallery has format {found} and this version reads {FORMAT}; use the "
                    "version of anylead that wrote it, or a newer one."
                )
            if self._meta(sql, "key") != self._key.secret("check").hex():
                raise GalleryError(
                    f"{self.where}: the key is that of another gallery; give the one this gallery was made "
                    "with, without which its audit trail and its API keys cannot be checked."
                )
            self._opened_as = self._identity(sql)
        self._finish_erasing()

    def _identity(self, sql: Statements) -> GalleryIdentity:
        plain = self._parsed(self._meta(sql, "identity") or "")
        try:
            sets = tuple(LeadSet(name=s["name"], leads=tuple(s["leads"])) for s in plain["lead_sets"])
            return GalleryIdentity(**{**plain, "lead_sets": sets})
        except (KeyError, TypeError) as error:
            raise self._damaged(f"its identity is incomplete: {error}") from error

    def _check_identity(self, sql: Statements) -> None:
        if self._identity(sql) != self._opened_as:
            raise GalleryChangedError(
                f"{self.where}: the gallery was rebuilt for another model since it was opened; open it again "
                "with that model."
            )

    def _version(self, sql: Statements) -> int:
        return int(self._meta(sql, "version") or 0)

    def _count_version(self, sql: Statements) -> int:
        version = self._version(sql) + 1
        self._put_meta(sql, "version", str(version))
        return version

    def _meta(self, sql: Statements, name: str) -> str | None:
        rows = sql.rows("SELECT value FROM gallery_meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def _put_meta(self, sql: Statements, name: str, value: str) -> None:
        sql.run(
            "INSERT INTO gallery_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
            "value = excluded.value",
            name,
            value,
        )

    def _document(self, sql: Statements, name: str) -> dict[str, Any] | None:
        rows = sql.rows("SELECT checksum, value FROM gallery_documents WHERE name = ?", name)
        if not rows:
            return None
        if zlib.crc32(rows[0][1].encode()) != rows[0][0]:
            raise self._damaged(f"the document '{name}' is not what was written")
        return dict(self._parsed(rows[0][1]))

    def _fresh(self, sql: Statements, enrolments: Sequence[Enrolment]) -> list[Enrolment]:
        """Returns those that are not there yet, each id once."""
        ids = list(dict.fromkeys(e.record_id for e in enrolments))
        rows = sql.rows_of(
            "SELECT record_id, patient_id, hash FROM gallery_recordings WHERE record_id IN", ids
        )
        known = {record_id: (patient_id, hash_) for record_id, patient_id, hash_ in rows}
        fresh = []
        for enrolment in enrolments:
            here = (enrolment.patient_id, enrolment.hash)
            there = known.setdefault(enrolment.record_id, here)
            if there != here:
                what = "other samples" if there[0] == here[0] else "another patient"
                raise GalleryError(
                    f"{self.where}: recording {enrolment.record_id} is there already with {what}; give it an "
                    "id of its own, or remove the patient first."
                )
            if there is here:
                fresh.append(enrolment)
        return fresh

    def _insert(self, sql: Statements, enrolments: Sequence[Enrolment]) -> None:
        first = 1 + int(sql.rows("SELECT COALESCE(MAX(number), 0) FROM gallery_recordings")[0][0])
        recordings, templates = [], []
        for number, enrolment in enumerate(enrolments, start=first):
            fields = _fields(enrolment)
            recordings.append((number, *fields, _recording_checksum((number, *fields)), enrolment.signal))
            for lead_set, vector in enrolment.templates.items():
                checksum = _vector_checksum(number, lead_set, vector)
                templates.append((number, lead_set, checksum, self._vector_in(vector)))
        sql.many(
            "INSERT INTO gallery_recordings (number, record_id, patient_id, recorded_at, duration_s, hash, "
            "leads, flags, signal_checksum, checksum, signal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            recordings,
        )
        sql.many(
            "INSERT INTO gallery_templates (recording, lead_set, checksum, vector) VALUES (?, ?, ?, ?)",
            templates,
        )

    def _delete(self, sql: Statements, removed: Sequence[tuple[str, int]], *, actor: str) -> None:
        """Deletes recordings, given as (patient, number), and adds a line a patient to the audit trail."""
        if not removed:
            return
        counts: dict[str, int] = {}
        for patient_id, _ in removed:
            counts[patient_id] = counts.get(patient_id, 0) + 1
        sql.many("DELETE FROM gallery_templates WHERE recording = ?", [(number,) for _, number in removed])
        sql.many("DELETE FROM gallery_recordings WHERE number = ?", [(number,) for _, number in removed])
        self._add_audit(
            sql, actor, "remove", [(patient, {"recordings": count}) for patient, count in counts.items()]
        )
        self._put_meta(sql, "erasing", str(self._count_version(sql)))

    def _finish_erasing(self) -> None:
        """Wipes deleted bytes where that is still to be done, as after a kill between the two steps."""
        with self._reading() as sql:
            due = self._meta(sql, "erasing")
        if due is None:
            return
        try:
            self._erase()
            with self._writing() as sql:
                # Another process may have deleted more since; its own wiping is still due then.
                sql.run("DELETE FROM gallery_meta WHERE name = 'erasing' AND value = ?", due)
        except GalleryError as error:
            raise type(error)(
                f"{self.where}: recordings were removed, but unused parts of the files may still hold their "
                f"bytes; put right what is said next and remove again: {error}"
            ) from error

    def _audit_head(self, sql: Statements) -> tuple[int, str]:
        number, _, hash_ = (self._meta(sql, "audit_head") or f"0:{START}").partition(":")
        return int(number), hash_

    def _add_audit(
        self, sql: Statements, actor: str, action: str, lines: Sequence[tuple[str, dict[str, Any]]]
    ) -> None:
        number, previous = self._audit_head(sql)
        key, at = self.secret("audit"), datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = []
        for subject, details in lines:
            number += 1
            entry = link(
                key,
                number=number,
                previous=previous,
                at=at,
                actor=actor,
                action=action,
                subject=subject,
                details=details,
            )
            previous = entry.hash
            rows.append(
                (number, at, actor, action, entry.subject, json.dumps(details), entry.previous, entry.hash)
            )
        sql.many(
            "INSERT INTO gallery_audit (number, at, actor, action, subject, details, previous, hash) VALUES "
            "(?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._put_meta(sql, "audit_head", f"{number}:{previous}")

    def _enrolments(
        self, rows: Sequence[tuple[Any, ...]], vectors: Sequence[tuple[Any, ...]]
    ) -> list[Enrolment]:
        order = [lead_set.name for lead_set in self._opened_as.lead_sets]
        templates: dict[int, dict[str, Any]] = {int(row[0]): {} for row in rows}
        of_number = {int(row[0]): row for row in rows}
        for number, lead_set, checksum, vector in vectors:
            row = of_number[int(number)]
            templates[int(number)][lead_set] = self._checked_vector(row, lead_set, checksum, vector)
        found = []
        for row in rows:
            self._check_recording(row[:_COLUMNS])
            mine = templates[int(row[0])]
            found.append(
                Enrolment(
                    record_id=row[1],
                    patient_id=row[2],
                    templates={name: mine[name] for name in order if name in mine},
                    recorded_at=datetime.fromisoformat(row[3]) if row[3] else None,
                    duration_s=float(row[4]),
                    hash=row[5],
                    leads=tuple(json.loads(row[6])),
                    flags=tuple(json.loads(row[7])),
                    signal=self._checked_signal(row),
                )
            )
        return found

    # Checks.

    def _check(self, enrolment: Enrolment, identity: GalleryIdentity) -> None:
        """Refuses what a gallery of this identity cannot take."""
        who = f"{self.where}: recording {enrolment.record_id!r}"
        for kind, text in (("record", enrolment.record_id), ("patient", enrolment.patient_id)):
            if not 0 < len(text) <= _LONGEST_ID or not text.isprintable():
                raise GalleryError(
                    f"{who}: the {kind} id has {len(text)} characters or one that cannot be printed; ids are "
                    f"1 to {_LONGEST_ID} printable characters."
                )
        if not enrolment.templates or not math.isfinite(enrolment.duration_s):
            raise GalleryError(
                f"{who}: there is no template or no finite length; a recording is kept with a vector for at "
                "least one lead set, and its length in seconds."
            )
        sets = [lead_set.name for lead_set in identity.lead_sets]
        for name, vector in enrolment.templates.items():
            if name not in sets:
                raise GalleryError(
                    f"{who}: the lead set '{name}' is not one of the gallery; it has {', '.join(sets)}."
                )
            if vector.shape != (identity.dimension,) or vector.dtype != np.float32:
                raise GalleryError(
                    f"{who}: the vector of lead set {name} is {vector.dtype} {vector.shape}; the "
                    "gallery takes "
                    f"float32 ({identity.dimension},) of its own model."
                )
            length = float(np.linalg.norm(vector.astype(np.float64)))
            if not abs(length - 1) <= _LENGTH_TOLERANCE:
                raise GalleryError(
                    f"{who}: the vector of lead set {name} has length {length:g}; divide it by its length, "
                    "which must be finite and not 0."
                )

    def _check_recording(self, row: Sequence[Any]) -> None:
        if _recording_checksum(row[:-1]) != row[-1]:
            raise self._damaged(f"the row of recording {row[1]!r} (number {row[0]}) is not what was written")

    def _checked_signal(self, row: Sequence[Any]) -> bytes | None:
        signal = None if row[_COLUMNS] is None else bytes(row[_COLUMNS])
        if zlib.crc32(signal or b"") != row[_COLUMNS - 2]:
            raise self._damaged(f"the signal of recording {row[1]!r} is not what was written")
        return signal

    def _checked_vector(
        self, row: Sequence[Any], lead_set: str, checksum: int, value: Any
    ) -> Float32[np.ndarray, "dimension"]:
        vector = self._vector_out(value)
        if _vector_checksum(row[0], lead_set, vector) != checksum:
            raise self._damaged(
                f"the vector of recording {row[1]!r} for lead set {lead_set} is not what was written"
            )
        return vector

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._damaged(f"a row is not JSON: {error}") from error

    def _damaged(self, what: str) -> GalleryError:
        return GalleryError(
            f"{self.where}: the gallery is damaged: {what}; import its last export into a new gallery "
            "(anylead "
            "gallery import), and have the disk checked."
        )


def _is_before(recorded_at: str, date: datetime) -> bool:
    return bool(recorded_at) and datetime.fromisoformat(recorded_at).replace(tzinfo=None) < date


def _fields(enrolment: Enrolment) -> tuple[Any, ...]:
    return (
        enrolment.record_id,
        enrolment.patient_id,
        enrolment.recorded_at.isoformat() if enrolment.recorded_at else "",
        float(enrolment.duration_s),
        enrolment.hash,
        json.dumps(enrolment.leads),
        json.dumps(enrolment.flags),
        zlib.crc32(enrolment.signal or b""),
    )


def _recording_checksum(fields: Sequence[Any]) -> int:
    return zlib.crc32("\x1f".join(map(str, fields)).encode("utf-8", "surrogatepass"))


def _vector_checksum(number: int, lead_set: str, vector: Float32[np.ndarray, "dimension"]) -> int:
    return zlib.crc32(f"{number}|{lead_set}|".encode() + vector.astype("<f4", copy=False).tobytes())
