"""Who may do what: API keys with roles, and what a browser is protected from."""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Scope

from anylead.errors import ConfigError
from anylead.service.errors import Refused
from anylead.service.settings import ServiceSettings

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Sent with every answer: the page loads nothing from elsewhere, and no answer is kept or framed."""
LOCAL = "local"
"""Name of whoever asks where there are no keys."""

_OPEN = ("/", "/healthz", "/readyz", "/openapi.json")


@runtime_checkable
class Keys(Protocol):
    """What is asked of a gallery's API keys."""

    def list(self) -> Sequence[Any]:
        """Returns every key that was ever made."""

    def check(self, key: str) -> Any | None:
        """Returns name and roles of a key, None where it is unknown or revoked."""


def require_keys_beyond_loopback(settings: ServiceSettings, keys: Keys) -> None:
    """Refuses to be reached by others without keys.

    Raises:
        ConfigError: If the address is not loopback's and there is no key.
    """
    if not settings.is_loopback and not keys.list():
        raise ConfigError(
            f"{settings.host}: other machines may reach this address, and the gallery has no API key; make "
            "one with `anylead keys make`, or listen on 127.0.0.1."
        )


def needs_key(path: str) -> bool:
    """Says whether a path is behind the keys: all but the page, and whether the service is well."""
    return path not in _OPEN and not path.startswith("/page/")


def who(keys: Keys, settings: ServiceSettings, authorization: str | None) -> tuple[str, tuple[str, ...]]:
    """Returns name and roles of whoever asks.

    Raises:
        Refused: If no key, or one that is not valid here, was given, and one is needed (401).
    """
    scheme, _, key = (authorization or "").partition(" ")
    found = keys.check(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
    if found is not None:
        return str(found.name), tuple(found.roles)
    if settings.is_loopback and not keys.list():
        return LOCAL, ("admin",)
    raise Refused(
        401,
        "A valid API key of this gallery is needed; send it as 'Authorization: Bearer KEY'.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def check_origin(scope: Scope, settings: ServiceSettings) -> None:
    """Refuses what a page of another site makes a browser send.

    A name that somebody lets point to this machine is no host of ours, which stops DNS rebinding.

    Raises:
        Refused: If the host is not ours (421), or the request comes from another origin (403).
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not _is_ours(_hostname(host), settings):
        raise Refused(421, "This host name is not served; add it with --allowed-hosts if it is yours.")
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    if foreign or headers.get("sec-fetch-site") == "cross-site":
        raise Refused(403, "Requests from pages of other sites are not accepted.")


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_ours(name: str, settings: ServiceSettings) -> bool:
    if name in settings.hosts:
        return True
    if settings.is_loopback:
        return False
    try:
        ipaddress.ip_address(name)  # a bare address cannot be rebound
    except ValueError:
        return False
    return True


_bearer = HTTPBearer(auto_error=False, description="A key that `anylead keys make` gave.")


def allows(role: str) -> Callable[..., Awaitable[str]]:
    """Returns the dependency of a route that a role may use; it gives the name of the key."""

    async def check(request: Request, _: Annotated[Any, Security(_bearer)]) -> str:
        name, roles = request.scope["anylead.caller"]
        if role != "read" and role not in roles and "admin" not in roles:
            raise Refused(403, f"The API key does not have the role '{role}'; ask for one that has.")
        return str(name)

    return check
