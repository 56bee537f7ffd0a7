"""What a client is told when something goes wrong: one JSON object, one sentence, never a traceback."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from anylead.errors import (
    AnyleadError,
    ConfigError,
    GalleryError,
    GalleryUnavailableError,
    InputError,
    RecordFileError,
)
from anylead.service.logs import log, place_of

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported",
    421: "wrong_host",
    422: "invalid",
    429: "busy",
    500: "internal",
    503: "unavailable",
}
AWAY = "The gallery cannot be reached or written to now; try again in a moment."
_SENTENCES = {
    400: "The request cannot be understood; send what /openapi.json describes.",
    404: "There is nothing at this address; /openapi.json lists what there is.",
    405: "This method is not accepted here; /openapi.json lists those that are.",
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    """One word, for programs."""
    message: str
    """One sentence, for people."""
    request_id: str
    """Under which the log has this request."""


class ErrorBody(BaseModel):
    """Body of every answer that is an error."""

    error: ErrorDetail


class Refused(HTTPException):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: One sentence for the client.
        headers: To be sent besides.
    """

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status_code=status, detail=message, headers=headers)


def error_response(
    status: int, message: str, request_id: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Returns the answer for an error."""
    code = CODES.get(status, "error")
    detail = {"code": code, "message": message, "request_id": request_id}
    return JSONResponse({"error": detail}, status_code=status, headers=headers)


def status_of(error: AnyleadError) -> int:
    """Returns the HTTP status of what the library refuses."""
    if isinstance(error, GalleryUnavailableError):
        return 503
    if isinstance(error, InputError | RecordFileError | ConfigError):
        return 422
    return 409 if isinstance(error, GalleryError) else 503


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says about errors of a route, with those any route may give."""
    every = (400, 401, 403, 408, 413, 421, 422, 429, 503)
    said = {status: CODES[status].replace("_", " ") for status in sorted({*every, *statuses})}
    return {status: {"model": ErrorBody, "description": text} for status, text in said.items()}


def add_handlers(app: FastAPI) -> None:
    """Makes every error of the app an answer of this kind."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(AnyleadError, _library)


def _id(request: Request) -> str:
    return str(request.scope.get("anylead.request_id", ""))


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    own = isinstance(error, Refused)
    message = error.detail if own else _SENTENCES.get(error.status_code, str(error.detail))
    return error_response(error.status_code, message, _id(request), dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return error_response(422, f"{where}: {first['msg']}.", _id(request))


def _library(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyleadError)
    if isinstance(error, GalleryUnavailableError):
        # Its sentence is the database's: for the log.
        log("gallery", level=logging.ERROR, request_id=_id(request), error=place_of(error))
        return error_response(503, AWAY, _id(request), {"Retry-After": "1"})
    message = without_place(str(error.args[0] if error.args else error), request.app.state.service.gallery)
    return error_response(status_of(error), message, _id(request))


def without_place(message: str, gallery: Any) -> str:
    """Returns a sentence of the gallery without where it lies, which is the operator's business only."""
    return " ".join(message.replace(gallery.database.where, "the gallery").split())
