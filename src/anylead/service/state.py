"""What all routes share."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from anylead.bundle import Bundle
from anylead.errors import AnyleadError, GalleryChangedError, GalleryError, GalleryUnavailableError
from anylead.service.batching import ModelWorker
from anylead.service.errors import Refused
from anylead.service.held import Held, HeldRecords
from anylead.service.logs import log, place_of
from anylead.service.metrics import Metrics
from anylead.service.security import Keys
from anylead.service.settings import ServiceSettings
from anylead.service.workers import Workers, wait

T = TypeVar("T")

CALIBRATING = "The gallery is being calibrated; ask again in a moment for a probability."
_REBUILT = (
    "The gallery was rebuilt for another model; the service must be started again with that model's bundle."
)


@dataclass(kw_only=True, eq=False)
class Service:
    """A gallery, a bundle, and the threads and memory that serve them."""

    gallery: Any
    bundle: Bundle
    settings: ServiceSettings
    keys: Keys
    metrics: Metrics
    model: ModelWorker
    """Owns the networks: embedding, identifying, enrolling."""
    reading: Workers
    """Reads and prepares recordings."""
    asking: Workers
    """Asks the gallery what needs no network."""
    screening: Workers
    """Calibrates and screens, which takes long."""
    watching: Workers
    """Looks whether the gallery can be reached, whatever else is asked of it."""
    held: HeldRecords
    fingerprint: str
    """Of the bundle."""
    calibration_due: bool = True
    """Whether the gallery was written to, or opened, since its calibration was looked at."""
    stopping: bool = False
    """Whether new requests are refused, as the service was told to stop."""
    _will_look: bool = False

    @classmethod
    def start(cls, gallery: Any, bundle: Bundle, settings: ServiceSettings, keys: Keys) -> "Service":
        """Starts the threads."""
        metrics = Metrics()
        again = settings.retry_after_s
        held = HeldRecords(
            most=settings.held_records, most_bytes=settings.held_bytes, seconds=settings.held_s
        )
        metrics.held.set_function(lambda: len(held))
        return cls(
            gallery=gallery,
            bundle=bundle,
            settings=settings,
            keys=keys,
            metrics=metrics,
            model=ModelWorker(
                bundle,
                most=settings.queue,
                batch_windows=settings.batch_windows,
                batch_wait_ms=settings.batch_wait_ms,
                retry_after_s=again,
                metrics=metrics,
            ),
            reading=Workers(
                "reading",
                threads=settings.readers,
                most=settings.queue,
                retry_after_s=again,
                metrics=metrics,
            ),
            asking=Workers("gallery", threads=1, most=settings.queue, retry_after_s=again, metrics=metrics),
            screening=Workers(
                "screening", threads=1, most=settings.queue, retry_after_s=again, metrics=metrics
            ),
            watching=Workers("ready", threads=1, most=settings.queue, retry_after_s=again, metrics=metrics),
            held=held,
            fingerprint=bundle.fingerprint(),
        )

    async def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Returns what a method of the gallery gives that needs no network."""
        limit_s = self.settings.work_timeout_s
        return await self.asking.run(self._current, function, *arguments, limit_s=limit_s)

    async def screen(self, function: Callable[..., T], *arguments: Any) -> T:
        """Returns what a method gives that may screen the gallery: one at a time, beside all else."""
        limit_s = self.settings.work_timeout_s
        return await self.screening.run(self._current, function, *arguments, limit_s=limit_s)

    async def reach(self) -> None:
        """Returns if the gallery can be asked.

        Raises:
            Refused: If not (503).
        """
        try:
            await self.watching.run(self._current, self._look, limit_s=5.0)
        except Refused:
            raise
        except Exception as error:  # whatever the driver of a database raises
            raise Refused(503, "The gallery cannot be reached.") from error

    async def run_model(self, function: Callable[[], T]) -> T:
        """Returns what a method of the gallery gives that runs the networks."""
        future = self.model.call(lambda: self._current(function))
        return await wait(future, limit_s=self.settings.work_timeout_s)

    def wrote(self) -> None:
        """Notes that the gallery was written to."""
        self.calibration_due = True
        self.calibrate_soon()

    def calibrate_soon(self, *, now: bool = False) -> None:
        """Lets the calibration be looked at after a while, once for all; called in the event loop."""
        if not self._will_look:
            self._will_look = True
            delay_s = 0.0 if now else self.settings.calibrate_after_s
            asyncio.get_running_loop().call_later(delay_s, self._calibrate)

    def held_record(self, handle: str, owner: str) -> Held:
        """Returns an uploaded recording."""
        return self.held.get(handle, owner=owner)

    def close(self) -> None:
        """Finishes what was begun and ends the threads."""
        for part in (self.reading, self.asking, self.screening, self.watching, self.model):
            part.close()

    def _calibrate(self) -> None:
        self._will_look = False
        # Where many worklists wait, the first of them calibrates.
        with suppress(Refused):
            if not self.stopping:
                self.screening.put(self._calibrate_if_due)

    def _calibrate_if_due(self) -> None:
        try:
            self._current(self.gallery.calibrate_if_due)
        except (AnyleadError, Refused) as error:
            log("not calibrated", level=logging.ERROR, error=place_of(error))
        finally:
            self.calibration_due = False

    def _look(self) -> None:
        if self.gallery.database.identity() != self.gallery.identity:
            raise GalleryChangedError

    def _current(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function of the gallery, which is opened again where another process rebuilt it."""
        try:
            return function(*arguments)
        except GalleryChangedError:
            try:
                self.gallery.refresh()
            except GalleryUnavailableError:
                raise
            except GalleryError as error:
                raise Refused(503, _REBUILT) from error
            return function(*arguments)


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(_service)]
"""The argument of a route that needs the service."""
