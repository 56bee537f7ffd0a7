"""TrainState: everything a checkpoint holds."""

from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer

from anylead.encoders.base import Encoder
from anylead.heads.base import Head
from anylead.objectives.base import Objective


@dataclass(kw_only=True, eq=False)
class TrainState:
    """What a run consists of; `fit` changes it in place."""

    encoder: Encoder
    objective: Objective | Head
    """What gives the loss; a head is trained in the same way."""
    optimizer: Optimizer
    """Over parameters of the encoder and the objective; see `build_optimizer`."""
    seed: int
    config: dict[str, Any] = field(default_factory=dict)
    """Plain values that decide the numbers of the run; a checkpoint of other values is refused."""
    step: int = 0
    """Updates done."""
