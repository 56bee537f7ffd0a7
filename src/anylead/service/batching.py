"""One thread owns the model: windows of concurrent requests go through it together.

What a recording gives does not depend on its company (`Bundle`), so a batch may mix requests.
"""

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Thread
from typing import Any

import numpy as np

from anylead.bundle import Bundle
from anylead.bundle.inference import Window, record_means
from anylead.service.metrics import Metrics
from anylead.service.workers import busy


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """One request's work."""

    call: Callable[[], Any] | None = None
    """Anything that uses the model by itself; None for windows."""
    kind: str = ""
    """``embed`` or ``classify``: through which reader windows go."""
    windows: Sequence[Window] = ()
    future: "Future[Any]" = field(default_factory=Future)


class ModelWorker:
    """The thread that owns a bundle's networks.

    Args:
        bundle: Nobody else may run it from now on.
        most: Requests that may wait at a time.
        batch_windows: Windows at a time.
        batch_wait_ms: How long to wait for more of them.
        retry_after_s: What a refused client is told.
        metrics: To count in.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        most: int = 64,
        batch_windows: int = 64,
        batch_wait_ms: float = 3.0,
        retry_after_s: int = 1,
        metrics: Metrics,
    ) -> None:
        self._bundle = bundle
        self._queue: queue.Queue[_Job | None] = queue.Queue(most)
        self._batch_windows, self._wait_s = batch_windows, batch_wait_ms / 1000
        self._retry_after_s = retry_after_s
        self._metrics = metrics
        self._metrics.waiting.labels("model").set_function(self._queue.qsize)
        self._refused = metrics.refused.labels("model")
        self._thread = Thread(target=self._work, name="anylead-model", daemon=True)
        self._thread.start()

    def embed(self, windows: Sequence[Window]) -> "Future[np.ndarray]":
        """Returns the future embedding of the recording that the windows are of.

        Raises:
            Refused: If the queue is full (429).
        """
        return self._put(_Job(kind="embed", windows=windows))

    def classify(self, windows: Sequence[Window]) -> "Future[np.ndarray]":
        """Returns the future probabilities of the recording that the windows are of.

        Raises:
            Refused: If the queue is full (429).
        """
        return self._put(_Job(kind="classify", windows=windows))

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Returns the future result of a function that uses the model, called between batches.

        Raises:
            Refused: If the queue is full (429).
        """
        return self._put(_Job(call=function))

    def is_alive(self) -> bool:
        """Says whether the thread works."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finishes what waits and ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, job: _Job) -> "Future[Any]":
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self._refused.inc()
            raise busy(self._retry_after_s) from None
        return job.future

    def _work(self) -> None:
        job = self._queue.get()
        while job is not None:
            if job.call is not None:
                _answer([job], job.call)
                job = self._queue.get()
            else:
                batch, job = self._collect(job)
                self._run(batch)
                job = self._queue.get() if job is _LATER else job

    def _collect(self, first: _Job) -> tuple[list[_Job], _Job | None]:
        """Takes more windows, until there are enough, time is up, or something else comes."""
        batch, size = [first], len(first.windows)
        until = time.monotonic() + self._wait_s
        while size < self._batch_windows:
            try:
                job = self._queue.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return batch, _LATER
            if job is None or job.call is not None:
                return batch, job
            batch.append(job)
            size += len(job.windows)
        return batch, _LATER

    def _run(self, batch: list[_Job]) -> None:
        for kind in dict.fromkeys(job.kind for job in batch):
            jobs = [job for job in batch if job.kind == kind]
            _answer(jobs, partial(self._rows, kind, jobs), each=True)

    def _rows(self, kind: str, jobs: list[_Job]) -> np.ndarray:
        model = self._bundle.reader() if kind == "embed" else self._bundle.classifier()
        windows = [replace(window, record=place) for place, job in enumerate(jobs) for window in job.windows]
        self._metrics.batch.observe(len(windows))
        rows = self._bundle.run(model, windows, batch_size=self._batch_windows)
        return record_means(rows, len(jobs))[0]


_LATER = _Job()
"""Stands for: ask the queue again."""


def _answer(jobs: list[_Job], work: Callable[[], Any], *, each: bool = False) -> None:
    """Gives the result, or the error, to everybody who still waits for it."""
    waiting = [job for job in jobs if job.future.set_running_or_notify_cancel()]
    if not waiting:
        return
    try:
        result = work()
    except BaseException as error:
        for job in waiting:
            job.future.set_exception(error)
        return
    for place, job in enumerate(jobs):
        if job in waiting:
            job.future.set_result(result[place] if each else result)
