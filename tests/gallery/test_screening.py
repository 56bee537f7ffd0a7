"""A worklist: what is filed wrongly comes first, and innocent explanations are said."""

from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import ConfigError
from anylead.gallery.calibration import Calibration, fit_calibration
from anylead.gallery.misfiling import gather_evidence, log_mean_by_group
from anylead.gallery.neighbours import strangers_alike
from anylead.gallery.screening import case_id, screen
from anylead.gallery.template import TemplateTable
from synthetic_gallery import table


@pytest.fixture(scope="module")
def gallery() -> TemplateTable:
    return table(persons=60, recordings=3, noise=0.4)


@pytest.fixture(scope="module")
def calibration(gallery: TemplateTable) -> Calibration:
    return fit_calibration({"12": gallery})


def swapped(gallery: TemplateTable, first: int, second: int) -> TemplateTable:
    patients = list(gallery.patient_ids)
    patients[first], patients[second] = patients[second], patients[first]
    return replace(gallery, patient_ids=patients)


def test_two_exchanged_recordings_are_one_case_and_the_first(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    found = screen({"12": swapped(gallery, 0, 33)}, calibration, prevalence=0.01)
    first = found.cases[0]
    assert {first.record_id, first.partner} == {"r0", "r33"}
    assert first.kind == "wrong patient"
    assert first.probability is not None
    assert first.probability.low <= first.probability.value <= first.probability.high
    assert first.probability.value > 0.5
    assert sum({"r0", "r33"} <= {one.record_id, one.partner} for one in found.cases) == 1
    assert any("exchanged" in told for told in first.evidence)
    assert found.screened == 180
    assert found.not_screened == 0


def test_what_fits_is_no_case(gallery: TemplateTable, calibration: Calibration) -> None:
    assert len(screen({"12": gallery}, calibration).cases) <= 2


def test_a_rarer_error_is_less_probable(gallery: TemplateTable, calibration: Calibration) -> None:
    tables = {"12": swapped(gallery, 0, 33)}
    rare, common = (screen(tables, calibration, prevalence=p).cases[0].probability for p in (1e-4, 1e-2))
    assert rare is not None
    assert common is not None
    assert rare.value < common.value


def test_the_same_samples_under_two_patients_come_first(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    vectors = gallery.vectors.copy()
    vectors[10] = vectors[50]
    hashes = [*gallery.hashes]
    hashes[10] = hashes[50]
    copied = replace(gallery, vectors=vectors, hashes=hashes)
    first = screen({"12": copied}, calibration).cases[0]
    assert first.kind == "duplicate"
    # Recording 50 fits its patient, the copy of it does not.
    assert (first.record_id, first.partner) == ("r10", "r50")
    assert first.probability is not None
    assert first.probability.value > 0.9


def test_nearly_the_same_under_two_patients_is_a_duplicate(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    vectors = gallery.vectors.copy()
    vectors[10] = vectors[50]
    found = screen({"12": replace(gallery, vectors=vectors)}, calibration)
    pairs = [(one.record_id, one.partner) for one in found.cases if one.kind == "duplicate"]
    assert pairs == [("r10", "r50")]


def test_exchanged_electrodes_are_an_innocent_explanation(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    vectors = gallery.vectors.copy()
    vectors[7] = -vectors[7]
    flags: list[tuple[str, ...]] = [("reversed",) if row == 7 else () for row in range(180)]
    plain, explained = (
        screen({"12": replace(gallery, vectors=vectors, flags=given)}, calibration, prevalence=0.01)
        for given in (gallery.flags, flags)
    )
    before = next(one for one in plain.cases if one.record_id == "r7")
    cases = [one for one in explained.cases if one.record_id == "r7"]
    assert before.kind == "wrong patient"
    assert all(one.kind == "reversed leads" for one in cases)
    assert before.probability is not None
    for one in cases:
        assert one.probability is not None
        assert one.probability.value < before.probability.value


def test_a_patient_with_one_recording_is_compared_with_strangers_only(calibration: Calibration) -> None:
    found = screen({"12": table(recordings=1)}, calibration)
    assert (found.screened, found.not_screened) == (0, 60)


def test_recordings_meet_through_the_first_lead_set_with_others(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    both = replace(calibration, lead_sets={name: calibration.lead_sets["12"] for name in ("12", "I")})
    single = replace(
        gallery,
        record_ids=gallery.record_ids[::3],
        patient_ids=gallery.patient_ids[::3],
        vectors=gallery.vectors[::3],
        recorded_at=gallery.recorded_at[::3],
        duration_s=gallery.duration_s[::3],
        hashes=gallery.hashes[::3],
        flags=gallery.flags[::3],
    )
    found = gather_evidence({"12": single, "I": gallery}, both)
    assert [(one.lead_set, len(one.rows)) for one in found] == [("I", 180)]


def test_of_duplicates_that_are_all_of_their_patients_none_is_the_likelier_wrong_one(
    gallery: TemplateTable, calibration: Calibration
) -> None:
    vectors, hashes = gallery.vectors.copy(), [*gallery.hashes]
    patients = [*gallery.patient_ids]
    vectors[1], hashes[1] = vectors[0], hashes[0]
    patients[:3] = ["alone", "copied", "p59"]
    copied = replace(gallery, vectors=vectors, hashes=hashes, patient_ids=patients)
    first = screen({"12": copied}, calibration).cases[0]
    assert (first.kind, {first.record_id, first.partner}) == ("duplicate", {"r0", "r1"})
    assert first.probability is None


def test_without_a_calibration_only_duplicates_are_found(gallery: TemplateTable) -> None:
    hashes = ["same", "same", *gallery.hashes[2:]]
    patients = ["p0", "p9", *gallery.patient_ids[2:]]
    found = screen({"12": replace(gallery, hashes=hashes, patient_ids=patients)}, Calibration())
    assert [one.kind for one in found.cases] == ["duplicate"]
    assert found.cases[0].probability is None
    assert found.screened == 0


def test_a_case_keeps_its_id_whichever_leads() -> None:
    assert case_id("a", "b") == case_id("b", "a") != case_id("a", None)


@pytest.mark.parametrize("given", [{"prevalence": 0.0}, {"prevalence": 1.0}, {"budget": 0}])
def test_what_cannot_be_asked_is_refused(gallery: TemplateTable, given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give a share between 0 and 1 and at least one case"):
        screen({"12": gallery}, Calibration(), **given)  # type: ignore[arg-type]


def test_blocks_find_what_one_product_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = table(persons=20, recordings=2)
    person = np.repeat(np.arange(20), 2)
    monkeypatch.setattr("anylead.gallery.neighbours._ROWS", 7)
    monkeypatch.setattr("anylead.gallery.neighbours._COLUMNS", 11)
    rows, cosines = strangers_alike(given.vectors, person, queries=np.arange(40), most=5, same=np.arange(40))
    whole = given.vectors.astype(np.float64) @ given.vectors.T
    whole[person[:, None] == person[None]] = -np.inf
    assert np.array_equal(rows, np.argsort(-whole, axis=1)[:, :5])
    assert cosines == pytest.approx(-np.sort(-whole, axis=1)[:, :5], abs=1e-6)


def test_means_of_groups() -> None:
    found = log_mean_by_group(np.log([[1.0, 3.0, 5.0]]), np.array([0, 0, 2]), 3)
    assert np.exp(found) == pytest.approx(np.array([[2.0, 1.0, 5.0]]))
