"""The app: routes, gates and page put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from anylead.bundle import Bundle
from anylead.gallery.api_keys import ApiKeys
from anylead.provenance import version
from anylead.service import routes_gallery, routes_model, routes_records, routes_state
from anylead.service.description import describe
from anylead.service.errors import add_handlers
from anylead.service.gate import Gate
from anylead.service.limits import BodyLimits
from anylead.service.security import Keys, require_keys_beyond_loopback
from anylead.service.settings import ServiceSettings
from anylead.service.state import Service


def make_app(
    gallery: Any, bundle: Bundle, settings: ServiceSettings | None = None, *, keys: Keys | None = None
) -> FastAPI:
    """Makes the service.

    Args:
        gallery: Opened with the bundle.
        bundle: Runs in a thread of the app from now on, and nowhere else.
        settings: Where it listens and what it bears.
        keys: The API keys; those of the gallery where None.

    Returns:
        An ASGI app; `app.state.service` has what it works with.

    Raises:
        ConfigError: If the address is not loopback's and the gallery has no key.
    """
    settings = settings or ServiceSettings()
    keys = keys or ApiKeys(gallery.database)
    require_keys_beyond_loopback(settings, keys)
    service = Service.start(gallery, bundle, settings, keys)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.calibrate_soon(now=True)
        yield
        service.stopping = True
        service.close()

    app = FastAPI(
        title="anylead",
        version=version(),
        summary="Whose heart is this? A gallery of ECG templates, and the model behind it.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for part in (routes_state, routes_records, routes_model, routes_gallery):
        app.include_router(part.router)
    add_handlers(app)
    describe(app)
    app.add_middleware(BodyLimits, settings=settings)
    app.add_middleware(Gate, service=service)
    return app
