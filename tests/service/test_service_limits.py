"""Too large, too many, too slow: refused, and the rest goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from anylead.record import Record
from anylead.service.batching import ModelWorker
from anylead.service.errors import Refused
from anylead.service.held import HeldRecords
from anylead.service.metrics import Metrics
from service_parts import client_of, samples, send


def test_a_body_is_refused_by_what_it_announces_and_by_what_it_is(gallery, bundle):
    read = []

    def chunks():
        for _ in range(100):
            read.append(1)
            yield b"x" * 1000

    with client_of(gallery, bundle, upload_bytes=5000, body_bytes=500) as client:
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        for answer in (
            client.post("/v1/records", content=b"x" * 5001, headers=form),
            client.post("/v1/records", content=chunks(), headers=form),
            client.post("/v1/embed", json={"record": "x" * 600}),
            client.post("/v1/embed", json={}, headers={"Content-Length": "many"}),
        ):
            assert answer.status_code == 413
            assert "the most accepted here" in answer.json()["error"]["message"]
            assert answer.headers["Connection"] == "close"


def test_a_recording_too_long_for_memory_is_refused(gallery, bundle):
    with client_of(gallery, bundle, held_bytes=100_000) as client:
        answer = send(client)
        assert answer.status_code == 413
        assert "send a part of it" in answer.json()["error"]["message"]


def test_a_full_queue_is_refused_with_a_time_to_wait(gallery, bundle, monkeypatch):
    release, began = threading.Event(), threading.Event()
    with client_of(gallery, bundle, queue=1, retry_after_s=7) as client, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(gallery, "map", lambda: began.set() or (release.wait(10) and []))
        first = pool.submit(client.get, "/v1/gallery/map")
        assert began.wait(10)
        refused = client.get("/v1/gallery")
        release.set()
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "7"
        assert "try again in 7 s" in refused.json()["error"]["message"]
        assert first.result().status_code == 200
        assert 'anylead_refused_total{queue="gallery"}' in client.get("/metrics").text


def test_work_that_takes_too_long_is_given_up(gallery, bundle, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(gallery, "map", lambda: release.wait(10))
    with client_of(gallery, bundle, work_timeout_s=0.05) as client:
        answer = client.get("/v1/gallery/map")
        release.set()
    assert answer.status_code == 503
    assert "longer than 0.05 s" in answer.json()["error"]["message"]


def test_concurrent_requests_share_batches_and_give_the_same(bundle, record_of):
    metrics = Metrics()
    records = [
        record_of(seconds, leads) for seconds, leads in ((10, 12), (5, 2), (7.5, 1), (1, 12), (10, 12))
    ]
    windows = [list(bundle.windows_of([record])) for record in records]
    worker = ModelWorker(bundle, metrics=metrics, batch_wait_ms=200.0)
    embedded = [worker.embed(one) for one in windows]
    classified = [worker.classify(one) for one in windows[:2]]
    rows = [future.result(30) for future in embedded]
    probabilities = [future.result(30) for future in classified]
    worker.close()
    for record, row in zip(records, rows, strict=True):
        np.testing.assert_allclose(row, bundle.embed(record)[0], atol=1e-5)
    for record, row in zip(records, probabilities, strict=False):
        np.testing.assert_allclose(row, bundle.predict_proba(record)[0], atol=1e-5)
    assert b"anylead_batch_windows_count 2.0" in metrics.text()


def test_a_fault_in_the_model_reaches_who_asked_and_the_thread_lives(bundle, record_of):
    worker = ModelWorker(bundle, metrics=Metrics())
    windows = list(bundle.windows_of([record_of(5, 12)]))
    bad = worker.call(lambda: 1 / 0)
    after = worker.embed(windows)
    assert isinstance(bad.exception(10), ZeroDivisionError)
    assert after.result(10).shape == (16,)
    assert worker.is_alive()
    worker.close()


def test_what_waits_is_finished_when_the_thread_ends(bundle, record_of):
    worker = ModelWorker(bundle, metrics=Metrics())
    windows = list(bundle.windows_of([record_of(5, 12)]))
    waiting = [worker.embed(windows) for _ in range(5)]
    worker.close()
    assert all(future.result(0).shape == (16,) for future in waiting)
    assert not worker.is_alive()


@pytest.fixture
def record_of():
    def make(seconds, leads):
        names = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")[:leads]
        return Record.from_array(samples(seconds, leads), fs=500, leads=names)

    return make


def test_held_recordings_expire_and_make_room(record_of):
    now = [0.0]
    held = HeldRecords(most=2, most_bytes=10**9, seconds=10.0, clock=lambda: now[0])
    record = record_of(1, 1)
    first, second, third = (held.put(record, record, owner="a") for _ in range(3))
    assert len(held) == 2
    with pytest.raises(Refused, match="expired"):
        held.get(first, owner="a")
    assert held.get(third, owner="a").raw is record
    with pytest.raises(Refused, match="no such recording"):
        held.get(second, owner="b")
    now[0] = 10.0
    assert len(held) == 0
    small = HeldRecords(most=9, most_bytes=record.signal.nbytes * 8, seconds=10.0)
    for _ in range(9):
        small.put(record, record, owner="a")
    assert len(small) == 4
