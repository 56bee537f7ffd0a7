"""Small checkpoints as fairseq-signals writes them, of the toy model of the reference vectors."""

import json
from pathlib import Path

import numpy as np
import torch

VECTORS = Path(__file__).parent / "interop" / "vectors"


def vectors(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(VECTORS / f"{name}.npz"))


def content(name: str = "w2v_cmsc", *, model=None, task=None, rename=lambda name: name) -> dict:
    """Returns a whole checkpoint.

    Args:
        name: ``w2v_cmsc`` is pre-trained, ``classifier`` fine-tuned with 26 outputs.
        model: Changes of its configuration.
        task: Its task, besides the usual.
        rename: Changes the names of the weights.
    """
    config = json.loads((VECTORS / "w2v_cmsc.json").read_text())
    kind = {"w2v_cmsc": "wav2vec2_cmsc", "classifier": "ecg_transformer_classifier"}[name]
    config["model"] = {"_name": kind, **config["model"], **(model or {})}
    config["task"] = {"_name": "ecg_pretraining", "normalize": False, "filter": False, **(task or {})}
    state = {
        key.removeprefix("state/"): torch.from_numpy(value)
        for key, value in vectors(name).items()
        if key.startswith("state/")
    }
    return {
        "args": None,
        "cfg": config,
        "model": {rename(key): value for key, value in state.items()},
        "criterion": None,
        "optimizer_history": [
            {"optimizer_name": "FairseqAdam", "lr_scheduler_state": {}, "num_updates": 123}
        ],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 2}, "val_loss": None},
        "last_optimizer_state": {"state": {}, "param_groups": []},
    }


def write(path: Path, name: str = "w2v_cmsc", **changes) -> Path:
    """Writes a whole checkpoint; the arguments are those of `content`."""
    torch.save(content(name, **changes), path)
    return path
