"""Checkpoints: everything needed to go on, saved atomically, two kept. Bundles are for using a model."""

import logging
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from anylead.engine.distributed import Processes
from anylead.engine.state import TrainState
from anylead.errors import CheckpointError, TrainingError
from anylead.provenance import atomic_path, fingerprint, version

CHECKPOINT_FORMAT = 1
KEPT = 2

_NAME = re.compile(r"checkpoint-(\d{8,})\.pt")
_log = logging.getLogger(__name__)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder, oldest first."""
    found = [path for path in Path(folder).glob("checkpoint-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.split("-")[1]))


def save_checkpoint(state: TrainState, folder: Path) -> Path:
    """Writes ``checkpoint-<step>.pt``, then removes all but the newest two.

    Returns:
        The file.

    Raises:
        TrainingError: If a weight is not finite; nothing is written.
        FileError: If the disk refuses; nothing is changed.
    """
    _check_finite(state)
    path = Path(folder) / f"checkpoint-{state.step:08d}.pt"
    content = {
        "format": CHECKPOINT_FORMAT,
        "anylead": version(),
        "step": state.step,
        "seed": state.seed,
        "config": state.config,
        "fingerprint": fingerprint(state.config),
        "encoder": state.encoder.state_dict(),
        "objective": state.objective.state_dict(),
        "optimizer": state.optimizer.state_dict(),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write(content, file)
    for partial in path.parent.glob(
        ".checkpoint-*.partial"
    ):  # left by a process that was killed while saving
        partial.unlink(missing_ok=True)
    saved = checkpoints(path.parent)
    # One beyond this step was passed over as unreadable when the run was resumed.
    beyond = saved[saved.index(path) + 1 :]
    for old in [*saved[: saved.index(path) + 1][:-KEPT], *beyond]:
        old.unlink(missing_ok=True)
    return path


def _write(content: Mapping[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:
        # Closing its archive, torch covers the OSError of a full disk with a complaint about positions.
        if isinstance(error.__context__, OSError):
            raise OSError(*error.__context__.args) from error
        raise


def load_latest(state: TrainState, folder: Path, *, processes: Processes | None = None) -> bool:
    """Fills `state` from the newest readable checkpoint.

    An unreadable one (cut off, damaged) is passed over with a warning. Where there are several processes the
    main one reads and the others get what it has read, so that all go on from the same step, and the folder
    need not be visible to all of them.

    Returns:
        Whether there was a checkpoint.

    Raises:
        CheckpointError: If there are checkpoints and none is readable, or the newest readable one has a newer
            format, belongs to another configuration or seed, or does not fit the networks.
    """
    found = (processes or Processes()).from_main(lambda: _latest(state, folder))
    if found is None:
        return False
    path, content = found
    _fill(state, content, path)
    return True


def _latest(state: TrainState, folder: Path) -> tuple[Path, dict[str, Any]] | None:
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            content = _read(path)
        except CheckpointError as error:
            _log.warning("%s", error)
            continue
        _check_same_run(content, state, path)
        return path, content
    if found:
        raise CheckpointError(
            f"{folder}: none of its {len(found)} checkpoints can be read; remove them to start anew."
        )
    return None


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Says which settings of two nested configurations differ, one text per setting."""
    told: list[str] = []
    for name in sorted(set(saved) | set(now)):
        before, after = saved.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            told += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            told.append(f"{prefix}{name} was {before!r} and is now {after!r}")
    return told


def _read(path: Path) -> dict[str, Any]:
    advice = "it is passed over"
    try:
        # torch does not check the checksums that it writes, so a flipped bit would become a weight.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path}: damaged ({damaged} does not match its checksum); {advice}.")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, pickle and torch raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be read ({reason}); {advice}.") from error
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path}: is not a checkpoint of anylead; {advice}.")
    return content


def _check_same_run(content: Mapping[str, Any], state: TrainState, path: Path) -> None:
    if content["format"] > CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path}: has format {content['format']}, written by anylead {content.get('anylead')}; "
            f"this version reads up to format {CHECKPOINT_FORMAT}: update anylead."
        )
    told = differences({"seed": content["seed"], **content["config"]}, {"seed": state.seed, **state.config})
    if told:
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""
        raise CheckpointError(
            f"{path}: belongs to another configuration: {'; '.join(told[:3])}{more}. "
            "Use the same settings to go on, or another folder for a new run."
        )


def _fill(state: TrainState, content: Mapping[str, Any], path: Path) -> None:
    try:
        state.encoder.load_state_dict(content["encoder"])
        state.objective.load_state_dict(content["objective"])
        state.optimizer.load_state_dict(content["optimizer"])
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: does not fit the networks of this version ({reason}); start a new run elsewhere."
        ) from error
    state.step = content["step"]


def _check_finite(state: TrainState) -> None:
    tensors = [p.detach() for module in (state.encoder, state.objective) for p in module.parameters()]
    # The largest magnitude: a sum of squares could overflow where no weight has.
    norms = torch._foreach_norm(tensors, float("inf"))
    if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
        raise TrainingError(
            f"step {state.step}: a weight is not finite, so no checkpoint was written; "
            "lower the learning rate and start again from the last one."
        )
