"""Whether the service is well, and the page."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from anylead.service.errors import ErrorBody, Refused, documented
from anylead.service.messages import StateTold
from anylead.service.routes_records import Reader
from anylead.service.state import Shared

router = APIRouter(tags=["state"])

_PAGE = Path(__file__).parent / "page"
PAGE = {file.relative_to(_PAGE).as_posix(): file for file in sorted(_PAGE.rglob("*")) if file.is_file()}
"""The files of the page by name: what is asked for is looked up here, and never made a path of."""


@router.get(
    "/healthz",
    response_model=StateTold,
    responses={421: {"model": ErrorBody}, 403: {"model": ErrorBody}},
    summary="Is the process alive?",
)
async def healthz() -> JSONResponse:
    """Answers as long as the process does."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=StateTold, responses=documented(), summary="Can it work?")
async def readyz(service: Shared) -> JSONResponse:
    """Answers 200 if the model is loaded, the gallery is reachable and the service is not stopping."""
    if service.stopping or not service.model.is_alive():
        raise Refused(503, "The service is stopping.")
    await service.reach()
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented()},
    summary="Counts and times for Prometheus",
)
async def metrics(service: Shared, _: Reader) -> Response:
    """Returns counts by route and status, times, depths of queues, refusals and sizes of batches."""
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Returns the page."""
    return await page_file("index.html")


@router.get("/page/{name:path}", include_in_schema=False)
async def page_file(name: str) -> FileResponse:
    """Returns a file of the page."""
    if name not in PAGE:
        raise Refused(404, "There is no such file of the page.")
    return FileResponse(PAGE[name])
