"""The service over a real gallery, with real keys."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from anylead.cli import serve as serve_command
from anylead.errors import ConfigError, GalleryError, GalleryUnavailableError
from anylead.gallery import gallery as gallery_module
from anylead.gallery.api_keys import ApiKeys
from anylead.gallery.gallery import Gallery
from anylead.service import server
from gallery_setup import recording_of, tiny_bundle
from service_parts import client_of, csv_of


@pytest.fixture(scope="module")
def tiny():
    return tiny_bundle()


@pytest.fixture(autouse=True)
def calibrations(monkeypatch):
    """Counts calibrations, which take seconds and find too few patients here."""
    tried = []

    def too_few(*_, **__):
        tried.append(threading.current_thread().name)
        raise GalleryError("too few patients have several recordings.")

    monkeypatch.setattr(gallery_module, "fit_calibration", too_few)
    return tried


@pytest.fixture
def gallery(tiny, tmp_path):
    with Gallery.create(tmp_path / "gallery", tiny, keep_signals=True) as gallery:
        gallery.enrol(recording_of(person, session) for person in range(4) for session in range(2))
        yield gallery


@pytest.fixture
def client(gallery, tiny):
    with client_of(gallery, tiny, ApiKeys(gallery.database)) as client:
        yield client


def send(client, record, **options):
    content = csv_of(record.signal, record.leads)
    form = {"fs": "100", "unit": "mV"}
    answer = client.post("/v1/records", files={"file": ("x.csv", content)}, data=form, **options)
    return answer.json()["record"]


def test_a_recording_is_identified_verified_enrolled_and_its_patient_removed(client, gallery):
    handle = send(client, recording_of(2, 5))
    found = client.post("/v1/identify", json={"record": handle, "top": 2})
    assert found.status_code == 200, found.text
    assert found.json()["matches"][0]["patient_id"] == "patient-2"
    strip = client.post("/v1/identify", json={"record": handle, "leads": ["I"]}).json()
    assert strip["lead_set"] == "I"
    said = client.post("/v1/verify", json={"record": handle, "patient_id": "patient-2"}).json()
    assert said["own"]["patient_id"] == "patient-2"
    assert client.post("/v1/enrol", json={"record": handle, "patient_id": "patient-2"}).status_code == 201
    recordings = client.get("/v1/patients/patient-2").json()["recordings"]
    assert len(recordings) == 3
    name = recordings[0]["record_id"].replace("/", "%2F")
    drawn = client.get(f"/v1/gallery/records/{name}/signal").json()
    assert drawn["record_id"] == recordings[0]["record_id"]
    assert client.delete("/v1/patients/patient-2").json() == {"removed": 3}
    assert "patient-2" not in gallery.database.patients()


def test_the_gallery_is_described_drawn_and_screened(client):
    told = client.get("/v1/gallery").json()
    assert (told["patients"], told["recordings"], told["url"]) == (4, 8, "")
    drawn = client.get("/v1/gallery/map").json()
    assert len(drawn["points"]) == 8
    assert drawn["lead_set"] == "12"
    listed = client.get("/v1/worklist", params={"budget": 3})
    assert listed.status_code == 200, listed.text
    assert listed.json()["not_screened"] == 8
    assert client.post("/v1/worklist/none/review", json={"verdict": "unsure"}).status_code == 409
    assert client.get("/readyz").status_code == 200


def held_by_files(folder, needle):
    return [file.name for file in folder.iterdir() if needle in file.read_bytes()]


def test_what_was_said_of_a_removed_patient_goes_with_the_patient(client, gallery, tmp_path):
    copy = replace(recording_of(0), record_id="copy", patient_id="patient-1")
    gallery.enrol([replace(copy, recorded_at=None)])
    cases = client.get("/v1/worklist").json()["cases"]
    case = next(one for one in cases if {one["record_id"], one["partner"]} == {"p0/s0", "copy"})
    path = f"/v1/worklist/{case['case_id']}/review"
    assert client.post(path, json={"verdict": "unsure", "note": "ask Mrs Gone"}).status_code == 204
    assert held_by_files(tmp_path / "gallery", b"ask Mrs Gone")
    assert client.delete("/v1/patients/patient-0").json() == {"removed": 2}
    for gone in (b"ask Mrs Gone", b"p0/s0", b"patient-0"):
        assert held_by_files(tmp_path / "gallery", gone) == []
    answer = client.post(path, json={"verdict": "accept", "note": "too late"})
    assert answer.status_code == 409
    assert str(tmp_path) not in answer.text


def test_screening_keeps_nobody_else_waiting(client, monkeypatch):
    go_on, began = threading.Event(), threading.Event()
    gather = gallery_module.gather_evidence

    def slow(*args, **options):
        began.set()
        assert go_on.wait(30)
        return gather(*args, **options)

    monkeypatch.setattr(gallery_module, "gather_evidence", slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(client.get, "/v1/worklist") for _ in range(2))
        assert began.wait(30)
        handle = send(client, recording_of(2, 5))
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/identify", json={"record": handle}).status_code == 200
        assert client.get("/v1/gallery").status_code == 200
        assert not first.done()
        assert not second.done()
        go_on.set()
        assert first.result().json() == second.result().json()


def test_calibrating_is_done_beside_and_after_writes(client, calibrations):
    client.app.state.service.settings = replace(client.app.state.service.settings, calibrate_after_s=0.0)

    def calibrated(times):
        until = time.monotonic() + 30
        while len(calibrations) < times or client.app.state.service.calibration_due:
            assert time.monotonic() < until
            time.sleep(0.01)

    calibrated(1)
    handle = send(client, recording_of(2, 5))
    found = client.post("/v1/identify", json={"record": handle}).json()
    assert (found["verdict"], found["nobody"]) == ("undecided", None)
    assert "being calibrated" not in str(found["notes"])
    assert client.post("/v1/enrol", json={"record": handle, "patient_id": "patient-2"}).status_code == 201
    calibrated(2)
    client.app.state.service.calibration_due = True
    found = client.post("/v1/identify", json={"record": handle}).json()
    assert "being calibrated; ask again" in found["notes"][-1]
    assert len(calibrations) == 2
    assert all(name.startswith("anylead-screening") for name in calibrations)


def test_a_gallery_that_cannot_be_reached_is_503_until_it_can(client, gallery, monkeypatch):
    with monkeypatch.context() as broken:

        def away(*_, **__):
            raise GalleryUnavailableError("postgresql://secret: the server ended the connection.")

        broken.setattr(gallery.database, "enrol", away)
        broken.setattr(gallery.database, "patients", away)
        handle = send(client, recording_of(2, 5))
        body = {"record": handle, "patient_id": "patient-2"}
        for answer in (client.post("/v1/enrol", json=body), client.get("/v1/gallery")):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "try again in a moment" in answer.json()["error"]["message"]
            assert "secret" not in answer.text
    assert client.post("/v1/enrol", json=body).json()["enrolled"] == 1


def test_a_gallery_rebuilt_elsewhere_is_opened_again_or_said_to_be_of_another_model(client, tiny, tmp_path):
    handle = send(client, recording_of(2, 5))
    with Gallery.open(tmp_path / "gallery", tiny) as other:
        enrolments = [
            replace(one, templates={"12": one.templates["12"]}) for one in other.database.enrolments()
        ]
        identity = replace(other.identity, lead_sets=other.identity.lead_sets[:1])
        other.database.replace_all(identity, enrolments, actor="x", action="rebuild")
    assert client.post("/v1/identify", json={"record": handle}).status_code == 200
    assert client.get("/v1/gallery").json()["templates"] == {"12": 8}
    with Gallery.open(tmp_path / "gallery") as other:
        other.rebuild(tiny_bundle(seed=1))
    for answer in (client.post("/v1/identify", json={"record": handle}), client.get("/readyz")):
        assert answer.status_code == 503
        assert "started again with that model's bundle" in answer.json()["error"]["message"]


def test_keys_of_another_gallery_and_revoked_ones_are_refused(client, gallery, tiny, tmp_path):
    assert client.get("/v1/gallery").status_code == 200
    keys = ApiKeys(gallery.database)
    with Gallery.create(tmp_path / "other", tiny) as other:
        foreign = ApiKeys(other.database).make("theirs", ["admin"])
    ours = keys.make("ours", ["read"])

    def status(key):
        return client.get("/v1/gallery", headers={"Authorization": f"Bearer {key}"}).status_code

    assert client.get("/v1/gallery").status_code == 401
    assert (status(ours), status(foreign), status(ours[:-1]), status("?")) == (200, 401, 401, 401)
    keys.revoke("ours")
    assert status(ours) == 401
    assert client.get("/v1/gallery").status_code == 401


def test_a_gallery_that_is_away_is_said_to_be(client, gallery):
    gallery.database.close()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    answer = client.get("/v1/gallery")
    assert answer.status_code == 503
    assert "Traceback" not in answer.text


def test_the_command_opens_gallery_and_bundle_and_serves(gallery, tiny, tmp_path, monkeypatch):
    tiny.save_pretrained(tmp_path / "bundle")
    served = []
    monkeypatch.setattr(server, "serve", lambda app, settings: served.append(settings))
    words = ["--gallery", str(tmp_path / "gallery"), "--bundle", str(tmp_path / "bundle")]
    serve_command.run([*words, "--port", "9", "--allowed-hosts", "ecg.hospital"])
    assert served[0].port == 9
    assert "ecg.hospital" in served[0].hosts
    with pytest.raises(ConfigError, match="make one with `anylead keys make`"):
        serve_command.run([*words, "--host", "0.0.0.0"])


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(serve_command, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"serving needs fastapi, .*install anylead\[service\]"):
        serve_command.run(["--gallery", "g", "--bundle", "b"])
