"""The service over PostgreSQL, whose server goes away under load and comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from anylead.errors import GalleryError
from anylead.gallery import gallery as gallery_module
from anylead.gallery.gallery import Gallery
from anylead.gallery.gallery_key import KEY_VARIABLE
from gallery_setup import recording_of, tiny_bundle
from postgres_server import running_postgres
from service_parts import client_of, csv_of


def too_few(*_, **__):
    raise GalleryError("too few patients have several recordings.")


@pytest.mark.slow
def test_a_restart_under_load_gives_503_and_is_got_over(monkeypatch):
    pg_ctl = pytest.importorskip("pgserver", reason="pgserver brings the PostgreSQL of this test").pg_ctl
    with running_postgres() as server:
        monkeypatch.setenv(KEY_VARIABLE, "5a" * 32)
        monkeypatch.setattr(gallery_module, "fit_calibration", too_few)
        bundle = tiny_bundle()
        with Gallery.create(server.get_uri("postgres"), bundle) as gallery:
            gallery.enrol(recording_of(person, session) for person in range(3) for session in range(2))
            with client_of(gallery, bundle) as client, ThreadPoolExecutor(4) as pool:
                probe = recording_of(1, 7)
                file = {"file": ("x.csv", csv_of(probe.signal, probe.leads))}
                answer = client.post("/v1/records", files=file, data={"fs": "100", "unit": "mV"})
                handle, done, away = answer.json()["record"], threading.Event(), threading.Event()
                asked = (
                    lambda: client.post("/v1/identify", json={"record": handle}),
                    lambda: client.get("/v1/gallery"),
                    lambda: client.get("/v1/worklist"),
                    lambda: client.get("/v1/patients/patient-1"),
                )

                def load(ask):
                    answers = []
                    while not done.is_set():
                        answers.append(ask())
                        if answers[-1].status_code == 503:
                            away.set()
                        done.wait(0.05)
                    return answers

                running = [pool.submit(load, ask) for ask in asked]
                arguments = ["-w", "-m", "immediate", "-l", str(server.log), "restart"]
                pg_ctl(arguments, pgdata=server.pgdata, user=server.system_user)
                try:
                    assert away.wait(30)
                finally:
                    done.set()  # or the requests would go on for ever
                answers = [answer for one in running for answer in one.result(60)]
                assert {answer.status_code for answer in answers} <= {200, 503}
                for answer in answers:
                    if answer.status_code == 503:
                        assert "The gallery cannot be reached" in answer.json()["error"]["message"]
                        assert "postgresql" not in answer.text
                assert client.get("/readyz").status_code == 200
                assert [ask().status_code for ask in asked] == [200] * 4
