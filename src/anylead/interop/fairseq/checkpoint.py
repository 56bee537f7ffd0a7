"""Reading and writing fairseq-signals checkpoints without running anything in them."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anylead.errors import CheckpointError
from anylead.provenance import atomic_path

_ADVICE = "give a file of fairseq-signals or ECG-FM."


@dataclass(frozen=True, kw_only=True, eq=False)
class FairseqCheckpoint:
    """What a checkpoint holds that matters."""

    config: Mapping[str, Any]
    """Nested, as written; ``config["model"]`` describes the model."""
    state: Mapping[str, Tensor]
    updates: int | None
    """Optimizer updates done, where recorded."""


def read_checkpoint(path: Path | str) -> FairseqCheckpoint:
    """Reads a checkpoint with ``weights_only=True``.

    Raises:
        CheckpointError: If the file cannot be read so, or is not laid out as fairseq-signals does.

    Source: METHOD §7.1.
    """
    path = Path(path)
    _refuse_what_is_no_file(path)
    content = _load(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: it holds a {type(content).__name__}, not a checkpoint; {_ADVICE}")
    if {"format", "encoder", "objective"} <= set(content):
        raise CheckpointError(
            f"{path}: this is a checkpoint of an anylead run, for going on with it; "
            "to use its encoder, take the run's bundle."
        )
    config, state = content.get("cfg"), content.get("model")
    described = config.get("model") if isinstance(config, Mapping) else None
    for name, value in (("cfg", config), ("cfg.model", described), ("model", state)):
        if not isinstance(value, Mapping):
            raise CheckpointError(
                f"{path}: it has no cfg and model as fairseq-signals writes them: {name} is missing or is no "
                f"mapping; {_ADVICE}"
            )
    assert isinstance(config, Mapping)
    assert isinstance(state, Mapping)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: weight {name} is a {type(value).__name__}, no tensor; {_ADVICE}")
    history = content.get("optimizer_history") or [{}]
    updates = history[-1].get("num_updates") if isinstance(history[-1], Mapping) else None
    return FairseqCheckpoint(config=config, state=state, updates=updates)


def write_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Writes what `to_checkpoint` gave.

    Raises:
        FileError: If the disk refuses; nothing is changed then.
    """
    with atomic_path(path) as temporary:
        torch.save(dict(content), temporary)


def _refuse_what_is_no_file(path: Path) -> None:
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        raise CheckpointError(
            f"{path}: this is a bundle already; use it as it is, for instance with anylead embed."
        )
    if path.is_dir():
        hint = "a run's folder: take the bundle in it" if (path / "checkpoints").is_dir() else "a folder"
        raise CheckpointError(f"{path}: this is {hint}; {_ADVICE}")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; {_ADVICE}")


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:] == b"{":
            raise CheckpointError(
                f"{path}: these are bare weights (safetensors) without a configuration; {_ADVICE}"
            )
        # Mapped, so that an optimizer's state, two thirds of a file, is never read.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise CheckpointError(
            f"{path}: this is no checkpoint that can be read safely: "
            + (
                f"reading it would run code of {kind[1]}; if you trust it, save its cfg and model alone."
                if kind
                else f"it is not what torch.save writes; {_ADVICE}"
            )
        ) from error
    except Exception as error:  # torch, zipfile and pickle raise many kinds for damaged files
        reason = error.strerror if isinstance(error, OSError) else "it is damaged, or not torch.save's"
        raise CheckpointError(
            f"{path}: this is no checkpoint that can be read safely ({reason}); {_ADVICE}"
        ) from error
