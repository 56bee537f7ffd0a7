"""The service over a real gallery, with real keys."""

import pytest

from anylead.cli import serve as serve_command
from anylead.errors import ConfigError
from anylead.gallery.api_keys import ApiKeys
from anylead.gallery.gallery import Gallery
from anylead.service import server
from gallery_setup import recording_of, tiny_bundle
from service_parts import client_of, csv_of


@pytest.fixture(scope="module")
def tiny():
    return tiny_bundle()


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
    assert listed.json()["screened"] == 8
    for case in listed.json()["cases"][:1]:
        path = f"/v1/worklist/{case['case_id']}/review"
        assert client.post(path, json={"verdict": "unsure"}).status_code == 204
    assert client.post("/v1/worklist/none/review", json={"verdict": "unsure"}).status_code == 409
    assert client.get("/readyz").status_code == 200


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
