"""Uploading a recording, and drawing it."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from anylead.errors import AnyleadError
from anylead.record import Record
from anylead.service.errors import Refused, documented
from anylead.service.messages import RecordTold, SignalTold
from anylead.service.plain import answer
from anylead.service.security import allows
from anylead.service.signals import LONGEST_S, piece_of
from anylead.service.state import Service, Shared
from anylead.service.uploads import MAXIMUM_PARTS, Part, read_upload
from anylead.store.quantise import recording_hash

router = APIRouter(prefix="/v1", tags=["records"])

Reader = Annotated[str, Depends(allows("read"))]
HandlePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Start = Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Query(gt=0, le=LONGEST_S, allow_inf_nan=False)]

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": MAXIMUM_PARTS,
                            "description": "A recording of any format that is read, a zip of one, the files "
                            "of a WFDB record, or a table and its JSON sidecar.",
                        },
                        "fs": {
                            "type": "number",
                            "description": "Sampling rate in Hz of a file that says none.",
                        },
                        "unit": {
                            "type": "string",
                            "description": "Unit of voltage, likewise.",
                            "example": "mV",
                        },
                        "leads": {"type": "string", "description": "Leads, likewise.", "example": "I,II,III"},
                    },
                }
            }
        },
    }
}


@router.post(
    "/records",
    status_code=201,
    response_model=RecordTold,
    responses=documented(),
    openapi_extra=_FORM,
    summary="Upload a recording, which is kept in memory for a while",
)
async def upload(request: Request, service: Shared, owner: Reader) -> JSONResponse:
    """Reads an upload of any format and returns the handle under which other requests name it."""
    settings = service.settings
    async with request.form(max_files=MAXIMUM_PARTS, max_fields=8, max_part_size=4096) as form:
        files = [value for value in form.getlist("file") if isinstance(value, UploadFile)]
        if not files:
            raise Refused(422, "file: there is none; send a recording as multipart/form-data.")
        parts = [Part(name=file.filename or "", file=file.file) for file in files]
        told = {"fs": _number(form.get("fs")), "unit": _text(form, "unit"), "leads": _text(form, "leads")}
        raw, prepared = await service.reading.run(
            _read, service, parts, told, limit_s=settings.read_timeout_s, status=422
        )
    handle = service.held.put(raw, prepared, owner=owner)
    return answer(
        {
            "record": handle,
            "record_id": raw.record_id,
            "leads": raw.leads,
            "sampling_rate_hz": raw.sampling_rate_hz,
            "duration_s": raw.duration_s,
            "flags": prepared.flags,
            "expires_in_s": settings.held_s,
        },
        status=201,
    )


@router.get(
    "/records/{handle}/signal",
    response_model=SignalTold,
    responses=documented(404),
    summary="A piece of an uploaded recording, prepared",
)
async def signal(
    handle: HandlePath, service: Shared, owner: Reader, start_s: Start = 0.0, seconds: Seconds = 10.0
) -> JSONResponse:
    """Returns integers in microvolts at the bundle's rate."""
    return answer(piece_of(service.held_record(handle, owner).prepared, start_s, seconds))


def _read(service: Service, parts: list[Part], told: dict[str, Any]) -> tuple[Record, Record]:
    """Reads and prepares an upload; who it is of, which a file may tell, is not kept."""
    try:
        raw = read_upload(parts, **told, most_bytes=service.settings.unpacked_bytes)
    except AnyleadError:
        raise
    except OSError as error:
        raise Refused(503, "There is no room for uploads; try again later.") from error
    rate = service.bundle.manifest.sampling_rate_hz
    if 4 * len(raw.leads) * raw.duration_s * rate > service.held.largest_bytes:
        raise Refused(413, "The recording is too long to be kept in memory; send a part of it.")
    raw = replace(raw, record_id=f"upload-{recording_hash(raw)[:16]}", patient_id=None)
    return raw, service.bundle.preparation(raw)


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Refused(422, "fs: this is no number; give the sampling rate in Hz.") from None


def _text(form: Any, name: str) -> str | None:
    value = form.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(422, f"{name}: this is a file; send it as text.")
    return value or None
