"""Multi-label classification: pooled features to one logit a class."""

from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.heads.base import HeadConfig, input_width, pooled
from anylead.heads.classification import ClassificationHead


class LinearHead(ClassificationHead):
    """One linear layer on pooled features.

    Args:
        config: Classes and readout.
        encoder: Gives the width.

    Source: METHOD §6.1.
    """

    def __init__(self, config: HeadConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(input_width(encoder, config.readout), len(config.classes))
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns logits."""
        logits: Tensor = self.project(pooled(encoder, batch, self.config.readout))
        return logits
