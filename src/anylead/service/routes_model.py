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
    record = selected(service, asked, owner)
    vector = await _rows(service, record, service.model.embed)
    leads = known_leads(record, service.bundle.encoder.leads)
    return answer({"embedding": vector, "model": service.fingerprint, "leads": leads})


@router.post(
    "/classify",
    response_model=ClassesTold,
    responses=documented(404, 409),
    summary="Classify a recording, where the bundle has a classification head",
)
async def classify(asked: RecordAsked, service: Shared, owner: Reader) -> JSONResponse:
    """Returns the probability of each class, through all or some of the leads."""
    record = selected(service, asked, owner)
    try:
        names, thresholds = service.bundle.classes(), service.bundle.thresholds()
    except InputError as error:
        raise Refused(409, str(error)) from error
    probabilities = (await _rows(service, record, service.model.classify)).tolist()
    classes = [
        {"name": name, "probability": value, "threshold": threshold, "found": value >= threshold}
        for name, value, threshold in zip(names, probabilities, thresholds, strict=True)
    ]
    leads = known_leads(record, service.bundle.encoder.leads)
    return answer({"classes": classes, "leads": leads})


def selected(service: Service, asked: RecordAsked, owner: str) -> Record:
    """Returns an uploaded recording with the leads asked for.

    Raises:
        Refused: If there is none of this handle (404).
        LeadError: If it lacks one of the leads.
    """
    record = service.held_record(asked.record, owner).raw
    return record if asked.leads is None else record.select(lead_set(asked.leads))


async def _rows(
    service: Service, record: Record, run: Callable[[Sequence[Window]], "Future[Any]"]
) -> np.ndarray:
    limit_s = service.settings.work_timeout_s
    windows = await service.reading.run(_windows, service, record, limit_s=limit_s)
    row: np.ndarray = await wait(run(windows), limit_s=limit_s)
    return row


def _windows(service: Service, record: Record) -> list[Window]:
    return list(service.bundle.windows_of([record]))
