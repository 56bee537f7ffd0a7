"""What all routes share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from anylead.bundle import Bundle
from anylead.service.batching import ModelWorker
from anylead.service.held import Held, HeldRecords
from anylead.service.metrics import Metrics
from anylead.service.security import Keys
from anylead.service.settings import ServiceSettings
from anylead.service.workers import Workers, wait

T = TypeVar("T")


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
    held: HeldRecords
    fingerprint: str
    """Of the bundle."""
    stopping: bool = False
    """Whether new requests are refused, as the service was told to stop."""

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
            held=held,
            fingerprint=bundle.fingerprint(),
        )

    async def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Returns what a method of the gallery gives that needs no network."""
        return await self.asking.run(function, *arguments, limit_s=self.settings.work_timeout_s)

    async def run_model(self, function: Callable[[], T]) -> T:
        """Returns what a method of the gallery gives that runs the networks."""
        return await wait(self.model.call(function), limit_s=self.settings.work_timeout_s)

    def held_record(self, handle: str, owner: str) -> Held:
        """Returns an uploaded recording."""
        return self.held.get(handle, owner=owner)

    def close(self) -> None:
        """Finishes what was begun and ends the threads."""
        for part in (self.reading, self.asking, self.model):
            part.close()


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(_service)]
"""The argument of a route that needs the service."""
