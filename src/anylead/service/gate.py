"""What every request passes first: its id, host and key; what every answer gets: headers, a count, a line."""

import logging
import re
import secrets
import time

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anylead.errors import AnyleadError
from anylead.service.errors import AWAY, Refused, error_response
from anylead.service.logs import log, place_of
from anylead.service.security import HEADERS, LOCAL, check_origin, needs_key, who
from anylead.service.state import Service

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_ALWAYS = ("/healthz", "/readyz", "/metrics")
"""Answered while the service stops, too."""


class Gate:
    """The outermost middleware.

    Args:
        app: What is behind it.
        service: What keys, settings and metrics are taken from.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began, status, started = time.perf_counter(), 500, False
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["anylead.request_id"] = identity

        async def with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = identity
                headers.update(HEADERS)
            await send(message)

        try:
            await self._admit(scope)
            await self.app(scope, receive, with_headers)
        except Refused as refused:
            answer = error_response(
                refused.status_code, refused.detail, identity, dict(refused.headers or {})
            )
            await answer(scope, receive, with_headers)
        except Exception as error:
            log("fault", level=logging.ERROR, request_id=identity, error=place_of(error))
            if not started:
                said = "Something went wrong inside the service; its log has the request's id."
                await error_response(500, said, identity)(scope, receive, with_headers)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    async def _admit(self, scope: Scope) -> None:
        settings, path = self.service.settings, scope["path"]
        scope["anylead.caller"] = ("", ())
        check_origin(scope, settings)
        if self.service.stopping and path not in _ALWAYS:
            raise Refused(
                503, "The service is stopping; try again when it is back.", headers={"Connection": "close"}
            )
        if needs_key(path):
            given = Headers(scope=scope).get("authorization")
            try:
                caller = await anyio.to_thread.run_sync(who, self.service.keys, settings, given)
            except AnyleadError as error:
                raise Refused(503, AWAY, headers={"Retry-After": "1"}) from error
            scope["anylead.caller"] = caller

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        # The template, not the path, which may name a patient.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics = self.service.metrics
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        log(
            "request",
            request_id=scope["anylead.request_id"],
            method=method,
            route=route,
            status=status,
            milliseconds=round(1000 * seconds, 1),
            key=scope["anylead.caller"][0] or LOCAL,
        )


_METHODS = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS")
