"""What the bundle makes of an uploaded recording: a vector, classes."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from anylead.bundle.inference import Window
from anylead.bundle.inputs import known_leads
from anylead.errors import InputError
from anylead.leads import lead_set
from anylead.record import Record
from anylead.service.errors import Refused, documented
from anylead.service.messages import ClassesTold, EmbeddingTold, RecordAsked
from anylead.service.plain import answer
from anylead.service.routes_records import Reader
from anylead.service.state import Service, Shared
from anylead.service.workers import wait

router = APIRouter(prefix="/v1", tags=["model"])


@router.post("/embed", response_model=EmbeddingTold, responses=documented(404), summary="Embed a recording")
async def embed(asked: RecordAsked, service: Shared, owner: Reader) -> JSONResponse:
    """Returns the vector of a recording, through all or some of its leads."""
    vector, leads = await _row(service, asked, owner, service.model.embed)
    return answer({"embedding": vector, "model": service.fingerprint, "leads": leads})


@router.post(
    "/classify",
    response_model=ClassesTold,
    responses=documented(404, 409),
    summary="Classify a recording, where the bundle has a classification head",
)
async def classify(asked: RecordAsked, service: Shared, owner: Reader) -> JSONResponse:
    """Returns the probability of each class, through all or some of the leads."""
    try:
        names, thresholds = service.bundle.classes(), service.bundle.thresholds()
    except InputError as error:
        raise Refused(409, str(error)) from error
    row, leads = await _row(service, asked, owner, service.model.classify)
    classes = [
        {"name": name, "probability": value, "threshold": threshold, "found": value >= threshold}
        for name, value, threshold in zip(names, row.tolist(), thresholds, strict=True)
    ]
    return answer({"classes": classes, "leads": leads})


def selected(service: Service, asked: RecordAsked, owner: str) -> Record:
    """Returns an uploaded recording with the leads asked for.

    Raises:
        Refused: If there is none of this handle (404).
        LeadError: If it lacks one of the leads.
    """
    record = service.held_record(asked.record, owner).raw
    return record if asked.leads is None else record.select(lead_set(asked.leads))


async def _row(
    service: Service, asked: RecordAsked, owner: str, run: Callable[[Sequence[Window]], "Future[Any]"]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns what the model gives for a recording, and the leads it was given."""
    limit_s, whole = service.settings.work_timeout_s, asked.leads is None
    # The whole recording was prepared when it was uploaded; some of its leads alone may come out otherwise.
    record = service.held_record(asked.record, owner).prepared if whole else selected(service, asked, owner)
    windows = await service.reading.run(_windows, service, record, whole, limit_s=limit_s)
    row: np.ndarray = await wait(run(windows), limit_s=limit_s)
    return row, known_leads(record, service.bundle.encoder.leads)


def _windows(service: Service, record: Record, prepared: bool) -> list[Window]:
    return list(service.bundle.windows_of([record], prepared=prepared))
