"""What an answer says beside its numbers: about its own lead set only, and where two judgements differ."""

from dataclasses import replace

import numpy as np

from anylead.gallery import decision
from anylead.gallery.calibration import fit_calibration
from anylead.gallery.decision import Enrolled
from anylead.gallery.search import PatientOrder
from anylead.gallery.template import Enrolment
from synthetic_gallery import table

GALLERY = table(persons=60, recordings=2, noise=0.4)
ENROLLED = Enrolled(table=GALLERY, vectors=GALLERY.vectors, order=PatientOrder.of(GALLERY.patient_ids))
CALIBRATION = fit_calibration({"I": GALLERY})
STRANGER = Enrolment(
    record_id="x",
    patient_id="",
    templates={"I": (vector := np.eye(32, dtype=np.float32)[0]) / np.linalg.norm(vector)},
    duration_s=10.0,
    hash="x",
)


def test_a_patient_who_is_probable_by_the_prior_alone_is_said_to_be() -> None:
    found = decision.verify(
        STRANGER, "p0", "I", ENROLLED, CALIBRATION, prior=1.0 - 1e-9, false_acceptance=0.01
    )
    assert found.accepted is False
    assert found.probability is not None
    assert found.probability.value > 0.5
    assert any("is the prior" in note for note in found.notes)
    unlikely = decision.verify(STRANGER, "p0", "I", ENROLLED, CALIBRATION, prior=0.5, false_acceptance=0.01)
    assert not any("is the prior" in note for note in unlikely.notes)


def test_notes_are_of_the_lead_set_that_was_compared() -> None:
    notes = ("Lead set I: few persons.", "Lead set I-II: few persons.", "Lead set II: few persons.")
    found = decision.identify(
        STRANGER,
        "I",
        ENROLLED,
        replace(CALIBRATION, notes=notes),
        top=1,
        known_prior=0.5,
        false_acceptance=0.1,
    )
    assert [note for note in found.notes if note.startswith("Lead set")] == ["Lead set I: few persons."]


def test_the_same_vector_is_alike_to_one_at_most() -> None:
    same = replace(STRANGER, templates={"I": GALLERY.vectors[0] * np.float32(1.0000002)})
    found = decision.identify(same, "I", ENROLLED, CALIBRATION, top=1, known_prior=0.5, false_acceptance=0.1)
    assert found.matches[0].similarity <= 1.0
