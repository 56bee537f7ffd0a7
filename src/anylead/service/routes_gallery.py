"""What the gallery is asked, told and made to forget."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response

from anylead.gallery.results import EnrolSummary, GalleryInfo, Identification, Verification, Worklist
from anylead.service.errors import Refused, documented, without_place
from anylead.service.messages import (
    EnrolAsked,
    IdentifyAsked,
    MapTold,
    PatientTold,
    RemovedTold,
    ReviewAsked,
    SignalTold,
    VerifyAsked,
)
from anylead.service.plain import answer
from anylead.service.routes_model import selected
from anylead.service.routes_records import Reader, Seconds, Start
from anylead.service.security import allows
from anylead.service.signals import piece_of
from anylead.service.state import CALIBRATING, Service, Shared

router = APIRouter(prefix="/v1", tags=["gallery"])

NamePath = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Enroller = Annotated[str, Depends(allows("enrol"))]
Reviewer = Annotated[str, Depends(allows("review"))]
Administrator = Annotated[str, Depends(allows("admin"))]


@router.post(
    "/identify",
    response_model=Identification,
    responses=documented(404, 409),
    summary="Whose recording is it?",
)
async def identify(asked: IdentifyAsked, service: Shared, owner: Reader) -> JSONResponse:
    """Returns the patients it may be of, the most similar first, and whether it may be nobody's here.

    The gallery is calibrated in the background after the service starts and after writes; until then the
    verdict is ``undecided``, without probabilities, and a note says so.
    """
    record = selected(service, asked, owner)
    found = await service.run_model(
        lambda: service.gallery.identify(
            record, top=asked.top, known_prior=asked.known_prior, calibrate=False
        )
    )
    return _decided(service, found)


@router.post(
    "/verify", response_model=Verification, responses=documented(404, 409), summary="Is it of this patient?"
)
async def verify(asked: VerifyAsked, service: Shared, owner: Reader) -> JSONResponse:
    """Returns whether a recording is of the patient named, and who fits best besides; see `/v1/identify`."""
    record = selected(service, asked, owner)
    if asked.patient_id not in await service.ask(service.gallery.database.patients):
        raise _no_patient()
    found = await service.run_model(
        lambda: service.gallery.verify(record, asked.patient_id, prior=asked.prior, calibrate=False)
    )
    return _decided(service, found)


@router.post(
    "/enrol",
    status_code=201,
    response_model=EnrolSummary,
    responses=documented(404, 409),
    summary="Enrol an uploaded recording",
)
async def enrol(asked: EnrolAsked, service: Shared, actor: Enroller) -> JSONResponse:
    """Adds a recording to the gallery, or leaves the one that is there alone."""
    raw = service.held_record(asked.record, actor).raw
    record = replace(raw, patient_id=asked.patient_id, record_id=asked.record_id or raw.record_id)
    summary = await service.run_model(lambda: service.gallery.enrol([record], actor=actor))
    if summary.failed:
        raise Refused(409, without_place(str(summary.failed[0][1]), service.gallery))
    service.wrote()
    return answer(summary, status=201)


@router.get(
    "/worklist",
    response_model=Worklist,
    responses=documented(409),
    summary="Recordings that may be filed under the wrong patient",
)
async def worklist(
    service: Shared,
    _: Reader,
    budget: Annotated[int, Query(ge=1, le=10_000)] = 50,
    prevalence: Annotated[float, Query(gt=0, lt=1, allow_inf_nan=False)] = 0.0005,
) -> JSONResponse:
    """Screens every recording against its own patient's others and against everybody's.

    Screening is done once at a time, and other worklists wait for it. Comparisons are kept until the gallery
    changes, so that the next worklist comes at once. What takes too long is answered with 503 and goes on:
    ask again later.
    """
    return answer(await service.screen(lambda: service.gallery.screen(prevalence=prevalence, budget=budget)))


@router.post(
    "/worklist/{case_id}/review",
    status_code=204,
    response_class=Response,
    responses=documented(404, 409),
    summary="Keep what a reviewer decided",
)
async def review(
    case_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")],
    asked: ReviewAsked,
    service: Shared,
    actor: Reviewer,
) -> Response:
    """Keeps a verdict, and adds it to the audit trail under the name of the key."""
    run = service.ask if service.gallery.knows_case(case_id) else service.screen
    await run(lambda: service.gallery.review(case_id, asked.verdict, actor=actor, note=asked.note))
    return Response(status_code=204)


@router.get("/gallery", response_model=GalleryInfo, responses=documented(), summary="What the gallery holds")
async def info(service: Shared, _: Reader) -> JSONResponse:
    """Returns counts, the model, and for which lead sets there is a calibration."""
    # Where it lies is nobody's business but the operator's, and a URL may hold a password.
    return answer(replace(await service.ask(service.gallery.info), url=""))


@router.get(
    "/gallery/map", response_model=MapTold, responses=documented(409), summary="All recordings on a plane"
)
async def gallery_map(service: Shared, _: Reader) -> JSONResponse:
    """Returns the first two principal components of the templates of the commonest lead set."""
    lead_set = await service.ask(service.gallery.map_lead_set)
    return answer({"lead_set": lead_set, "points": await service.ask(service.gallery.map)})


@router.get(
    "/gallery/records/{record_id:path}/signal",
    response_model=SignalTold,
    responses=documented(404),
    summary="A piece of an enrolled recording, where signals are kept",
)
async def kept_signal(
    record_id: NamePath, service: Shared, _: Reader, start_s: Start = 0.0, seconds: Seconds = 10.0
) -> JSONResponse:
    """Returns integers in microvolts at the bundle's rate."""
    record = await service.ask(service.gallery.record, record_id)
    if record is None:
        raise Refused(404, "There is no such recording in the gallery, or its signal was not kept.")
    return answer(piece_of(record, start_s, seconds))


@router.get(
    "/patients/{patient_id:path}",
    response_model=PatientTold,
    responses=documented(404),
    summary="What the gallery has of a patient",
)
async def patient(patient_id: NamePath, service: Shared, _: Reader) -> JSONResponse:
    """Returns the recordings of a patient."""
    found = await service.ask(lambda: service.gallery.database.enrolments(patient_id=patient_id))
    if not found:
        raise _no_patient()
    return answer({"patient_id": patient_id, "recordings": [_enrolled(one) for one in found]})


@router.delete(
    "/patients/{patient_id:path}",
    response_model=RemovedTold,
    responses=documented(404),
    summary="Remove everything of a patient",
)
async def remove(patient_id: NamePath, service: Shared, actor: Administrator) -> JSONResponse:
    """Removes a patient's templates, signals and reviews; the audit trail keeps a keyed hash."""
    removed = await service.ask(lambda: service.gallery.remove(patient_id, actor=actor))
    if not removed:
        raise _no_patient()
    service.wrote()
    return answer({"removed": removed})


def _decided(service: Service, found: Identification | Verification) -> JSONResponse:
    """Answers; where there is no calibration yet, or other processes may have written, it is looked at."""
    if service.calibration_due and found.threshold is None:
        found = replace(found, notes=[*found.notes, CALIBRATING])
    service.calibrate_soon()
    return answer(found)


def _enrolled(one: Any) -> dict[str, Any]:
    return {
        "record_id": one.record_id,
        "recorded_at": one.recorded_at,
        "leads": one.leads,
        "flags": one.flags,
    }


def _no_patient() -> Refused:
    return Refused(404, "There is no such patient in the gallery.")
