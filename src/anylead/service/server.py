"""The process: uvicorn with time-outs for heads of requests, and a stop that finishes what runs."""

import asyncio
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from anylead.service.logs import log, log_as_json
from anylead.service.settings import ServiceSettings

_HEAD_BYTES = 16 * 2**10


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Serves until SIGINT or SIGTERM, then refuses what is new and finishes what runs.

    Args:
        app: From `make_app`.
        settings: The same as the app's.
    """
    log_as_json()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_protocol(settings.header_timeout_s),
        ws="none",
        access_log=False,  # it would write paths, which may name patients
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        limit_concurrency=settings.connections,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_graceful_shutdown=settings.shutdown_s,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log("listening", host=settings.host, port=settings.port, page=f"http://{host}:{settings.port}/")
    _Server(config, app).run()
    log("stopped")


class _Server(uvicorn.Server):
    """Tells the app at once that it is stopping."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.service.stopping = True
        super().handle_exit(sig, frame)


def _protocol(timeout_s: float) -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP protocol, which by itself waits for ever for the rest of a head."""

    class TimedProtocol(H11Protocol):
        """Closes a connection whose next request does not begin, or whose head is not complete, in time."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._unwatch()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(timeout_s, self._expired)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _expired(self) -> None:
            self._deadline = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return TimedProtocol
