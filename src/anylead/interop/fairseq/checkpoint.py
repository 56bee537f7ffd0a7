"""Reading and writing fairseq-signals checkpoints without running anything in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anylead.errors import CheckpointError
from anylead.interop.torch_file import ADVICE, read_torch_file
from anylead.provenance import atomic_path


@dataclass(frozen=True, kw_only=True, eq=False)
class FairseqCheckpoint:
    """What a checkpoint holds that matters."""

    config: Mapping[str, Any]
    """Nested, as written; ``config["model"]`` describes the model."""
    state: Mapping[str, Tensor]
    updates: int | None
    """Optimizer updates done, where recorded."""


def read_checkpoint(path: Path | str) -> FairseqCheckpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: As `read_torch_file` and `checkpoint_of`.
    """
    return checkpoint_of(read_torch_file(path), path=path)


def checkpoint_of(content: Mapping[str, Any], *, path: Path | str) -> FairseqCheckpoint:
    """Returns what the content of a file holds.

    Args:
        content: From `read_torch_file`.
        path: What to call it in an error.

    Raises:
        CheckpointError: If it is not laid out as fairseq-signals does.

    Source: METHOD §7.1.
    """
    config, state = content.get("cfg"), content.get("model")
    described = config.get("model") if isinstance(config, Mapping) else None
    for name, value in (("cfg", config), ("cfg.model", described), ("model", state)):
        if not isinstance(value, Mapping):
            raise CheckpointError(
                f"{path}: it has no cfg and model as fairseq-signals writes them: {name} is missing or is no "
                f"mapping; {ADVICE}"
            )
    assert isinstance(config, Mapping)
    assert isinstance(state, Mapping)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: weight {name} is a {type(value).__name__}, no tensor; {ADVICE}")
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
