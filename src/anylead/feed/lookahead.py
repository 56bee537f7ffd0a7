"""Batches made ahead of time, in a thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Lookahead(Generic[T]):
    """Makes the batches of the next steps while the current one is used.

    What a step holds does not change: steps are asked for by number, and one that was not foreseen
    is made on the spot. Use it in a ``with`` block, or call `close`.
    """

    def __init__(self, batches: Callable[[int], T], *, depth: int = 2) -> None:
        """Wraps a function of the step.

        Args:
            batches: Such as `PairFeed.batches`.
            depth: Steps made ahead.
        """
        self._batches = batches
        self._depth = depth
        # One thread: the work is copying out of memory maps, and results must not depend on a race.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lookahead")
        self._coming: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """Returns the batches of a step and starts on the next ones."""
        wanted = range(step, step + self._depth + 1)
        for other in [other for other in self._coming if other not in wanted]:
            self._coming.pop(other).cancel()
        for coming in wanted:
            if coming not in self._coming:
                self._coming[coming] = self._executor.submit(self._batches, coming)
        return self._coming.pop(step).result()

    def close(self) -> None:
        """Stops the thread after what it is doing."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "Lookahead[T]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
