"""Requests made from the OpenAPI, right and wrong ones: never a 500, and the answers are those described."""

import pytest

pytest.importorskip("schemathesis")

from service_parts import FakeGallery, client_of, make_bundle, send
from service_requests import operations, schema_of, send_requests


@pytest.fixture(scope="module")
def api():
    bundle = make_bundle(classes=("AF",))
    with client_of(FakeGallery(bundle), bundle, allowed_hosts=("testserver",)) as client:
        yield operations(schema_of(client.app)), send(client).json()["record"]


@pytest.mark.slow
def test_answers_to_any_request_are_those_described(api):
    found, handle = api
    assert len(found) == 17
    for operation in found.values():
        send_requests(operation, 4, handle=handle)
