"""Uploaded recordings: in memory only, for a while, for the one who sent them."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anylead.record import Record
from anylead.service.errors import Refused


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """One uploaded recording."""

    raw: Record
    """As it was read."""
    prepared: Record
    """As the bundle prepares it."""
    owner: str
    """Name of the API key that sent it."""
    until: float
    """On the clock of `HeldRecords`."""

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return int(self.raw.signal.nbytes + self.prepared.signal.nbytes)


class HeldRecords:
    """A bounded number of recordings under handles that cannot be guessed.

    Args:
        most: How many; the oldest go first.
        most_bytes: Memory for all of them.
        seconds: How long one is kept.
        clock: Seconds; replaced in tests.
    """

    def __init__(
        self, *, most: int, most_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._most_bytes, self._seconds, self._clock = most, most_bytes, seconds, clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def largest_bytes(self) -> int:
        """Memory that one recording may take."""
        return self._most_bytes // 4

    def put(self, raw: Record, prepared: Record, *, owner: str) -> str:
        """Keeps a recording and returns its handle.

        Raises:
            Refused: If it is too large (413).
        """
        held = Held(raw=raw, prepared=prepared, owner=owner, until=self._clock() + self._seconds)
        if held.bytes > self.largest_bytes:
            raise Refused(413, "The recording is too long to be kept in memory; send a part of it.")
        handle = secrets.token_urlsafe(16)
        with self._lock:
            self._held[handle] = held
            self._bytes += held.bytes
            self._forget()
        return handle

    def get(self, handle: str, *, owner: str) -> Held:
        """Returns a recording.

        Raises:
            Refused: If there is none of this handle, any more, or it is somebody else's (404).
        """
        with self._lock:
            self._forget()
            held = self._held.get(handle)
        if held is None or held.owner != owner:
            raise Refused(404, "There is no such recording, or it has expired; upload it again.")
        return held

    def _forget(self) -> None:
        now = self._clock()
        while self._held:
            oldest = next(iter(self._held.values()))
            if oldest.until > now and len(self._held) <= self._most and self._bytes <= self._most_bytes:
                return
            self._bytes -= self._held.popitem(last=False)[1].bytes

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._held)
