"""What a gallery keeps of a recording, and what all of it has in common."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from jaxtyping import Float32

from anylead.leads import STANDARD_12


@dataclass(frozen=True, kw_only=True)
class LeadSet:
    """Leads through which recordings are compared with each other, and only with each other."""

    name: str
    """Short and without spaces: ``12``, ``6``, ``I-II``, ``I``."""
    leads: tuple[str, ...]


LEAD_SETS: tuple[LeadSet, ...] = (
    LeadSet(name="12", leads=STANDARD_12),
    LeadSet(name="6", leads=STANDARD_12[:6]),
    LeadSet(name="I-II", leads=("I", "II")),
    LeadSet(name="I", leads=("I",)),
    LeadSet(name="II", leads=("II",)),
)
"""The largest first: a recording meets others through the first set that it has all leads of."""


TemplateKind = Literal["encoder", "median-beat"]
"""What makes vectors: the bundle's encoder, or the median beat of recordings that its steps prepared."""


@dataclass(frozen=True, kw_only=True)
class GalleryIdentity:
    """What every vector of a gallery was made by; vectors of others are refused."""

    model: str
    """Fingerprint of the bundle (`Bundle.fingerprint`), or `median_beats.MODEL`."""
    preparation: str
    """Fingerprint of its preparation steps."""
    dimension: int
    """Length of a vector."""
    lead_sets: tuple[LeadSet, ...] = LEAD_SETS
    """Through which templates are made, largest first."""
    keep_signals: bool = False
    """Whether prepared recordings are kept besides, to be drawn and to be embedded by another model."""
    projected: bool = False
    """Whether vectors were turned by a keyed projection, so that they can be cancelled (`projection`)."""
    templates: TemplateKind = "encoder"
    """What makes its vectors."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolment:
    """One recording on its way into a gallery or out of it."""

    record_id: str
    patient_id: str
    templates: dict[str, Float32[np.ndarray, "dimension"]]
    """Name of a lead set -> vector of length 1; one for each set whose leads the recording has."""
    recorded_at: datetime | None = None
    duration_s: float = 0.0
    hash: str = ""
    """Of the prepared samples (`anylead.store.quantise.recording_hash`): equal ones are one recording."""
    leads: tuple[str, ...] = ()
    """Leads recorded."""
    flags: tuple[str, ...] = ()
    """What reading, preparing and the quality measures noticed (``flat:V3``, ``reversed``)."""
    signal: bytes | None = None
    """The prepared recording as `anylead.gallery.signals` packs it; None where signals are not kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateTable:
    """All templates of one lead set, in the order in which they were enrolled."""

    record_ids: list[str]
    patient_ids: list[str]
    vectors: Float32[np.ndarray, "templates dimension"]
    recorded_at: np.ndarray = field(default_factory=lambda: np.array([], "datetime64[s]"))
    """datetime64[s] (templates,), NaT where unknown."""
    duration_s: np.ndarray = field(default_factory=lambda: np.array([]))
    hashes: list[str] = field(default_factory=list)
    flags: list[tuple[str, ...]] = field(default_factory=list)
