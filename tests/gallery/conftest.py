"""Databases of both kinds, a real PostgreSQL among them."""

import shutil
import tempfile
from itertools import count
from pathlib import Path

import pytest

from anylead.gallery.gallery_key import KEY_VARIABLE

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server with pgvector for the tests of one process."""
    pgserver = pytest.importorskip("pgserver", reason="pgserver brings the PostgreSQL of these tests")
    pytest.importorskip("psycopg", reason="psycopg talks to PostgreSQL")
    # Sockets have short paths, and another account runs the server where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    try:
        server = pgserver.get_server(folder / "data")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server, monkeypatch):
    """The URL of an empty database, and a key for its gallery."""
    name = f"gallery{next(_NUMBERS)}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    monkeypatch.setenv(KEY_VARIABLE, "5a" * 32)
    yield postgres_server.get_uri(name)
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture(params=["sqlite", "postgres"])
def gallery_url(request, tmp_path) -> str:
    """Where a gallery may be made, once for each database."""
    if request.param == "sqlite":
        return str(tmp_path / "gallery")
    return request.getfixturevalue("postgres_url")
