"""A gallery in PostgreSQL with pgvector, for several machines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg
import psycopg.errors
import psycopg.sql
from jaxtyping import Float32
from pgvector import Vector
from pgvector.psycopg import register_vector
from typing_extensions import override

from anylead.errors import GalleryError, GalleryUnavailableError
from anylead.gallery.gallery_key import GalleryKey, key_from_environment
from anylead.gallery.sql_database import TABLES, SqlDatabase, Statements
from anylead.gallery.template import Enrolment, GalleryIdentity

PATIENCE_S = 30
"""How long one process waits for another to end its writing."""

_TYPES = {"integer": "BIGINT", "real": "DOUBLE PRECISION", "bytes": "BYTEA", "vector": "vector"}
_ONLY_ADDED = (
    "CREATE FUNCTION gallery_audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "RAISE EXCEPTION 'the audit trail is only added to'; END $$",
    "CREATE TRIGGER gallery_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON gallery_audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION gallery_audit_keep()",
)


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """One template that the server found."""

    record_id: str
    patient_id: str
    similarity: float
    """Cosine."""


class PostgresDatabase(SqlDatabase):
    """A gallery in the tables ``gallery_...`` of one PostgreSQL database or schema, one gallery each.

    The key stays outside, in the environment variable ANYLEAD_GALLERY_KEY or the file that it names.

    A removal deletes the rows and rewrites the tables (``VACUUM FULL``), which locks them for as long as a
    copy takes. PostgreSQL's own write-ahead log, replicas, archives and backups hold the old rows until they
    are recycled by the server's settings; no client can hurry that. An administrator who must be sure keeps
    the archive short and the disks encrypted.

    A call that meets a broken connection gives one GalleryUnavailableError, and the next one connects anew.
    Whether a write whose answer was lost was kept is not known then; enrolling, removing and putting a
    document may all be repeated.
    """

    _connection: "psycopg.Connection[Any] | None"

    def __init__(self, url: str) -> None:
        """Opens a gallery.

        Raises:
            GalleryError: If there is none, the server cannot be reached, or the key is missing or another's.
        """
        self._prepare(url, key_from_environment(make=False))
        try:
            if not self._has_tables():
                raise GalleryError(
                    f"{self.where}: there is no gallery in this database; make one with: anylead "
                    "gallery enrol."
                )
            self._start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, url: str, identity: GalleryIdentity) -> "PostgresDatabase":
        """Makes the tables of a gallery in a database that has none.

        Raises:
            GalleryError: If there is one already, or the server refuses.
        """
        database = cls.__new__(cls)
        database._prepare(url, key_from_environment(make=True))
        try:
            if database._has_tables():
                raise GalleryError(
                    f"{database.where}: there is a gallery in this database already; name another database."
                )
            with database._transaction() as sql:
                sql.run("CREATE EXTENSION IF NOT EXISTS vector")
                for statement in TABLES:
                    sql.run(statement.format(**_TYPES))
                for statement in _ONLY_ADDED:
                    sql.run(statement)
                database._fill(sql, identity)
        finally:
            database.close()
        return cls(url)

    @override
    def size(self) -> int:
        with self._reading() as sql:
            rows = sql.rows(
                "SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' AND "
                "relname IN ('gallery_meta', 'gallery_recordings', 'gallery_templates', 'gallery_documents', "
                "'gallery_audit') AND relnamespace = current_schema()::regnamespace"
            )
        return int(rows[0][0])

    def nearest(
        self,
        lead_set: str,
        vector: Float32[np.ndarray, "dimension"],
        *,
        top: int = 10,
        approximate: bool = False,
    ) -> list[Neighbour]:
        """Returns the most similar templates of a lead set, found by the server.

        Args:
            lead_set: Through which recordings are compared.
            vector: Of length 1.
            top: How many.
            approximate: Whether to use the index that `build_index` made, which is faster and may miss some;
                exact otherwise, as a missed first place is a wrong patient.
        """
        identity = self.identity()
        with self._reading() as sql:
            if approximate:
                sql.run(f"SET LOCAL hnsw.ef_search = {min(1000, max(40, 4 * int(top)))}")
            else:
                sql.run("SET LOCAL enable_indexscan = off")
            place = f"t.vector::vector({int(identity.dimension)})"
            rows = sql.rows(
                "SELECT r.record_id, r.patient_id, -s.distance FROM "
                f"(SELECT t.recording, {place} <#> ? AS distance FROM gallery_templates t "
                f"WHERE t.lead_set = ? ORDER BY {place} <#> ? LIMIT ?) s "
                "JOIN gallery_recordings r ON r.number = s.recording ORDER BY s.distance",
                Vector(vector),
                lead_set,
                Vector(vector),
                top,
            )
        return [Neighbour(record_id=row[0], patient_id=row[1], similarity=float(row[2])) for row in rows]

    def build_index(self, lead_set: str) -> None:
        """Makes an HNSW index for approximate search through a lead set, in the place of an older one.

        Source: Y. Malkov, D. Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using
        Hierarchical Navigable Small World Graphs", IEEE TPAMI 42(4), 2020.

        Raises:
            GalleryError: If the gallery has no such lead set, or more dimensions than the server can index.
        """
        identity = self.identity()
        names = [known.name for known in identity.lead_sets]
        if lead_set not in names:
            raise GalleryError(
                f"{self.where}: the lead set '{lead_set}' is not one of the gallery; it has "
                f"{', '.join(names)}."
            )
        index = psycopg.sql.Identifier(f"gallery_hnsw_{names.index(lead_set)}")
        statements = (
            psycopg.sql.SQL("DROP INDEX IF EXISTS {}").format(index),
            psycopg.sql.SQL(
                "CREATE INDEX {} ON gallery_templates USING hnsw ((vector::vector({})) vector_ip_ops) "
                "WHERE lead_set = {}"
            ).format(index, psycopg.sql.Literal(identity.dimension), psycopg.sql.Literal(lead_set)),
        )
        with self._lock, self._explained():
            connection = self._connected()
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement)

    @override
    def replace_all(
        self, identity: GalleryIdentity, enrolments: Sequence[Enrolment], *, actor: str, action: str
    ) -> None:
        # An index is of one dimension and of vectors that go.
        with self._writing() as sql:
            for number in range(len(self._opened_as.lead_sets)):
                sql.run(f"DROP INDEX IF EXISTS gallery_hnsw_{number}")
        super().replace_all(identity, enrolments, actor=actor, action=action)

    def measured_recall(
        self, lead_set: str, vectors: Float32[np.ndarray, "queries dimension"], *, top: int = 1
    ) -> float:
        """Returns which share of the exact `top` neighbours the index finds."""
        found = 0.0
        for vector in vectors:
            exact = {n.record_id for n in self.nearest(lead_set, vector, top=top)}
            quick = {n.record_id for n in self.nearest(lead_set, vector, top=top, approximate=True)}
            found += len(exact & quick) / max(1, len(exact))
        return found / len(vectors)

    @override
    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _prepare(self, url: str, key: GalleryKey) -> None:
        self.where = without_password(url)
        self._url = url
        self._key = key
        self._lock = RLock()
        self._connection = None

    def _has_tables(self) -> bool:
        with self._transaction() as sql:
            return sql.rows("SELECT to_regclass('gallery_meta')")[0][0] is not None

    def _connected(self) -> "psycopg.Connection[Any]":
        if self._connection is None:
            connection = psycopg.connect(self._url, autocommit=True, connect_timeout=10)
            try:
                connection.execute(f"SET lock_timeout = '{PATIENCE_S}s'")
                connection.execute("SET synchronous_commit = on")
                connection.execute("SET default_transaction_isolation = 'repeatable read'")
                if connection.execute("SELECT to_regtype('vector')").fetchone() != (None,):
                    register_vector(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _reading(self) -> Iterator[Statements]:
        with self._transaction() as sql:
            yield sql

    @contextmanager
    def _writing(self) -> Iterator[Statements]:
        with self._transaction() as sql:
            # The first statement of a transaction: its view of the tables begins when the lock is held, so
            # what is read in it cannot grow old.
            sql.run("LOCK TABLE gallery_meta IN EXCLUSIVE MODE")
            yield sql

    @contextmanager
    def _transaction(self) -> Iterator[Statements]:
        with self._lock, self._explained():
            connection = self._connected()
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                yield Statements(cursor, "%s")

    def _erase(self) -> None:
        with self._lock, self._explained():
            for table in ("gallery_templates", "gallery_recordings", "gallery_documents"):
                self._connected().execute(f"VACUUM (FULL) {table}")

    def _vector_in(self, vector: Float32[np.ndarray, "dimension"]) -> Vector:
        return Vector(vector)

    def _vector_out(self, value: Any) -> Float32[np.ndarray, "dimension"]:
        return np.asarray(value.to_numpy() if isinstance(value, Vector) else value, np.float32)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what PostgreSQL says into one sentence, and gives up a connection that is broken."""
        try:
            yield
        except psycopg.Error as error:
            broken = self._connection is None or self._connection.broken or self._connection.closed
            if broken:
                self.close()
            says = " ".join(str(error).split()) or type(error).__name__
            away = broken or isinstance(error, psycopg.errors.LockNotAvailable)
            if isinstance(error, psycopg.errors.LockNotAvailable):
                says = f"another process was writing for more than {PATIENCE_S} s; try again"
            elif broken:
                says = f"the server cannot be reached or ended the connection ({says}); try again"
            kind = GalleryUnavailableError if away else GalleryError
            raise kind(f"{self.where}: {says.rstrip('.')}.") from error


def without_password(url: str) -> str:
    """Returns a URL as it may be shown: without password and options."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")
    user = place[0].partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{place[2]}" if user else place[2], parts.path, "", ""))
