"""A real PostgreSQL with pgvector, for the tests of gallery and service."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def running_postgres() -> Iterator[Any]:
    """Yields a server of its own, and removes it; skips the test where there is none."""
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
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
