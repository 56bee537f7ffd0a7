"""Bodies are bounded while they come in: by size, before the whole is here, and by time."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anylead.service.errors import Refused, error_response
from anylead.service.settings import ServiceSettings

_CLOSE = {"Connection": "close"}


class BodyLimits:
    """Middleware that refuses bodies too large (413) or too slow (408).

    Args:
        app: What is behind it.
        settings: The limits.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on with its body bounded."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload = scope["path"] == "/v1/records"
        limit = self.settings.upload_bytes if upload else self.settings.body_bytes
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            refused = _too_large(limit)
            identity = str(scope.get("anylead.request_id", ""))
            await error_response(413, refused.detail, identity, _CLOSE)(scope, receive, send)
            return
        await self.app(scope, self._bounded(receive, limit), send)

    def _bounded(self, receive: Receive, limit: int) -> Receive:
        until = time.monotonic() + self.settings.body_timeout_s
        seen, complete = 0, False

        async def bounded() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()  # waits for the client to leave
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0.001))
            except TimeoutError as error:
                raise Refused(
                    408, "The body did not arrive in time; send it faster.", headers=_CLOSE
                ) from error
            seen += len(message.get("body", b""))
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            if seen > limit:
                raise _too_large(limit)
            return message

        return bounded


def _too_large(limit: int) -> Refused:
    return Refused(413, f"The body is larger than {limit} bytes, the most accepted here.", headers=_CLOSE)
