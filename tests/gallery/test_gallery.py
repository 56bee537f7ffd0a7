"""The gallery as a whole: over the embedded database, with an untrained encoder."""

from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import ConfigError, GalleryChangedError, GalleryError
from anylead.gallery import gallery as gallery_module
from anylead.gallery.gallery import Gallery
from anylead.gallery.template import Enrolment, LeadSet
from anylead.leads import STANDARD_12
from anylead.sources.synthetic import Synthetic
from gallery_setup import recording_of, tiny_bundle

PERSONS, SESSIONS = 8, 3


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


@pytest.fixture(scope="module")
def filled(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery") / "g"
    gallery = Gallery.create(folder, bundle, keep_signals=True)
    records = [recording_of(person, session) for person in range(PERSONS) for session in range(SESSIONS)]
    summary = gallery.enrol(records)
    assert (summary.enrolled, summary.already, list(summary.failed)) == (len(records), 0, [])
    yield gallery
    gallery.close()


@pytest.fixture
def uncalibrated(monkeypatch):
    """Calibrating takes seconds and is not what a test is about."""

    def too_few(*_, **__):
        raise GalleryError("too few patients have several recordings.")

    monkeypatch.setattr(gallery_module, "fit_calibration", too_few)


@pytest.fixture
def empty(bundle, tmp_path):
    with Gallery.create(tmp_path / "g", bundle) as gallery:
        yield gallery


def test_a_recording_has_a_unit_vector_of_each_lead_set_whose_leads_it_has(filled):
    templates = filled.embed(recording_of(0))
    assert list(templates) == ["12", "6", "I-II", "I", "II"]
    assert all(np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6) for vector in templates.values())
    assert list(filled.embed(recording_of(0, leads=("I", "II")))) == ["I-II", "I", "II"]
    assert list(filled.embed(recording_of(0, leads=("II", "V1")))) == ["II"]


def test_a_template_of_some_leads_is_that_of_the_recording_with_these_leads_only(filled):
    whole, watch = recording_of(0), recording_of(0, leads=("I",))
    np.testing.assert_allclose(filled.embed(whole)["I"], filled.embed(watch)["I"], atol=1e-5)


def test_a_template_is_the_bundles_own_embedding(filled, bundle):
    own = bundle.embed(recording_of(3))[0]
    np.testing.assert_allclose(filled.embed(recording_of(3))["12"], own / np.linalg.norm(own), atol=1e-5)


def test_a_lead_with_gaps_everywhere_gives_no_template_of_sets_that_need_it(filled):
    record = recording_of(0)
    signal = record.signal.copy()
    signal[STANDARD_12.index("V4"), 100:300] = np.nan
    assert list(filled.embed(replace(record, signal=signal))) == ["6", "I-II", "I", "II"]


def test_identify_ranks_the_patient_first_and_repeats_itself(filled):
    found = filled.identify(recording_of(2, session=9), top=3)
    assert found.lead_set == "12"
    assert found.matches[0].patient_id == "patient-2"
    assert len(found.matches) == len({match.patient_id for match in found.matches}) == 3
    values = [match.similarity for match in found.matches]
    assert values == sorted(values, reverse=True)
    session = int(found.matches[0].record_id.rpartition("s")[2])
    assert found.matches[0].days_apart == 30.0 * (9 - session)
    assert filled.identify(recording_of(2, session=9), top=3) == found


def test_a_watch_meets_templates_of_its_own_lead_set(filled):
    found = filled.identify(recording_of(4, session=9, leads=("I",)))
    assert found.lead_set == "I"
    assert found.matches[0].patient_id == "patient-4"


def test_the_same_samples_are_named(filled):
    notes = filled.identify(recording_of(1, session=0)).notes
    assert any("very same samples are enrolled as p1/s0 of patient patient-1" in note for note in notes)


def test_verify_compares_with_the_patients_other_recordings(filled):
    own = filled.verify(recording_of(5, session=1), "patient-5")
    assert own.own.record_id != "p5/s1"
    assert own.best_other.patient_id != "patient-5"
    wrong = filled.verify(recording_of(5, session=9), "patient-6")
    assert wrong.similarity < own.similarity
    assert wrong.best_other.patient_id == "patient-5"


def test_without_a_calibration_nothing_is_decided(empty):
    empty.enrol([recording_of(person) for person in range(3)])
    found = empty.identify(recording_of(0, session=1))
    assert found.verdict == "undecided"
    assert found.nobody is None
    assert found.matches[0].patient_id == "patient-0"
    assert found.matches[0].probability is None
    verified = empty.verify(recording_of(0, session=1), "patient-0")
    assert verified.accepted is None
    assert any("nothing is decided" in note for note in verified.notes)


def test_nobody_is_found_in_an_empty_gallery(empty):
    found = empty.identify(recording_of(0))
    assert list(found.matches) == []
    assert any("Nobody is enrolled" in note for note in found.notes)


def test_with_a_calibration_answers_carry_probabilities(filled):
    assert filled.calibrate().has("12")
    found = filled.identify(recording_of(2, session=9), top=20)
    assert len(found.matches) == PERSONS
    total = sum(match.probability.value for match in found.matches) + found.nobody.value
    assert total == pytest.approx(1.0, abs=1e-6)
    for one in [*[match.probability for match in found.matches], found.nobody]:
        assert 0.0 <= one.low <= one.high <= 1.0
    verified = filled.verify(recording_of(2, session=9), "patient-2")
    assert 0.0 <= verified.probability.value <= 1.0


def test_one_bad_recording_stops_no_other_and_is_named(empty):
    good = recording_of(0)
    nobody = replace(recording_of(1), patient_id=None)
    short = replace(recording_of(2), leads=("V1",), signal=recording_of(2).signal[:1])
    summary = empty.enrol([nobody, good, short])
    assert summary.enrolled == 1
    assert [record for record, _ in summary.failed] == ["p1/s0", "p2/s0"]
    assert "not known whose it is" in summary.failed[0][1]
    assert "all leads of one of the lead sets" in summary.failed[1][1] or "lead" in summary.failed[1][1]


def test_a_recording_is_enrolled_once_and_never_under_two_patients(empty):
    record = recording_of(0)
    assert empty.enrol([record]).enrolled == 1
    assert empty.enrol([record]).already == 1
    summary = empty.enrol([replace(record, patient_id="somebody else"), recording_of(1)])
    assert (summary.enrolled, len(summary.failed)) == (1, 1)


def test_vectors_in_memory_follow_what_another_process_writes(bundle, tmp_path):
    with Gallery.create(tmp_path / "g", bundle) as first, Gallery.open(tmp_path / "g", bundle) as second:
        first.enrol([recording_of(0)])
        assert len(second.identify(recording_of(0)).matches) == 1
        first.enrol([recording_of(1)])
        assert len(second.identify(recording_of(0)).matches) == 2
        assert first.remove("patient-0") == 1
        assert [match.patient_id for match in second.identify(recording_of(0)).matches] == ["patient-1"]


def test_another_model_is_refused(bundle, tmp_path):
    Gallery.create(tmp_path / "g", bundle).close()
    with pytest.raises(GalleryError, match=r"its vectors are of model .* vectors of two do not compare"):
        Gallery.open(tmp_path / "g", tiny_bundle(seed=1))


def test_without_a_bundle_it_counts_and_removes_and_refuses_to_embed(bundle, tmp_path):
    with Gallery.create(tmp_path / "g", bundle) as gallery:
        gallery.enrol([recording_of(0), recording_of(0, 1), recording_of(1)])
    with Gallery.open(tmp_path / "g") as gallery:
        info = gallery.info()
        assert (info.patients, info.recordings, info.several) == (2, 3, 1)
        assert info.templates["12"] == 3
        assert gallery.remove("patient-0") == 2
        assert gallery.remove("patient-0") == 0
        with pytest.raises(GalleryError, match="opened without a bundle"):
            gallery.identify(recording_of(0))


def test_signals_are_kept_only_where_asked(filled, empty):
    kept = filled.record("p0/s0")
    assert kept.patient_id == "patient-0"
    assert filled.record("nobody") is None
    empty.enrol([recording_of(0)])
    assert empty.record("p0/s0") is None


def test_the_map_has_a_place_for_every_recording(filled, empty):
    points = filled.map()
    assert len(points) == PERSONS * SESSIONS
    assert {"record_id", "patient_id", "x", "y"} == set(points[0])
    assert np.std([point["x"] for point in points]) >= np.std([point["y"] for point in points])
    assert empty.map() == []


def test_a_turned_gallery_finds_the_same_patients_by_other_vectors(bundle, tmp_path, filled):
    with Gallery.create(tmp_path / "g", bundle, projected=True) as gallery:
        gallery.enrol([recording_of(person) for person in range(4)])
        found = gallery.identify(recording_of(2, session=9))
        assert found.matches[0].patient_id == "patient-2"
        plain = filled.embed(recording_of(2, session=9))["12"] @ filled.embed(recording_of(2))["12"]
        assert found.matches[0].similarity == pytest.approx(float(plain), abs=1e-4)
        assert not np.allclose(gallery.embed(recording_of(2))["12"], filled.embed(recording_of(2))["12"])


def test_half_the_memory_finds_the_same_patient(filled, bundle):
    with Gallery.open(filled.database.where, bundle, precision="bfloat16") as short:
        found = short.identify(recording_of(3, session=9))
        assert found.matches[0].patient_id == "patient-3"


def test_a_rebuilt_gallery_is_of_the_other_model(bundle, tmp_path):
    with Gallery.create(tmp_path / "g", bundle, keep_signals=True) as gallery:
        gallery.enrol([recording_of(person) for person in range(3)])
        other = tiny_bundle(seed=1)
        gallery.rebuild(other)
        assert gallery.identity.model == other.fingerprint()
        assert gallery.identify(recording_of(1, session=9)).matches[0].patient_id == "patient-1"
    with pytest.raises(GalleryError, match="do not compare"):
        Gallery.open(tmp_path / "g", bundle)


def test_a_gallery_without_signals_cannot_be_rebuilt(empty):
    empty.enrol([recording_of(0)])
    with pytest.raises(GalleryError, match="1 of 1 recordings were not kept"):
        empty.rebuild(tiny_bundle(seed=1))


def test_misuse_is_answered_with_a_sentence(filled, bundle, tmp_path):
    with pytest.raises(GalleryError, match="patient nobody's: not enrolled in this gallery"):
        filled.verify(recording_of(0), "nobody's")
    with pytest.raises(ConfigError, match="0 patients were asked for"):
        filled.identify(recording_of(0), top=0)
    with pytest.raises(ConfigError, match=r"prior: got 1\.5; give a number between 0 and 1"):
        filled.identify(recording_of(0), known_prior=1.5)
    with pytest.raises(ConfigError, match="false acceptance rate: got 0"):
        filled.verify(recording_of(0), "patient-0", false_acceptance=0.0)
    with pytest.raises(ConfigError, match="review: got 'maybe'; accepted are accept, reject, unsure"):
        filled.review("case", "maybe", actor="me")
    with pytest.raises(GalleryError, match="name other lead sets"):
        Gallery.create(tmp_path / "x", bundle, lead_sets=[LeadSet(name="own", leads=("Vx",))])
    with pytest.raises(GalleryError, match="no stretch with all leads"):
        filled.identify(recording_of(0, leads=("V1",)))


def made_up(person: int, session: int, *, patient: int | None = None) -> Enrolment:
    """Vectors of persons who are far apart, as of a good model."""
    own = np.random.default_rng(person).standard_normal(16)
    noise = np.random.default_rng([person, session]).standard_normal(16)
    vector = own / np.linalg.norm(own) + 0.1 * noise
    return Enrolment(
        record_id=f"p{person}/s{session}",
        patient_id=f"patient-{person if patient is None else patient}",
        templates={"12": (vector / np.linalg.norm(vector)).astype(np.float32)},
        duration_s=10.0,
        hash=f"{person}-{session}",
    )


def test_screening_names_a_recording_under_the_wrong_patient_and_keeps_the_review(bundle, tmp_path, capsys):
    wrong = made_up(1, 9, patient=7)
    with Gallery.create(tmp_path / "g", bundle) as gallery:
        rows = [made_up(person, session) for person in range(40) for session in range(3)]
        gallery.database.enrol([*rows, wrong], actor="local")
        worklist = gallery.screen(prevalence=0.01, progress=True)
        told = capsys.readouterr().err
        assert "compare" in told
        assert "simulate" in told
        assert any("these data" in note for note in worklist.notes)
        case = next(case for case in worklist.cases if case.record_id == wrong.record_id)
        assert case.other.patient_id == "patient-1"
        assert case.review is None
        assert worklist.budget_table
        gallery.review(case.case_id, "accept", actor="reviewer", note="beats fit")
        again = gallery.screen(prevalence=0.01)
        assert {one.case_id: one.review for one in again.cases}[case.case_id] == "accept"
        assert any(line.action == "review" and line.actor == "reviewer" for line in gallery.database.audit())
        with pytest.raises(GalleryError, match="there is no case 'unheard-of' on the worklist"):
            gallery.review("unheard-of", "reject", actor="reviewer")
    with Gallery.open(tmp_path / "g") as reopened:
        reopened.review(case.case_id, "unsure", actor="reviewer")
        assert reopened.info().calibrated == {"12": 40}


def held_by_files(folder, needle):
    return [file.name for file in folder.iterdir() if needle in file.read_bytes()]


@pytest.mark.parametrize("how", ["remove", "retention"])
def test_what_was_said_of_a_removed_patient_is_in_no_file(bundle, tmp_path, how, uncalibrated):
    folder = tmp_path / "g"
    with Gallery.create(folder, bundle) as gallery:
        gallery.enrol(recording_of(person, session) for person in range(4) for session in range(2))
        # The same samples once more, under another patient: a case that names both.
        copy = replace(recording_of(0, 0), record_id="copy-of-it", patient_id="patient-1")
        gallery.enrol([replace(copy, recorded_at=recording_of(1, 9).recorded_at)])
        cases = gallery.screen(budget=20).cases
        (shared,) = [one for one in cases if {one.record_id, one.partner} == {"p0/s0", "copy-of-it"}]
        apart = next((one for one in cases if "p0/" not in repr(one)), None)
        gallery.review(shared.case_id, "unsure", actor="me", note="ask Mrs Gone")
        if apart is not None:
            gallery.review(apart.case_id, "reject", actor="me", note="stays")
        assert held_by_files(folder, b"ask Mrs Gone")
        if how == "remove":
            assert gallery.remove("patient-0") == 2
        else:
            assert gallery.remove_before(recording_of(0, 1).recorded_at) == 4
        assert [held_by_files(folder, needle) for needle in (b"ask Mrs Gone", b"p0/s0")] == [[], []]
        assert shared.case_id not in (gallery.database.document("reviews") or {})["cases"]
        with pytest.raises(GalleryError, match="there is no case"):
            gallery.review(shared.case_id, "accept", actor="me", note="too late")
        gallery.database.audit()


def test_worklists_come_from_memory_until_the_gallery_changes(bundle, tmp_path, monkeypatch, uncalibrated):
    with Gallery.create(tmp_path / "g", bundle) as gallery:
        gallery.enrol(recording_of(person, session) for person in range(4) for session in range(2))
        compared, listed = [], []
        gather, make = gallery_module.gather_evidence, gallery_module.screen
        monkeypatch.setattr(
            gallery_module,
            "gather_evidence",
            lambda *args, **options: compared.append(1) or gather(*args, **options),
        )
        monkeypatch.setattr(
            gallery_module, "screen", lambda *args, **named: listed.append(1) or make(*args, **named)
        )
        first = gallery.screen(budget=5)
        assert gallery.screen(budget=5) == first
        assert (len(compared), len(listed)) == (1, 1)
        gallery.screen(budget=6)
        assert (len(compared), len(listed)) == (1, 2)
        gallery.enrol([recording_of(3, 5)])
        assert gallery.screen(budget=6).not_screened == first.not_screened + 1
        assert (len(compared), len(listed)) == (2, 3)


def test_a_gallery_rebuilt_elsewhere_is_opened_again(bundle, tmp_path):
    with Gallery.create(tmp_path / "g", bundle, keep_signals=True) as gallery:
        gallery.enrol([recording_of(0), recording_of(1)])
        with Gallery.open(tmp_path / "g", bundle) as other:
            enrolments = [
                replace(one, templates={"12": one.templates["12"]}) for one in other.database.enrolments()
            ]
            identity = replace(other.identity, lead_sets=other.identity.lead_sets[:1])
            other.database.replace_all(identity, enrolments, actor="x", action="rebuild")
        with pytest.raises(GalleryChangedError, match="open it again"):
            gallery.identify(recording_of(0))
        gallery.refresh()
        assert gallery.identify(recording_of(0)).matches[0].patient_id == "patient-0"
        with Gallery.open(tmp_path / "g") as other:
            other.rebuild(tiny_bundle(seed=1))
        with pytest.raises(GalleryError, match="vectors of two do not compare"):
            gallery.refresh()


def test_an_export_becomes_the_same_gallery(filled, bundle, tmp_path):
    filled.export(tmp_path / "all.export", passphrase="a long enough passphrase")
    with Gallery.import_(
        tmp_path / "all.export", tmp_path / "other", passphrase="a long enough passphrase"
    ) as copy:
        assert copy.info().recordings == PERSONS * SESSIONS
        np.testing.assert_array_equal(copy.tables()["12"].vectors, filled.tables()["12"].vectors)


def test_a_patient_enrolled_through_other_leads_only_is_said_so(empty):
    empty.enrol([recording_of(0, leads=("I",))])
    with pytest.raises(GalleryError, match="enrolled, but not through II"):
        empty.verify(recording_of(0, leads=("II",)), "patient-0")


def test_the_only_recording_of_a_patient_is_not_verified_by_itself(empty):
    empty.enrol([recording_of(0)])
    with pytest.raises(GalleryError, match="the only recording enrolled is this one"):
        empty.verify(recording_of(0), "patient-0")


def test_a_gallery_of_median_beats_needs_the_bundles_preparation_only(tmp_path):
    source = Synthetic(patients=4, sessions=2, duration_s=6.0, seed=5)
    records = [replace(source.load(ref), patient_id=ref.patient_id) for ref in source.scan(tmp_path)]
    with Gallery.create(tmp_path / "g", tiny_bundle(), templates="median-beat", keep_signals=True) as gallery:
        assert gallery.enrol(records).enrolled == 8
        templates = gallery.embed(records[0])
        assert list(templates) == ["12", "6", "I-II", "I", "II"]
        for name, vector in templates.items():
            assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6), name
        # The beat's shape is what counts: twice the voltage is the same template.
        louder = replace(records[0], signal=2 * records[0].signal)
        np.testing.assert_allclose(gallery.embed(louder)["12"], templates["12"], atol=0.01)
        assert gallery.identify(records[5], top=1).matches[0].patient_id == records[5].patient_id
        gallery.rebuild(tiny_bundle(seed=1))
        assert gallery.identity.templates == "median-beat"
    with Gallery.open(tmp_path / "g", tiny_bundle(seed=2)) as gallery:
        assert gallery.info().model == "median-beat-1"


def test_a_recording_without_a_beat_has_no_median_beat(tmp_path):
    flat = replace(recording_of(0), signal=np.zeros_like(recording_of(0).signal))
    with (
        Gallery.create(tmp_path / "g", tiny_bundle(), templates="median-beat") as gallery,
        pytest.raises(GalleryError, match="lead set"),
    ):
        gallery.embed(flat)
