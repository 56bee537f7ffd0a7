"""One contract for SQLite and PostgreSQL."""

import json
import threading
from datetime import datetime

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.open_database import create_database, open_database
from gallery_rows import enrolment, identity, unit


@pytest.fixture
def database(gallery_url):
    with create_database(gallery_url, identity()) as made:
        yield made


def actions(database):
    return [line.action for line in database.audit()]


def test_what_is_enrolled_comes_back_bit_by_bit(database, gallery_url):
    first, second = enrolment(1, signal=b"\x00signal\xff"), enrolment(2, recorded_at=None, flags=())
    assert database.enrol([first, second], actor="a") == 2
    with open_database(gallery_url) as again:
        assert again.identity() == identity()
        kept = again.enrolments()
    assert [e.record_id for e in kept] == ["record 1", "record 2"]
    for given, back in zip([first, second], kept, strict=True):
        assert {k: v.tobytes() for k, v in back.templates.items()} == {
            k: v.tobytes() for k, v in given.templates.items()
        }
        for name in ("patient_id", "recorded_at", "duration_s", "hash", "leads", "flags", "signal"):
            assert getattr(back, name) == getattr(given, name)


def test_templates_of_a_lead_set_in_the_order_of_enrolment(database):
    database.enrol([enrolment(5), enrolment(3, recorded_at=None)], actor="a")
    database.enrol([enrolment(4, templates={"I": unit(0)})], actor="a")
    table = database.templates("12")
    assert table.record_ids == ["record 5", "record 3"]
    assert table.patient_ids == ["patient 5", "patient 3"]
    assert np.array_equal(table.vectors, np.stack([unit(10), unit(6)]))
    assert str(table.recorded_at[0]) == "2020-01-06T12:00:00"
    assert np.isnat(table.recorded_at[1])
    assert table.duration_s.tolist() == [10.0, 10.0]
    assert table.flags == [("flat:V3",)] * 2
    assert database.template_counts() == {"12": 2, "I": 3}
    assert database.templates("6").vectors.shape == (0, 48)


def test_lists_of_patients_and_recordings(database):
    database.enrol(
        [enrolment(2, patient="b"), enrolment(1, patient="a"), enrolment(3, patient="b")], actor="x"
    )
    assert list(database.patients().items()) == [("b", 2), ("a", 1)]
    assert database.record_ids() == ["record 2", "record 1", "record 3"]
    assert [e.record_id for e in database.enrolments(patient_id="b")] == ["record 2", "record 3"]
    some = database.enrolments(record_ids=["record 3", "record 1", "nowhere"])
    assert [e.record_id for e in some] == ["record 1", "record 3"]
    assert database.enrolments(record_ids=[]) == []
    assert database.size() > 0


def test_the_same_recording_twice_is_one(database):
    database.enrol([enrolment(1)], actor="a")
    version = database.version()
    assert database.enrol([enrolment(1)], actor="a") == 0
    assert database.version() == version
    assert database.enrol([enrolment(1), enrolment(2), enrolment(2)], actor="a") == 1
    assert actions(database) == ["create", "enrol", "enrol"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (enrolment(1, patient="other"), "record 1 is there already with another patient"),
        (enrolment(1, hash="other"), "record 1 is there already with other samples"),
        (enrolment(2, templates={"I": unit(1)[:-1]}), r"lead set I is float32 \(47,\)"),
        (enrolment(2, templates={"I": unit(1) * 2}), "has length 2"),
        (enrolment(2, templates={"I": unit(1) * np.float32("nan")}), "has length nan"),
        (enrolment(2, templates={"V9": unit(1)}), "the lead set 'V9' is not one of the gallery; it has 12"),
        (enrolment(2, templates={}), "there is no template"),
        (enrolment(2, patient="a\0b"), "the patient id has 3 characters or one that cannot be printed"),
        (enrolment(2, record_id=""), "the record id has 0 characters"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_added(database, second, message):
    database.enrol([enrolment(1)], actor="a")
    with pytest.raises(GalleryError, match=message):
        database.enrol([enrolment(7), second], actor="a")
    assert database.record_ids() == ["record 1"]
    assert actions(database) == ["create", "enrol"]


def test_odd_ids_are_values_not_statements(database):
    odd = "Robert'); DROP TABLE gallery_recordings;-- %s ? \\ é 心"
    database.enrol([enrolment(1, patient=odd, record_id=odd)], actor=odd)
    assert database.patients() == {odd: 1}
    assert len(database.enrolments(patient_id=odd, record_ids=[odd])) == 1
    assert database.remove(odd, actor=odd) == 1


def test_removing_a_patient(database):
    database.enrol([enrolment(1, patient="a"), enrolment(2, patient="a"), enrolment(3)], actor="x")
    version = database.version()
    assert database.record_ids(patient_id="a") == ["record 1", "record 2"]
    assert database.remove("a", actor="x") == 2
    assert database.remove("a", actor="x") == 0
    assert database.version() > version
    assert database.record_ids() == ["record 3"]
    assert database.template_counts() == {"12": 1, "I": 1}
    last = database.audit()[-1]
    assert (last.action, last.details) == ("remove", {"recordings": 2})


def test_retention_removes_what_is_older(database):
    database.enrol([enrolment(1), enrolment(2), enrolment(3, recorded_at=None)], actor="x")
    assert database.record_ids(before=datetime(2020, 1, 3, 12)) == ["record 1"]
    assert database.remove_before(datetime(2020, 1, 3, 12), actor="x") == 1
    assert database.record_ids() == ["record 2", "record 3"]


def test_documents(database):
    assert database.document("calibration") is None
    database.put_document("calibration", {"b": 1, "a": 0.1}, actor="x", action="calibrate")
    database.put_document("calibration", {"b": 2, "a": None}, actor="x", action="calibrate", details={"n": 3})
    assert database.document("calibration") == {"b": 2, "a": None}
    assert database.document_names() == ["calibration"]
    assert database.audit()[-1].details == {"document": "calibration", "n": 3}


def test_a_failing_change_leaves_the_document(database):
    database.put_document("reviews", {"a": 1}, actor="x", action="review")
    with pytest.raises(KeyError):
        database.update_document("reviews", lambda d: {"b": d["b"]}, actor="x", action="review")
    assert database.document("reviews") == {"a": 1}
    assert actions(database) == ["create", "review"]


def test_changes_of_several_threads_and_connections_are_all_kept(database, gallery_url):
    def write(own, first):
        for number in range(first, first + 10):
            own.enrol([enrolment(number)], actor="x")
            own.update_document("reviews", lambda d, n=number: {**d, str(n): n}, actor="x", action="review")

    with open_database(gallery_url) as other:
        threads = [
            threading.Thread(target=write, args=(db, k))
            for db, k in ((database, 0), (database, 50), (other, 90))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(database.record_ids()) == len(database.document("reviews")) == 30
    assert len(database.audit()) == 61


def test_the_audit_trail_holds_no_id_but_its_keyed_hash(database):
    database.enrol([enrolment(1, patient="secret name")], actor="x")
    database.append_audit("export", actor="y", subject="secret name")
    first, second = database.audit()[-2:]
    assert first.subject == second.subject != ""
    assert "secret" not in json.dumps([vars(line) for line in database.audit()])


@pytest.mark.parametrize(
    "statement", ["UPDATE gallery_audit SET actor = ?", "DELETE FROM gallery_audit WHERE at <> ?"]
)
def test_the_audit_trail_is_only_added_to(database, statement):
    with pytest.raises(GalleryError, match="only added to"), database._writing() as sql:
        sql.run(statement, "nobody")
    assert actions(database) == ["create"]


def allow_changes(sql, gallery_url):
    if gallery_url.startswith("postgresql"):
        sql.run("ALTER TABLE gallery_audit DISABLE TRIGGER ALL")
    else:
        sql.run("DROP TRIGGER gallery_audit_no_update")
        sql.run("DROP TRIGGER gallery_audit_no_delete")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE gallery_audit SET actor = 'z' WHERE number = 2", "line 2 does not follow"),
        ("DELETE FROM gallery_audit WHERE number = 2", "line 2 does not follow"),
        ("DELETE FROM gallery_audit WHERE number = 3", "it ends at line 2 where 3 were written"),
    ],
)
def test_a_changed_audit_trail_is_noticed(database, gallery_url, statement, message):
    database.enrol([enrolment(1), enrolment(2)], actor="x")
    with database._writing() as sql:
        allow_changes(sql, gallery_url)
        sql.run(statement)
    with pytest.raises(GalleryError, match=message):
        database.audit()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE gallery_recordings SET patient_id = 'z'", "the row of recording 'record 1'"),
        (
            "UPDATE gallery_templates SET checksum = 7 WHERE lead_set = '12'",
            "vector of recording 'record 1' for",
        ),
    ],
)
def test_a_damaged_row_is_named(database, statement, message):
    database.enrol([enrolment(1)], actor="x")
    with database._writing() as sql:
        sql.run(statement)
    with pytest.raises(GalleryError, match=f"is damaged: .*{message}.*import its last export"):
        database.templates("12")
    with pytest.raises(GalleryError, match=message):
        database.enrolments()


def test_a_damaged_signal_is_named(database):
    database.enrol([enrolment(1, signal=b"signal")], actor="x")
    with database._writing() as sql:
        sql.run("UPDATE gallery_recordings SET signal = ?", b"sigmal")
    assert database.templates("12").record_ids == ["record 1"]
    with pytest.raises(GalleryError, match="the signal of recording 'record 1' is not what was written"):
        database.enrolments()


@pytest.mark.parametrize(
    ("value", "message"), [("{}", "document 'd' is not what was written"), ("{", "document 'd'")]
)
def test_a_damaged_document_is_named(database, value, message):
    database.put_document("d", {"a": 1}, actor="x", action="calibrate")
    with database._writing() as sql:
        sql.run("UPDATE gallery_documents SET value = ?", value)
    with pytest.raises(GalleryError, match=message):
        database.document("d")


@pytest.mark.parametrize(("value", "message"), [("{", "is not JSON"), ("{}", "its identity is incomplete")])
def test_a_damaged_identity_is_named(database, value, message):
    with database._writing() as sql:
        sql.run("UPDATE gallery_meta SET value = ? WHERE name = 'identity'", value)
    with pytest.raises(GalleryError, match=message):
        database.identity()


def test_another_model_takes_the_place_of_the_old_one(database, gallery_url):
    database.enrol([enrolment(1), enrolment(2)], actor="x")
    for name in ("calibration", "keys", "reviews"):
        database.put_document(name, {"a": 1}, actor="x", action="calibrate")
    newer = identity(model="newer", dimension=5)
    stale = open_database(gallery_url)
    database.replace_all(newer, [enrolment(1, templates={"I": unit(3, 5)})], actor="x", action="rebuild")
    assert database.identity() == newer
    assert database.templates("I").vectors.shape == (1, 5)
    assert database.document_names() == ["keys", "reviews"]
    assert actions(database)[-1] == "rebuild"
    # A process that still embeds with the old model neither adds nor compares.
    with pytest.raises(GalleryError, match="rebuilt for another model since it was opened; open it again"):
        stale.enrol([enrolment(9)], actor="x")
    with pytest.raises(GalleryError, match="rebuilt for another model"):
        stale.templates("12")
    stale.close()


def test_a_newer_format_is_refused(database, gallery_url):
    with database._writing() as sql:
        sql.run("UPDATE gallery_meta SET value = '2' WHERE name = 'format'")
    with pytest.raises(GalleryError, match="has format 2 and this version reads 1"):
        open_database(gallery_url)


def test_a_half_import_is_refused(database, gallery_url):
    database.set_importing(True)
    with pytest.raises(GalleryError, match="an import into this gallery did not end; delete the gallery"):
        open_database(gallery_url)


def test_an_interrupted_removal_is_ended_by_opening(database, gallery_url, monkeypatch):
    database.enrol([enrolment(1)], actor="x")

    def refuse():
        raise GalleryError("there is no room.")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_erase", refuse)
        with pytest.raises(
            GalleryError, match=r"recordings were removed, but .* remove again: there is no room"
        ):
            database.remove("patient 1", actor="x")
    with open_database(gallery_url) as again, again._reading() as sql:
        assert again._meta(sql, "erasing") is None


def test_secrets_are_of_this_gallery_and_purpose(database):
    assert len(database.secret("a")) == 32
    assert database.secret("a") != database.secret("b")
