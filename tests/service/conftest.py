"""A small bundle, a gallery of plain lists, and a client of the service over them."""

import pytest

from service_parts import FakeGallery, client_of, make_bundle, send


@pytest.fixture(scope="session")
def bundle():
    return make_bundle(classes=("AF", "LBBB"))


@pytest.fixture
def gallery(bundle):
    return FakeGallery(bundle)


@pytest.fixture
def client(gallery, bundle):
    with client_of(gallery, bundle) as client:
        yield client


@pytest.fixture
def handle(client):
    return send(client).json()["record"]
