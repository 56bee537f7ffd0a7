"""Pre-training objectives. Adding one: its file, one line in `OBJECTIVES`, one test."""

from anylead.encoders.base import Encoder
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.w2v_cmsc import W2VCMSC, W2VCMSCConfig

AnyObjectiveConfig = W2VCMSCConfig
"""Union of every objective's configuration."""

OBJECTIVES: dict[str, tuple[type[AnyObjectiveConfig], type[Objective]]] = {
    "w2v_cmsc": (W2VCMSCConfig, W2VCMSC),
}
"""Name -> configuration and class."""


def build_objective(config: AnyObjectiveConfig, encoder: Encoder) -> Objective:
    """Builds the objective that a configuration describes, for an encoder."""
    for config_class, objective_class in OBJECTIVES.values():
        if type(config) is config_class:
            return objective_class(config, encoder)
    raise TypeError(f"no objective for {type(config).__name__}")


__all__ = [
    "OBJECTIVES",
    "W2VCMSC",
    "AnyObjectiveConfig",
    "Loss",
    "Objective",
    "Progress",
    "W2VCMSCConfig",
    "build_objective",
]
