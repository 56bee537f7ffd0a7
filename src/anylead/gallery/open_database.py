"""Which database a gallery is in, by the look of its URL."""

from pathlib import Path

from anylead.errors import ConfigError, GalleryError
from anylead.gallery.sql_database import SqlDatabase
from anylead.gallery.sqlite_database import SqliteDatabase
from anylead.gallery.template import GalleryIdentity

SCHEMES = ("postgresql://", "postgres://")
"""What the URL of a gallery in PostgreSQL begins with; anything else is a folder."""


def is_postgres(url: str | Path) -> bool:
    """Says whether a gallery is in PostgreSQL."""
    return isinstance(url, str) and url.startswith(SCHEMES)


def create_database(url: str | Path, identity: GalleryIdentity) -> SqlDatabase:
    """Makes a gallery.

    Args:
        url: A new or empty folder, or ``postgresql://user@host/database``.
        identity: What its vectors are made by.

    Raises:
        GalleryError: If there is something already, or it cannot be written.
        ConfigError: If an optional package is missing.
    """
    if is_postgres(url):
        try:
            from anylead.gallery.postgres_database import PostgresDatabase
        except ImportError as error:
            raise _missing() from error
        return PostgresDatabase.create(str(url), identity)
    return SqliteDatabase.create(_folder(url), identity)


def open_database(url: str | Path) -> SqlDatabase:
    """Opens a gallery.

    Raises:
        GalleryError: If there is none, or it is damaged, half imported, of a newer format or of another key.
        ConfigError: If an optional package is missing.
    """
    database = _open(url)
    if database.is_importing():
        where = database.where
        database.close()
        raise GalleryError(
            f"{where}: an import into this gallery did not end; delete the gallery and import again."
        )
    return database


def _open(url: str | Path) -> SqlDatabase:
    if is_postgres(url):
        try:
            from anylead.gallery.postgres_database import PostgresDatabase
        except ImportError as error:
            raise _missing() from error
        return PostgresDatabase(str(url))
    return SqliteDatabase(_folder(url))


def _folder(url: str | Path) -> Path:
    if isinstance(url, str) and "://" in url:
        raise GalleryError(
            f"'{url.split('://')[0]}://': a gallery is a folder or a postgresql:// URL; give one of these."
        )
    return Path(url)


def _missing() -> ConfigError:
    return ConfigError(
        "postgresql: a gallery in PostgreSQL is reached with psycopg and pgvector, which are not both "
        "installed; install anylead[postgres]."
    )
