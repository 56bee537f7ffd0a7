"""What is PostgreSQL's own: keys from the environment, restarts, what its files hold, approximate search."""

import random

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.gallery_key import KEY_VARIABLE
from anylead.gallery.open_database import create_database, open_database
from gallery_rows import enrolment, identity, unit

postgres_database = pytest.importorskip("anylead.gallery.postgres_database", reason="needs psycopg, pgvector")


@pytest.fixture
def database(postgres_url):
    with create_database(postgres_url, identity()) as made:
        yield made


def test_the_key_comes_from_the_environment_or_a_file(postgres_url, monkeypatch, tmp_path):
    file = tmp_path / "gallery.key"
    monkeypatch.setenv(KEY_VARIABLE, str(file))
    create_database(postgres_url, identity()).close()
    assert file.stat().st_mode & 0o777 == 0o600
    open_database(postgres_url).close()
    monkeypatch.setenv(KEY_VARIABLE, file.read_text())
    open_database(postgres_url).close()
    monkeypatch.setenv(KEY_VARIABLE, "11" * 32)
    with pytest.raises(GalleryError, match="the key is that of another gallery"):
        open_database(postgres_url)
    monkeypatch.setenv(KEY_VARIABLE, "no key")
    with pytest.raises(GalleryError, match="ANYLEAD_GALLERY_KEY: this is no key of a gallery"):
        open_database(postgres_url)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(GalleryError, match="ANYLEAD_GALLERY_KEY: the variable is not set"):
        open_database(postgres_url)


def test_one_gallery_a_database(database, postgres_url):
    with pytest.raises(GalleryError, match="there is a gallery in this database already"):
        create_database(postgres_url, identity())


def test_a_database_without_gallery(postgres_url):
    with pytest.raises(GalleryError, match="there is no gallery in this database"):
        open_database(postgres_url)


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "5a" * 32)
    with pytest.raises(GalleryError, match="the server cannot be reached") as raised:
        open_database("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=1")
    assert "secret" not in str(raised.value)


def test_after_a_lost_connection_one_call_fails_and_the_next_works(database, postgres_server):
    database.enrol([enrolment(1)], actor="x")
    postgres_server.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname LIKE 'gallery%';"
    )
    with pytest.raises(GalleryError, match="the server cannot be reached or ended the connection"):
        database.record_ids()
    assert database.record_ids() == ["record 1"]
    assert database.enrol([enrolment(2)], actor="x") == 1
    assert len(database.audit()) == 3


def test_a_server_that_crashes_and_restarts(database, postgres_server):
    from pgserver import pg_ctl

    database.enrol([enrolment(1)], actor="x")
    arguments = ["-w", "-m", "immediate", "-l", str(postgres_server.log), "restart"]
    pg_ctl(arguments, pgdata=postgres_server.pgdata, user=postgres_server.system_user)
    with pytest.raises(GalleryError, match="the server cannot be reached or ended the connection"):
        database.enrol([enrolment(2)], actor="x")
    assert database.record_ids() == ["record 1"]
    assert database.enrol([enrolment(2)], actor="x") == 1


def test_the_server_searches_exactly_and_by_choice_approximately(database):
    database.enrol([enrolment(n) for n in range(200)], actor="x")
    table = database.templates("12")
    query = unit(9999)
    similarity = table.vectors @ query
    order = np.argsort(-similarity)[:5]
    found = database.nearest("12", query, top=5)
    assert [n.record_id for n in found] == [table.record_ids[k] for k in order]
    assert [n.similarity for n in found] == pytest.approx(similarity[order].tolist(), abs=1e-6)
    database.build_index("12")
    database.build_index("12")
    with database._reading() as sql:
        sql.run("SET LOCAL enable_seqscan = off")
        # The index is one that a search of this form can use.
        plan = sql.rows(
            "EXPLAIN SELECT recording FROM gallery_templates t WHERE t.lead_set = '12' "
            "ORDER BY t.vector::vector(48) <#> ? LIMIT 5",
            postgres_database.Vector(query),
        )
    assert any("gallery_hnsw_0" in row[0] for row in plan)
    assert 0.8 <= database.measured_recall("12", np.stack([unit(5000 + k) for k in range(20)]), top=5) <= 1
    assert [n.record_id for n in database.nearest("12", query, top=5)] == [n.record_id for n in found]
    with pytest.raises(GalleryError, match="the lead set 'V9' is not one of the gallery; it has 12, 6"):
        database.build_index("V9")
    # Another model's vectors have another dimension, which the old index would refuse.
    newer = identity(dimension=5)
    database.replace_all(newer, [enrolment(1, templates={"12": unit(3, 5)})], actor="x", action="rebuild")
    assert [n.record_id for n in database.nearest("12", unit(3, 5), approximate=True)] == ["record 1"]


def test_what_is_removed_is_in_no_table_file(database, postgres_server):
    samples = random.Random(1).randbytes(5000)
    gone = enrolment(1, patient="Gone Patient", signal=samples)
    database.enrol([enrolment(2), gone, enrolment(3)], actor="x")
    needles = [b"Gone Patient", gone.templates["12"].tobytes(), samples[:200]]
    tables = postgres_server.pgdata / "base"

    def held():
        postgres_server.psql("CHECKPOINT;")
        contents = [file.read_bytes() for file in tables.rglob("*") if file.is_file()]
        return [any(needle in content for content in contents) for needle in needles]

    assert held() == [True, True, True]
    assert database.remove("Gone Patient", actor="x") == 1
    assert held() == [False, False, False]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/db?sslmode=require", "postgresql://me@host:5432/db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://me:a%40b@/db?host=/run&password=secret", "postgresql://me@/db"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert postgres_database.without_password(url) == shown
