"""The log: one JSON object a line, of what a request was and how it ended, never of whom."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("anylead.service")


class JsonFormatter(logging.Formatter):
    """Writes a record of this service's logger as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(line | getattr(record, "fields", {}))


def log(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Writes one line.

    Args:
        event: What happened, a constant.
        level: Of `logging`.
        fields: Numbers, routes and names of keys; nothing a client sent.
    """
    logger.log(level, event, extra={"fields": fields})


def place_of(error: BaseException) -> str:
    """Returns where an unforeseen error comes from; its text may hold what a client sent and is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f"{type(error).__name__} at {last.name}:{last.lineno}" if last else type(error).__name__


def log_as_json() -> None:
    """Sends the service's log to standard error, and silences the rest of anylead's.

    What the library logs may name recordings.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("anylead").setLevel(logging.CRITICAL)
