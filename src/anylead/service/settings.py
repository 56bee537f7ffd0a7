"""Settings of the service: where it listens, and the bounds of everything a client can make it do."""

from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that only this machine reaches."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Everything that can be set; the defaults suit one machine."""

    host: str = "127.0.0.1"
    """Address to listen on; another one than loopback needs API keys."""
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers may reach it, besides `host` and the names of loopback."""
    upload_bytes: int = 32 * 2**20
    """Largest upload."""
    unpacked_bytes: int = 256 * 2**20
    """Largest content of an uploaded zip."""
    body_bytes: int = 64 * 2**10
    """Largest body of every other request."""
    header_timeout_s: float = 10.0
    """How long a client may take to send the head of a request."""
    body_timeout_s: float = 30.0
    """How long a client may take to send a body."""
    read_timeout_s: float = 30.0
    """How long reading and preparing an upload may take."""
    work_timeout_s: float = 300.0
    """How long a request waits for the model or the gallery."""
    readers: int = 2
    """Uploads read at a time."""
    calibrate_after_s: float = 5.0
    """How long after a write the gallery's calibration is looked at, in a thread of its own."""
    queue: int = 64
    """Requests that wait for the model, the gallery or a reader at a time; one more is refused with 429."""
    retry_after_s: int = 1
    """What a refused client is told to wait."""
    batch_windows: int = 64
    """Windows the model takes at a time."""
    batch_wait_ms: float = 3.0
    """How long it waits for more of them."""
    held_records: int = 256
    """Uploaded recordings kept in memory; the oldest go first."""
    held_bytes: int = 512 * 2**20
    """Memory for them; a recording that needs more than a quarter of it is refused."""
    held_s: float = 900.0
    """How long one is kept."""
    connections: int = 512
    """Connections at a time."""
    shutdown_s: int = 30
    """How long running requests may take after the service was told to stop."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK

    @property
    def hosts(self) -> frozenset[str]:
        """Names that the ``Host`` of a request may have."""
        return frozenset(name.lower() for name in (*LOOPBACK, self.host, *self.allowed_hosts))
