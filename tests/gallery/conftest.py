"""Databases of both kinds, a real PostgreSQL among them."""

from itertools import count

import pytest

from anylead.gallery.gallery_key import KEY_VARIABLE
from postgres_server import running_postgres

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server with pgvector for the tests of one process."""
    with running_postgres() as server:
        yield server


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
