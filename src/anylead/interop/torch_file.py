"""Reading what torch.save wrote without running anything in it."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anylead.errors import CheckpointError

ADVICE = "give a file of fairseq-signals, ECG-FM or ECG-JEPA."
"""The end of the errors about files that are none of these."""


def read_torch_file(path: Path | str) -> Mapping[str, Any]:
    """Reads a checkpoint with ``weights_only=True``.

    Raises:
        CheckpointError: If the file cannot be read so, holds no mapping, or is one of our own.

    Source: METHOD §7.1.
    """
    path = Path(path)
    _refuse_what_is_no_file(path)
    content = _load(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: it holds a {type(content).__name__}, not a checkpoint; {ADVICE}")
    if {"format", "encoder", "objective"} <= set(content):
        raise CheckpointError(
            f"{path}: this is a checkpoint of an anylead run, for going on with it; "
            "to use its encoder, take the run's bundle."
        )
    return content


def _refuse_what_is_no_file(path: Path) -> None:
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        raise CheckpointError(
            f"{path}: this is a bundle already; use it as it is, for instance with anylead embed."
        )
    if path.is_dir():
        hint = "a run's folder: take the bundle in it" if (path / "checkpoints").is_dir() else "a folder"
        raise CheckpointError(f"{path}: this is {hint}; {ADVICE}")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; {ADVICE}")


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:] == b"{":
            raise CheckpointError(
                f"{path}: these are bare weights (safetensors) without a configuration; {ADVICE}"
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
                f"reading it would run code of {kind[1]}; if you trust it, save its weights "
                "and configuration alone."
                if kind
                else f"it is not what torch.save writes; {ADVICE}"
            )
        ) from error
    except Exception as error:  # torch, zipfile and pickle raise many kinds for damaged files
        reason = error.strerror if isinstance(error, OSError) else "it is damaged, or not torch.save's"
        raise CheckpointError(
            f"{path}: this is no checkpoint that can be read safely ({reason}); {ADVICE}"
        ) from error
