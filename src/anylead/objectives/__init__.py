"""Pre-training objectives. Adding one: its file, a line in `AnyObjectiveConfig` and `OBJECTIVES`, one test."""

from anylead.encoders.base import Encoder
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.w2v_cmsc import W2VCMSC, W2VCMSCConfig

AnyObjectiveConfig = W2VCMSCConfig
"""Union of every objective's configuration; the field ``kind`` tells them apart."""

OBJECTIVES: dict[str, tuple[type[AnyObjectiveConfig], type[Objective]]] = {
    "w2v_cmsc": (W2VCMSCConfig, W2VCMSC),
}
"""Kind -> configuration and class."""


def build_objective(config: AnyObjectiveConfig, encoder: Encoder) -> Objective:
    """Builds the objective that a configuration describes, for an encoder."""
    return OBJECTIVES[config.kind][1](config, encoder)


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
