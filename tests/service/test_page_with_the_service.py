"""The page in a real browser, against the real service over a made-up gallery."""

import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import uvicorn

from anylead.leads import STANDARD_12
from anylead.record import Record
from anylead.service.app import make_app
from browser import CHROMIUM, Browser
from service_parts import FakeKeys, csv_of, samples

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def kept(gallery):
    record = Record(signal=samples(seconds=25), leads=STANDARD_12, sampling_rate_hz=500.0, record_id="a/1")
    gallery.kept["a/1"] = replace(record, patient_id="<b>Ann</b>")
    return gallery


@pytest.fixture
def serve(kept, bundle):
    stops = []

    def start(keys=None):
        listening = socket.create_server(("127.0.0.1", 0))
        app = make_app(kept, bundle, keys=keys or FakeKeys())
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        stops.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield start
    for server, thread in stops:
        server.should_exit = True
        thread.join(10)


def test_a_recording_is_read_classified_identified_and_a_case_reviewed(browser, serve, kept, tmp_path):
    page = browser.page(serve())
    (tmp_path / "broken.csv").write_bytes(b"\x00\x01nothing")
    page.files("#files", tmp_path / "broken.csv")
    page.says("#upload-message", "nothing says the sampling_rate_hz")
    page.wait("document.querySelector('#file-facts').open")

    (tmp_path / "mine.csv").write_bytes(csv_of(samples(seconds=12)))
    page.js(
        "document.querySelector('[name=fs]').value = '500';document.querySelector('[name=unit]').value = 'mV'"
    )
    page.files("#files", tmp_path / "mine.csv")
    page.says("#verdict", "Undecided")
    assert "mine: 12 leads, 12.0 s" in page.text("#upload-message")
    page.says("#classes", "LBBB")
    assert "not calibrated" in page.text("#matches")
    assert "<b>Ann</b>" in page.text("#matches")
    page.says("#match-paper", "a/1")
    page.wait("document.querySelector('#match-paper .paper-length').clientWidth >"
              "2 * document.querySelector('#record-paper .paper-length').clientWidth")  # fmt: skip
    page.click("#lead-toggles input[value=V1]")
    page.wait("document.querySelector('#opened').classList.contains('waiting')")
    page.wait("!document.querySelector('#opened').classList.contains('waiting')")

    page.click("#tab-worklist")
    page.says("#case", "1 of 1")
    page.press("u")
    page.says("#review-message", "unsure. 1 of 1 reviewed.")
    assert kept.reviews == {"c1": ("unsure", "local", "")}
    page.click("#tab-map")
    page.says("#map-count", "1 recording.")
    page.click("#tab-gallery")
    page.says("#gallery-body", "Audit trail")
    assert "secret" not in page.text("#gallery-body")
    assert page.complaints() == []
    page.close()


def test_a_key_that_may_only_read_cannot_review(browser, serve, kept):
    page = browser.page(serve(FakeKeys("read-1")))
    page.click("#tab-worklist")
    page.wait("document.querySelector('#key-dialog').open")
    for letter in "read-1":
        page.press(letter)
    page.press("Enter")
    page.says("#case", "1 of 1")
    page.press("a")
    page.says("#review-message", "Not saved. The API key does not have the role 'review'")
    assert kept.reviews == {}
    page.close()


def test_the_service_tells_how_long_the_whole_recording_is(client, gallery):
    gallery.kept["long"] = Record(
        signal=np.zeros((1, 12500), np.float32), leads=("I",), sampling_rate_hz=500.0, record_id="long"
    )
    told = client.get("/v1/gallery/records/long/signal").json()
    assert (told["duration_s"], told["recording_s"]) == (10, 25)
