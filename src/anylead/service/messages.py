"""Bodies of requests and of the answers that are no dataclass of the gallery."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Id of a patient or a recording: up to 200 characters, none of them a control character."""
Handle = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""Of an uploaded recording."""
Leads = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=16)]], Field(min_length=1, max_length=64)
]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Told(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class RecordAsked(_Asked):
    """An uploaded recording, through some of its leads."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"record": "Zm9vYmFy", "leads": ["I", "II"]}]})

    record: Handle
    """Handle from `POST /v1/records`."""
    leads: Leads | None = None
    """Leads to use; all where null."""


class IdentifyAsked(RecordAsked):
    """Whose recording is it?"""

    model_config = ConfigDict(json_schema_extra={"examples": [{"record": "Zm9vYmFy", "top": 5}]})

    top: Annotated[int, Field(ge=1, le=1000)] = 10
    """Patients to name."""
    known_prior: Share = 0.5
    """Probability, before looking, that the person is in the gallery."""


class VerifyAsked(RecordAsked):
    """Is it of this patient?"""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"record": "Zm9vYmFy", "patient_id": "patient-17"}]}
    )

    patient_id: Name
    prior: Share = 0.9995
    """Probability, before looking, that it is."""


class EnrolAsked(_Asked):
    """A recording to enrol."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"record": "Zm9vYmFy", "patient_id": "patient-17"}]}
    )

    record: Handle
    patient_id: Name
    record_id: Name | None = None
    """Its name in the gallery; made of its samples where null."""


class ReviewAsked(_Asked):
    """What a reviewer decided."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"verdict": "accept", "note": "other rhythm"}]})

    verdict: Literal["accept", "reject", "unsure"]
    note: Annotated[str, Field(max_length=2000)] = ""


class RecordTold(_Told):
    """An uploaded recording."""

    record: str
    """Handle under which other requests name it."""
    record_id: str
    """Made of its samples: the same recording has the same id."""
    leads: list[str]
    sampling_rate_hz: float
    """As recorded."""
    duration_s: float
    flags: list[str]
    """What reading and preparing noticed."""
    expires_in_s: float


class SignalTold(_Told):
    """A piece of a prepared recording."""

    record_id: str
    leads: list[str]
    sampling_rate_hz: float
    start_s: float
    duration_s: float
    """Of the piece."""
    recording_s: float
    """Of the whole recording."""
    microvolts: dict[str, list[int | None]]
    """Lead -> samples, null where missing."""


class EmbeddingTold(_Told):
    """A vector; it can identify a person."""

    embedding: list[float]
    model: str
    """Fingerprint of the bundle."""
    leads: list[str]


class ClassTold(_Told):
    """One class."""

    name: str
    probability: float
    threshold: float
    found: bool
    """Whether the probability reaches the threshold."""


class ClassesTold(_Told):
    """What the classification head says."""

    classes: list[ClassTold]
    leads: list[str]


class PointTold(_Told):
    """One recording on the map."""

    record_id: str
    patient_id: str
    x: float
    y: float


class MapTold(_Told):
    """The gallery's templates of one lead set, on their first two principal components."""

    lead_set: str | None
    points: list[PointTold]


class EnrolledTold(_Told):
    """One recording of a patient."""

    record_id: str
    recorded_at: datetime | None
    leads: list[str]
    flags: list[str]


class PatientTold(_Told):
    """What the gallery has of a patient."""

    patient_id: str
    recordings: list[EnrolledTold]


class RemovedTold(_Told):
    """How many recordings were removed."""

    removed: int


class StateTold(_Told):
    """Whether the service is well."""

    status: Literal["ok", "ready"]
