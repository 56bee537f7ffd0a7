"""RunLog: what a run says about itself, one JSON object a line."""

import importlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from anylead.errors import ConfigError, FileError
from anylead.provenance import atomic_path

FILE_NAME = "metrics.jsonl"


def read_run_log(folder: Path) -> list[dict[str, Any]]:
    """Returns the lines of a run's log; a last line that was cut off is left out."""
    path = Path(folder) / FILE_NAME
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:  # the process was killed while writing it
            continue
    return entries


class RunLog:
    """Appends to ``metrics.jsonl``; each line is flushed, and each step stands there once."""

    def __init__(self, folder: Path, *, resumed_step: int = 0, tensorboard: bool = False) -> None:
        """Opens the log.

        Args:
            folder: The run.
            resumed_step: Step of the checkpoint the run goes on from; lines beyond it are removed, for those
                steps are done again.
            tensorboard: Write to ``tensorboard/`` too.

        Raises:
            ConfigError: If TensorBoard is asked for and not installed.
        """
        self.path = Path(folder) / FILE_NAME
        self._writer = _tensorboard_writer(Path(folder), resumed_step) if tensorboard else None
        kept = [entry for entry in read_run_log(folder) if entry.get("step", 0) <= resumed_step]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(_line(entry) for entry in kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, entry: Mapping[str, Any]) -> None:
        """Appends one line; a number that is not finite becomes null.

        Raises:
            FileError: If the disk refuses.
        """
        try:
            self._file.write(_line(entry))
            self._file.flush()
        except OSError as error:
            raise FileError(
                f"{self.path}: could not be written ({error.strerror or error}); make room and start the run "
                "again, it goes on from its last checkpoint."
            ) from error
        if self._writer is not None:
            for name, value in entry.items():
                if name != "step" and isinstance(value, int | float):
                    self._writer.add_scalar(name, value, entry.get("step"))

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps({name: _finite(value) for name, value in entry.items()}, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN, and a line that holds one cannot be read by others."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tensorboard_writer(folder: Path, resumed_step: int) -> Any:
    try:
        # An extra that takes seconds to import: only for those who ask.
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise ConfigError(
            "tensorboard: asked for but not installed; install anylead[tensorboard] or leave it off."
        ) from error
    return module.SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_step + 1)
