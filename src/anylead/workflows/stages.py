"""Stages of a long piece of work: each is done once, and again only when what it depends on has changed."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anylead.config import to_plain
from anylead.provenance import fingerprint, version, write_json

logger = logging.getLogger(__name__)


class Stages:
    """Keeps, beside the results, what each stage was made from.

    A stage's key is the fingerprint of its settings, of the keys of the stages it builds on, and of the
    version of anylead. The same key and all files there: the stage is skipped. The same key and not finished:
    its folder is left as it is, for the stage to continue. Another key: its folder is removed first.
    """

    def __init__(self, folder: Path, *, total: int) -> None:
        self.folder = folder
        self.total = total
        self.keys: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        """Stage to how long it took, also where that was an earlier time."""
        self.done_now: list[str] = []
        """Stages that were not skipped."""

    def run(
        self,
        name: str,
        what: str,
        work: Callable[[], Any],
        *,
        settings: Any,
        after: Sequence[str] = (),
        makes: Sequence[Path],
        owns: Sequence[Path] = (),
    ) -> None:
        """Does a stage unless its results are there.

        Args:
            name: Of the stage.
            what: A few words for people.
            work: Does it.
            settings: Plain values or a dataclass.
            after: Stages it builds on, which must have run before.
            makes: Files that are there when it is done.
            owns: Folders to remove when it is to be done anew.
        """
        needs = {other: self.keys[other] for other in after}
        key = fingerprint({"settings": to_plain(settings), "after": needs, "anylead": version()})
        self.keys[name] = key
        number = f"stage {len(self.keys)} of {self.total}"
        mark = self.folder / f"{name}.json"
        before = _read(mark)
        if before.get("key") == key and before.get("finished") and all(path.exists() for path in makes):
            self.seconds[name] = float(before.get("seconds", 0.0))
            logger.info("%s, %s: already there", number, what)
            return
        if before.get("key") != key:
            for path in owns if before else ():
                shutil.rmtree(path, ignore_errors=True)
            before = {"key": key}
        write_json(mark, {"key": key, "finished": False, "seconds": before.get("seconds", 0.0)})
        logger.info("%s, %s", number, what)
        start = time.monotonic()
        work()
        self.seconds[name] = time.monotonic() - start
        self.done_now.append(name)
        write_json(mark, {"key": key, "finished": True, "seconds": round(self.seconds[name], 1)})


def _read(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
