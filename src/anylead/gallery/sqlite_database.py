"""A gallery in one file: SQLite with a write-ahead log, in a folder that only its owner can enter."""

import logging
import os
import sqlite3
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from jaxtyping import Float32
from typing_extensions import override

from anylead.errors import GalleryError, GalleryUnavailableError
from anylead.gallery.gallery_key import GalleryKey, make_key_file, read_key_file
from anylead.gallery.sql_database import TABLES, SqlDatabase, Statements
from anylead.gallery.sqlite_pages import damaged_pages
from anylead.gallery.template import GalleryIdentity

FILE = "gallery.sqlite"
KEY_FILE = "gallery.key"

PATIENCE_S = 30.0
"""How long one process waits for another to end its writing."""
CHECKED_BYTES = 64 * 2**20
"""Up to this size all pages are checked when a gallery is opened; `check` does so at any size."""

_TYPES = {"integer": "INTEGER", "real": "REAL", "bytes": "BLOB", "vector": "BLOB"}
_ONLY_ADDED = tuple(
    f"CREATE TRIGGER gallery_audit_no_{event.lower()} BEFORE {event} ON gallery_audit BEGIN "
    "SELECT RAISE(ABORT, 'the audit trail is only added to'); END"
    for event in ("UPDATE", "DELETE")
)
_REASONS = {
    "SQLITE_FULL": "there is no room left on the disk; make room, nothing was written",
    "SQLITE_IOERR": "the disk refuses to read or write; make room or have it checked, nothing was written",
    "SQLITE_READONLY": "it cannot be written to; use an account that may write to the folder",
    "SQLITE_CANTOPEN": "it cannot be opened; use an account that may read and write the folder",
    "SQLITE_BUSY": f"another process was writing for more than {PATIENCE_S:g} s; try again",
    "SQLITE_LOCKED": "another call is using the same table; try again",
}
_log = logging.getLogger(__name__)


class SqliteDatabase(SqlDatabase):
    """A gallery in a folder: ``gallery.sqlite``, its log while it is open, and the key ``gallery.key``.

    Every write is on the disk before it returns (``synchronous=FULL``). A removal zeroes the deleted bytes
    (``secure_delete``), then rewrites the file without unused parts (``VACUUM``) and empties the log, which
    costs a copy of the file and its size in free space. What a file system or an SSD keeps of old blocks,
    snapshots and backups are beyond its reach: put the folder on an encrypted disk.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a gallery.

        Raises:
            GalleryError: If there is none, or it is damaged, of a newer format, or of another key.
        """
        self.where = str(folder)
        self._lock = RLock()
        self._file = folder / FILE
        if not self._file.is_file():
            raise GalleryError(
                f"{folder}: there is no gallery ({FILE} is missing); make one with: anylead gallery enrol."
            )
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            _log.warning("%s: others may enter the folder of the gallery; run chmod 700 on it.", folder)
        self._key = read_key_file(folder / KEY_FILE)
        self._connection = self._connect()
        try:
            if self._file.stat().st_size <= CHECKED_BYTES:
                self.check()
            self._start()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, folder: Path, identity: GalleryIdentity) -> "SqliteDatabase":
        """Makes a gallery in a folder that is new or empty.

        Raises:
            GalleryError: If the folder holds something or cannot be written to.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise GalleryError(
                    f"{folder}: the folder is not empty; a gallery is made in a new or an empty one."
                )
            folder.chmod(0o700)
            key = make_key_file(folder / KEY_FILE)
            # Made before SQLite opens it, so that it is never open to others; the log inherits its mode.
            os.close(os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except GalleryError:
            raise
        except OSError as error:
            raise GalleryError(
                f"{folder}: a gallery cannot be made here ({error.strerror}); name a folder that can "
                "be written "
                "to."
            ) from error
        cls._make_tables(folder, key, identity)
        return cls(folder)

    @classmethod
    def _make_tables(cls, folder: Path, key: GalleryKey, identity: GalleryIdentity) -> None:
        database = cls.__new__(cls)
        database.where, database._lock, database._key = str(folder), RLock(), key
        database._file = folder / FILE
        database._connection = database._connect()
        try:
            with database._writing() as sql:
                for statement in TABLES:
                    sql.run(statement.format(**_TYPES))
                for statement in _ONLY_ADDED:
                    sql.run(statement)
                database._fill(sql, identity)
        finally:
            database.close()

    def check(self) -> None:
        """Reads every page of the file.

        Raises:
            GalleryError: If one is damaged; the message names it.
        """
        with self._lock, self._explained():
            rows = self._connection.execute("PRAGMA integrity_check(3)").fetchall()
        problems = "; ".join(" ".join(str(row[0]).split()) for row in rows)
        if problems != "ok":
            raise self._damaged(problems)

    @override
    def size(self) -> int:
        return sum(file.stat().st_size for file in self._file.parent.glob(f"{FILE}*"))

    @override
    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            connection = sqlite3.connect(
                self._file, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("PRAGMA foreign_keys = ON")
                # A file from a stranger must not run code of its schema.
                connection.execute("PRAGMA trusted_schema = OFF")
            except BaseException:
                connection.close()
                raise
        return connection

    @contextmanager
    def _reading(self) -> Iterator[Statements]:
        with self._transaction("BEGIN") as statements:
            yield statements

    @contextmanager
    def _writing(self) -> Iterator[Statements]:
        # IMMEDIATE takes the place of the one writer at once, so what is read in it cannot grow old.
        with self._transaction("BEGIN IMMEDIATE") as statements:
            yield statements

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Statements]:
        with self._lock, self._explained():
            cursor = self._connection.cursor()
            cursor.execute(begin)
            try:
                yield Statements(cursor, "?")
                cursor.execute("COMMIT")
            except BaseException:
                # An error such as a full disk may have undone it already.
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()

    def _erase(self) -> None:
        with self._lock, self._explained():
            self._connection.execute("VACUUM")
            end = time.monotonic() + PATIENCE_S
            while self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > end:
                    raise GalleryError(
                        f"{self.where}: the log cannot be emptied while another process reads the "
                        "gallery; end "
                        "it or wait for it."
                    )
                time.sleep(0.05)

    def _vector_in(self, vector: Float32[np.ndarray, "dimension"]) -> bytes:
        return vector.astype("<f4", copy=False).tobytes()

    def _vector_out(self, value: Any) -> Float32[np.ndarray, "dimension"]:
        if not isinstance(value, bytes) or len(value) != 4 * self._opened_as.dimension:
            raise self._damaged("a vector does not have its length")
        return np.frombuffer(value, "<f4").astype(np.float32, copy=False)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what SQLite says into one sentence."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            for start, reason in _REASONS.items():
                if name.startswith(start):
                    raise GalleryUnavailableError(f"{self.where}: {reason} ({error}).") from error
            if isinstance(error, sqlite3.ProgrammingError):
                raise GalleryUnavailableError(
                    f"{self.where}: the gallery was closed; open it again."
                ) from error
            raise self._damaged(f"{error}{self._named_pages()}") from error

    def _named_pages(self) -> str:
        """Returns which pages are damaged, as far as they can be told."""
        try:
            roots = [row[0] for row in self._connection.execute("SELECT rootpage FROM sqlite_schema")]
        except (sqlite3.Error, AttributeError):
            roots = []
        try:
            pages = damaged_pages(self._file, roots)
        except (OSError, struct.error):
            pages = []
        return f" (page {', '.join(map(str, pages[:10]))})" if pages else ""
