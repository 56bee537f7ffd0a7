"""Who is let in, and what a browser is protected from."""

import pytest

from anylead.errors import ConfigError
from anylead.service.app import make_app
from anylead.service.settings import ServiceSettings
from service_parts import FakeKeys, client_of, send

KEYS = FakeKeys("read-1", "enrol-1", "review-1", "admin-1", "read-2")


@pytest.fixture
def locked(gallery, bundle):
    with client_of(gallery, bundle, KEYS) as client:
        yield client


def bearer(name):
    return {"Authorization": f"Bearer {name}"}


@pytest.mark.parametrize("given", [{}, bearer("other"), bearer(""), {"Authorization": "Basic read-1"}])
@pytest.mark.parametrize("path", ["/v1/gallery", "/metrics", "/v1/nothing", "/V1/gallery/../gallery"])
def test_without_a_valid_key_nothing_is_told(locked, path, given):
    answer = locked.get(path, headers=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "valid API key of this gallery" in answer.json()["error"]["message"]


def test_a_body_is_not_even_read_without_a_key(locked):
    def body():
        yield b"x"
        raise AssertionError("it was read")

    assert locked.post("/v1/embed", json={"record": "x"}).status_code == 401
    assert locked.post("/v1/records", content=b"nonsense").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("post", "/v1/enrol", "enrol"),
        ("post", "/v1/worklist/c1/review", "review"),
        ("delete", "/v1/patients/p", "admin"),
    ],
)
def test_each_role_may_do_its_own(locked, method, path, role):
    handle = send(locked, headers=bearer(f"{role}-1")).json()["record"]
    bodies = {"enrol": {"record": handle, "patient_id": "p"}, "review": {"verdict": "unsure"}}
    options = {"json": bodies[role]} if role in bodies else {}
    for name in {"read-1", "enrol-1", "review-1"} - {f"{role}-1"}:
        answer = getattr(locked, method)(path, headers=bearer(name), **options)
        assert answer.status_code == 403
        assert f"role '{role}'" in answer.json()["error"]["message"]
    assert getattr(locked, method)(path, headers=bearer(f"{role}-1"), **options).status_code < 405
    assert locked.get("/v1/gallery", headers=bearer(f"{role}-1")).status_code == 200


def test_an_admin_may_all_and_is_named_in_the_audit(locked, gallery):
    handle = send(locked, headers=bearer("admin-1")).json()["record"]
    body = {"record": handle, "patient_id": "p"}
    assert locked.post("/v1/enrol", json=body, headers=bearer("admin-1")).status_code == 201
    assert gallery.actor == "admin-1"


def test_an_upload_belongs_to_the_key_that_sent_it(locked):
    handle = send(locked, headers=bearer("read-1")).json()["record"]
    for path in (f"/v1/records/{handle}/signal",):
        assert locked.get(path, headers=bearer("read-1")).status_code == 200
        assert locked.get(path, headers=bearer("read-2")).status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_whether_it_is_well_needs_no_key(locked, path):
    assert locked.get(path).status_code == 200


def test_other_addresses_need_keys(gallery, bundle):
    settings = ServiceSettings(host="0.0.0.0")
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0: other machines may reach this address"):
        make_app(gallery, bundle, settings, keys=FakeKeys())
    with client_of(gallery, bundle, KEYS, host="0.0.0.0") as client:
        assert client.get("/v1/gallery").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::1", "10.0.0.5"]
)
def test_a_name_that_points_here_is_no_host_of_ours(client, host):
    answer = client.get("/v1/gallery", headers={"Host": host})
    assert answer.status_code == 421
    assert "--allowed-hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
def test_names_of_loopback_are_ours(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_host_may_be_allowed(gallery, bundle):
    with client_of(gallery, bundle, allowed_hosts=("ecg.hospital",)) as client:
        assert client.get("/healthz", headers={"Host": "ecg.hospital"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_may_not_ask(client, headers):
    assert client.get("/v1/gallery", headers=headers).status_code == 403
    assert send(client, headers=headers).status_code == 403


def test_its_own_page_may_ask(client):
    headers = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/v1/gallery", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/nothing", "/v1/gallery"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path, headers={"Origin": "http://127.0.0.1:8000"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["Cache-Control"] == "no-store"
    assert not {name for name in headers if name.startswith("access-control") or name == "set-cookie"}


def test_a_request_id_is_taken_over_if_it_is_one(client):
    assert (
        client.get("/healthz", headers={"X-Request-Id": "abc-12345"}).headers["X-Request-Id"] == "abc-12345"
    )
    for bad in ("<script>alert(1)</script>", "a" * 65, "short"):
        assert client.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


@pytest.mark.parametrize(
    "path",
    [
        "/page/../settings.py",
        "/page/%2e%2e/settings.py",
        "/page/..%2fsettings.py",
        "/page//etc/passwd",
        "/page/%00",
        "/page/..\\settings.py",
        "/../../etc/passwd",
    ],
)
def test_tricks_with_paths_reach_no_file(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 401)
    assert "ServiceSettings" not in answer.text
    assert "root:" not in answer.text
