"""Reading a fairseq-signals checkpoint without running anything in it."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anylead.errors import CheckpointError


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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: this is no checkpoint that can be read safely ({str(error).splitlines()[0]}); "
            "give a file of fairseq-signals or ECG-FM."
        ) from error
    if not isinstance(content, dict) or "model" not in content or "model" not in (content.get("cfg") or {}):
        raise CheckpointError(
            f"{path}: it has no cfg and model as fairseq-signals writes them; "
            "give a file of fairseq-signals or ECG-FM."
        )
    history = content.get("optimizer_history") or []
    updates = history[-1].get("num_updates") if history else None
    return FairseqCheckpoint(config=content["cfg"], state=content["model"], updates=updates)
