"""Keys by which programs and people use a gallery over HTTP, and what each may do."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anylead.errors import ConfigError, GalleryError
from anylead.gallery.database import Database

ROLES = ("read", "enrol", "review", "admin")
"""What a key may allow: all may read, ``enrol`` adds recordings, ``review`` judges cases, ``admin`` all."""

DOCUMENT = "keys"
"""Name of the document that holds the hashes."""

_PREFIX = "anylead_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is known of a key; the key itself is not."""

    name: str
    """Who or what uses it; the audit trail names it."""
    roles: tuple[str, ...]
    """Of `ROLES`."""
    made_at: str
    """UTC, ISO 8601."""
    revoked_at: str | None = None

    def may(self, role: str) -> bool:
        """Says whether the key allows what a role does."""
        return role == "read" or role in self.roles or "admin" in self.roles


class ApiKeys:
    """The keys of one gallery.

    A key is 256 random bits, so a plain keyed hash (HMAC-SHA-256) is kept of it: there is no guessing that a
    slow hash would have to hinder. The hash is made with a secret of the gallery, so a key of another gallery
    is not known here, not even where somebody copied the hash over.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret = database.secret("api keys")

    def make(self, name: str, roles: Collection[str], *, actor: str = "local") -> str:
        """Makes a key and returns it; this is the only time that it can be seen.

        Raises:
            ConfigError: If the name cannot be used, or a role is not one of `ROLES`.
            GalleryError: If the name is there already.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"key '{name}': a name is 1 to 64 letters, digits and . _ @ - and begins with one of the "
                "first two; choose another."
            )
        unknown = sorted(set(roles) - set(ROLES))
        if unknown or not roles:
            raise ConfigError(
                f"key {name}: the roles are {', '.join(ROLES)}, not '{', '.join(unknown)}'; give at "
                "least one."
            )
        key = _PREFIX + secrets.token_urlsafe(32)
        kept = {
            "hash": self._hash(key),
            "roles": [role for role in ROLES if role in roles],
            "made_at": _now(),
            "revoked_at": None,
        }

        def add(document: dict[str, Any]) -> dict[str, Any]:
            if name in document:
                raise GalleryError(
                    f"key {name}: there is one of this name, if only a revoked one; take another."
                )
            return {**document, name: kept}

        details = {"key": name, "made": True, "roles": kept["roles"]}
        self._database.update_document(DOCUMENT, add, actor=actor, action="keys", details=details)
        return key

    def revoke(self, name: str, *, actor: str = "local") -> None:
        """Refuses a key from now on; its name stays taken, as the audit trail names it.

        Raises:
            GalleryError: If there is no such key.
        """

        def drop(document: dict[str, Any]) -> dict[str, Any]:
            if name not in document:
                raise GalleryError(
                    f"key {name}: there is none of this name; there are: {', '.join(document) or 'none'}."
                )
            revoked_at = document[name]["revoked_at"] or _now()
            return {**document, name: {**document[name], "revoked_at": revoked_at}}

        details = {"key": name, "revoked": True}
        self._database.update_document(DOCUMENT, drop, actor=actor, action="keys", details=details)

    def list(self) -> "list[ApiKey]":
        """Returns all keys, revoked ones, too, in the order in which they were made."""
        return [_known(name, kept) for name, kept in self._kept().items()]

    def any(self) -> bool:
        """Says whether there is a key that is not revoked."""
        return any(kept["revoked_at"] is None for kept in self._kept().values())

    def check(self, key: str) -> ApiKey | None:
        """Returns whose key it is; None where it is unknown or revoked.

        Every key of the gallery is compared, each in constant time, so the time tells nothing.
        """
        given = self._hash(key)
        found = None
        for name, kept in self._kept().items():
            if hmac.compare_digest(given, kept["hash"]) and kept["revoked_at"] is None:
                found = _known(name, kept)
        return found

    def _kept(self) -> dict[str, Any]:
        return self._database.document(DOCUMENT) or {}

    def _hash(self, key: str) -> str:
        return hmac.new(self._secret, key.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _known(name: str, kept: dict[str, Any]) -> ApiKey:
    return ApiKey(
        name=name, roles=tuple(kept["roles"]), made_at=kept["made_at"], revoked_at=kept["revoked_at"]
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
