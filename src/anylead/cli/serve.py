"""anylead serve: a gallery over HTTP, with a page."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from anylead.cli.arguments import parse
from anylead.errors import ConfigError

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"} | {
    "prometheus_client": "prometheus-client"
}
"""Module -> package, of the extra ``service``."""


@dataclass(frozen=True, kw_only=True)
class ServeArguments:
    """Serves a gallery over HTTP: an API (described at /openapi.json) and a page at /.

    It listens on this machine only; elsewhere it needs API keys, which `anylead keys` makes. Put a server
    that speaks TLS before it when it listens elsewhere.
    """

    gallery: str
    """Folder of the gallery, or postgresql://..."""
    bundle: Path
    """Folder of the bundle by which the gallery was made, or its name on the Hugging Face Hub."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers may reach it, besides the address and localhost."""
    upload_mib: int = 32
    """Largest upload."""
    queue: int = 64
    """Requests that may wait; one more is answered with 429."""
    batch_windows: int = 64
    """Windows the model takes at a time."""


def run(argv: list[str]) -> None:
    """Runs ``anylead serve`` until it is stopped.

    Raises:
        ConfigError: If a package of the extra ``service`` is not installed, or the address needs keys.
    """
    given, _ = parse(ServeArguments, argv, prog="anylead serve")
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"serving needs {', '.join(missing)}, which is not installed; install anylead[service]."
        )

    from anylead.bundle import load
    from anylead.gallery.gallery import Gallery
    from anylead.service.app import make_app
    from anylead.service.server import serve
    from anylead.service.settings import ServiceSettings

    settings = ServiceSettings(
        host=given.host,
        port=given.port,
        allowed_hosts=given.allowed_hosts,
        upload_bytes=given.upload_mib * 2**20,
        queue=given.queue,
        batch_windows=given.batch_windows,
    )
    bundle = load(given.bundle)
    gallery = Gallery.open(given.gallery, bundle)
    try:
        serve(make_app(gallery, bundle, settings), settings)
    finally:
        gallery.close()
