"""Work beside the event loop: threads with a bounded queue, so that too much is refused, not piled up."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from anylead.service.errors import Refused
from anylead.service.metrics import Metrics

T = TypeVar("T")


def busy(retry_after_s: int) -> Refused:
    """Returns the refusal of a request for which there is no room."""
    message = f"The service is busy; try again in {retry_after_s} s."
    return Refused(429, message, headers={"Retry-After": str(retry_after_s)})


async def wait(future: "Future[T]", *, limit_s: float, status: int = 503) -> T:
    """Returns the result of a future of another thread.

    Raises:
        Refused: If it takes longer than the limit; the thread itself cannot be stopped and goes on.
    """
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), limit_s)
    except TimeoutError as error:
        raise Refused(
            status, f"This took longer than {limit_s:g} s and was given up; try something smaller."
        ) from error


class Workers:
    """A few threads that share one bounded queue.

    Args:
        name: What metrics call the queue.
        threads: How many work at a time.
        most: How many may wait or be worked on at a time.
        retry_after_s: What a refused client is told.
        metrics: To count in.
    """

    def __init__(
        self, name: str, *, threads: int, most: int, retry_after_s: int = 1, metrics: Metrics
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"anylead-{name}")
        self._free = threading.Semaphore(most)
        self._retry_after_s = retry_after_s
        self._waiting = metrics.waiting.labels(name)
        self._refused = metrics.refused.labels(name)

    async def run(self, function: Callable[..., T], *arguments: Any, limit_s: float, status: int = 503) -> T:
        """Returns what a function gives.

        Args:
            function: Called in one of the threads.
            arguments: For the function.
            limit_s: How long to wait for it.
            status: HTTP status where that is not long enough.

        Raises:
            Refused: If the queue is full (429), or it takes too long.
        """
        return await wait(self.put(function, *arguments), limit_s=limit_s, status=status)

    def put(self, function: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Returns what a function will give.

        Raises:
            Refused: If the queue is full (429).
        """
        if not self._free.acquire(blocking=False):
            self._refused.inc()
            raise busy(self._retry_after_s)
        self._waiting.inc()
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any]) -> None:
        self._waiting.dec()
        self._free.release()

    def close(self) -> None:
        """Finishes what was begun and ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
