"""Each route does what the API says, and says what is wrong in one sentence."""

import numpy as np
import pytest

from anylead.leads import STANDARD_12
from anylead.record import Record
from service_parts import FakeGallery, client_of, csv_of, make_bundle, samples, send


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return error


def test_an_upload_says_what_it_is(client):
    answer = send(client, samples(4, 2), ("I", "II"))
    assert answer.status_code == 201
    told = answer.json()
    assert told["leads"] == ["I", "II"]
    assert told["sampling_rate_hz"] == 500
    assert told["duration_s"] == pytest.approx(4)
    assert told["expires_in_s"] == 900
    again = send(client, samples(4, 2), ("I", "II")).json()
    assert again["record_id"] == told["record_id"]
    assert again["record"] != told["record"]


def test_an_uploaded_recording_is_drawn_in_microvolts(client, handle):
    told = client.get(f"/v1/records/{handle}/signal", params={"start_s": 2, "seconds": 1}).json()
    assert (told["start_s"], told["duration_s"]) == (2, 1)
    assert set(told["microvolts"]) == set(STANDARD_12)
    rate = told["sampling_rate_hz"]
    assert all(len(row) == rate for row in told["microvolts"].values())
    assert all(isinstance(value, int) for value in told["microvolts"]["I"])


def test_a_missing_sample_is_null(gallery, client):
    signal = np.zeros((1, 1000), np.float32)
    signal[0, 3] = np.nan
    gallery.kept["a/b c"] = Record(
        signal=signal, leads=("I",), sampling_rate_hz=500.0, record_id="a/b c", patient_id="p"
    )
    told = client.get("/v1/gallery/records/a%2Fb%20c/signal").json()
    assert told["microvolts"]["I"][2:5] == [0, None, 0]
    assert told["record_id"] == "a/b c"


def test_a_piece_behind_the_end_is_refused(client, handle):
    answer = client.get(f"/v1/records/{handle}/signal", params={"start_s": 60})
    assert "start earlier" in error_of(answer, 422)["message"]


def test_embedding_is_that_of_the_library(client, handle, bundle):
    told = client.post("/v1/embed", json={"record": handle, "leads": ["I", "II"]}).json()
    held = client.app.state.service.held.get(handle, owner="local").raw
    alone = bundle.embed(held.select(("I", "II")))[0]
    np.testing.assert_allclose(told["embedding"], alone, atol=1e-5)
    assert told["leads"] == ["I", "II"]
    assert told["model"] == bundle.fingerprint()


def test_classes_are_those_of_the_library(client, handle, bundle):
    told = client.post("/v1/classify", json={"record": handle}).json()
    held = client.app.state.service.held.get(handle, owner="local").raw
    expected = bundle.predict_proba(held)[0]
    np.testing.assert_allclose([one["probability"] for one in told["classes"]], expected, atol=1e-5)
    assert [one["name"] for one in told["classes"]] == ["AF", "LBBB"]
    assert [one["found"] for one in told["classes"]] == (expected >= 0.5).tolist()


def test_a_bundle_without_classes_says_so():
    bundle = make_bundle()
    with client_of(FakeGallery(bundle), bundle) as client:
        handle = send(client).json()["record"]
        answer = client.post("/v1/classify", json={"record": handle})
        assert "fine-tune one" in error_of(answer, 409)["message"]


def test_a_lead_that_is_not_there_is_named(client):
    handle = send(client, samples(4, 1), ("I",)).json()["record"]
    answer = client.post("/v1/embed", json={"record": handle, "leads": ["V1"]})
    assert "lead V1 is not recorded" in error_of(answer, 422)["message"]


def test_enrolled_identified_verified_and_removed(client, handle, gallery):
    body = {"record": handle, "patient_id": "p/1"}
    answer = client.post("/v1/enrol", json=body)
    assert answer.status_code == 201
    assert answer.json() == {"enrolled": 1, "already": 0, "failed": []}
    assert client.post("/v1/enrol", json=body).json()["already"] == 1
    assert gallery.actor == "local"
    found = client.post("/v1/identify", json={"record": handle, "top": 3}).json()
    assert [one["patient_id"] for one in found["matches"]] == ["p/1"]
    assert found["nobody"] == {"value": 0.2, "low": 0.1, "high": None}
    said = client.post("/v1/verify", json={"record": handle, "patient_id": "p/1"}).json()
    assert said["patient_id"] == "p/1"
    told = client.get("/v1/patients/p%2F1").json()
    assert [one["leads"] for one in told["recordings"]] == [list(STANDARD_12)]
    assert client.get("/v1/gallery/map").json()["points"][0]["patient_id"] == "p/1"
    assert client.delete("/v1/patients/p%2F1").json() == {"removed": 1}
    error_of(client.get("/v1/patients/p%2F1"), 404)
    error_of(client.delete("/v1/patients/p%2F1"), 404)
    error_of(client.post("/v1/verify", json={"record": handle, "patient_id": "p/1"}), 404)


def test_a_recording_of_somebody_else_is_a_conflict(client, handle):
    body = {"record": handle, "patient_id": "p", "record_id": "r"}
    client.post("/v1/enrol", json=body)
    answer = client.post("/v1/enrol", json={**body, "patient_id": "q"})
    assert "another patient" in error_of(answer, 409)["message"]


def test_the_worklist_is_told_and_reviewed(client, gallery):
    told = client.get("/v1/worklist", params={"budget": 5, "prevalence": 0.01}).json()
    assert told["cases"][0]["kind"] == "wrong patient"
    assert told["prevalence"] == 0.01
    answer = client.post("/v1/worklist/c1/review", json={"verdict": "accept", "note": "seen"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert gallery.reviews == {"c1": ("accept", "local", "seen")}
    error_of(client.post("/v1/worklist/c2/review", json={"verdict": "accept"}), 409)
    error_of(client.post("/v1/worklist/c1/review", json={"verdict": "perhaps"}), 422)


def test_what_the_gallery_holds_is_told_without_its_address(client):
    told = client.get("/v1/gallery").json()
    assert told["dimension"] == 16
    assert "secret" not in str(told)


def test_a_signal_that_is_not_kept_is_not_found(client):
    error_of(client.get("/v1/gallery/records/none/signal"), 404)


@pytest.mark.parametrize("path", ["embed", "classify", "identify"])
def test_an_unknown_handle_is_not_found(client, path):
    assert "upload it again" in error_of(client.post(f"/v1/{path}", json={"record": "no"}), 404)["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("identify", {"record": "x", "top": 0}),
        ("identify", {"record": "x", "known_prior": 1}),
        ("verify", {"record": "x", "patient_id": ""}),
        ("verify", {"record": "x", "patient_id": "a\nb"}),
        ("embed", {"record": "../../etc"}),
        ("embed", {"record": "x", "surprise": 1}),
        ("embed", {"record": "x", "leads": []}),
        ("embed", {}),
    ],
)
def test_a_body_of_another_form_is_refused(client, path, body):
    error = error_of(client.post(f"/v1/{path}", json=body), 422)
    assert error["message"].startswith("body")


def test_no_json_is_refused(client):
    error_of(client.post("/v1/embed", content=b"{", headers={"Content-Type": "application/json"}), 422)


def test_unknown_addresses_and_methods_are_told_in_the_same_form(client):
    error_of(client.get("/v1/nothing"), 404)
    answer = client.put("/v1/embed")
    assert error_of(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == "POST"


def test_alive_and_ready(client, gallery):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    gallery.fault = OSError("the database is away")
    error_of(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200


def test_stopping_refuses_what_is_new(client):
    client.app.state.service.stopping = True
    error_of(client.get("/readyz"), 503)
    error_of(client.get("/v1/gallery"), 503)
    assert client.get("/healthz").status_code == 200


def test_metrics_count_by_route_and_name_nobody(client, handle):
    client.post("/v1/embed", json={"record": handle})
    client.get("/v1/patients/somebody")
    text = client.get("/metrics").text
    assert 'anylead_requests_total{method="POST",route="/v1/embed",status="200"} 1.0' in text
    assert 'route="/v1/patients/{patient_id:path}",status="404"' in text
    assert "somebody" not in text
    assert "anylead_held_records 1.0" in text
    assert "anylead_batch_windows_count 1.0" in text


def test_an_unforeseen_fault_tells_the_client_nothing(client, handle, gallery, caplog):
    gallery.fault = RuntimeError("patient Smith")
    with caplog.at_level("INFO", logger="anylead.service"):
        answer = client.post("/v1/identify", json={"record": handle})
    assert "Smith" not in answer.text
    error_of(answer, 500)
    lines = [record.fields for record in caplog.records if record.getMessage() == "fault"]
    assert lines[0]["error"].startswith("RuntimeError at identify")


def test_the_log_names_no_patient_and_no_file(client, caplog):
    with caplog.at_level("INFO", logger="anylead.service"):
        file = ("smith.csv", csv_of(samples(2)))
        handle = client.post("/v1/records", files={"file": file}, data={"fs": "500", "unit": "mV"}).json()
        client.post("/v1/enrol", json={"record": handle["record"], "patient_id": "smith"})
        client.get("/v1/patients/smith")
        client.delete("/v1/patients/smith")
    said = str([(record.getMessage(), record.fields) for record in caplog.records])
    assert said.count("request_id") == 4
    assert "smith" not in said
    assert "/v1/patients/{patient_id:path}" in said


def test_openapi_describes_every_route_and_its_errors(client):
    described = client.get("/openapi.json").json()
    paths = described["paths"]
    assert set(paths["/v1/embed"]["post"]["responses"]) >= {"200", "401", "404", "413", "422", "429", "503"}
    assert "multipart/form-data" in paths["/v1/records"]["post"]["requestBody"]["content"]
    assert described["components"]["schemas"]["VerifyAsked"]["examples"]
    # Times of recordings have no zone, which that format demands.
    assert "date-time" not in str(described["components"])
    assert {"/v1/worklist/{case_id}/review", "/v1/gallery/map", "/readyz", "/metrics"} <= set(paths)
