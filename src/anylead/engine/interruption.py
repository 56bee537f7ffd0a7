"""Stopping a run between two updates when the system, or Ctrl-C, asks for it."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger(__name__)


class StopRequest:
    """Whether somebody has asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False
        self.by_user = False
        """Whether it was Ctrl-C, and not the system."""


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns the first SIGTERM or SIGINT into a request that the loop looks at after each step.

    A second SIGINT raises KeyboardInterrupt as usual. Outside the main thread Python allows no handlers, and
    nothing is changed.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.asked = True
        request.by_user = number == signal.SIGINT
        _log.warning("%s: finishing this step, then saving.", signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
