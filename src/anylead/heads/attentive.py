"""Multi-label classification by attention: one learned query over the tokens, then one logit a class."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.heads.base import HeadConfig
from anylead.heads.classification import ClassificationHead
from anylead.nn.attention_pooling import AttentionPooling


@dataclass(frozen=True, kw_only=True)
class AttentiveConfig(HeadConfig):
    """Configuration of `AttentiveHead`; its readout names the layer, and attention pools.

    Raises:
        ConfigError: If the readout asks for another pooling.
    """

    attention_heads: int = 4
    """Divides the encoder's dimension."""

    def __post_init__(self) -> None:
        if self.readout.pooling != "mean":
            raise ConfigError(
                f"attentive head: got pooling {self.readout.pooling}; it pools by attention: leave pooling "
                "at mean."
            )


class AttentiveHead(ClassificationHead):
    """Norm, pooling by the attention of one learned query, and a linear layer.

    On a frozen encoder this is the attentive probe. Tokens that are absent are not attended to.

    Args:
        config: Classes, layer and number of attention heads.
        encoder: Gives the width.

    Raises:
        ConfigError: If the number of attention heads does not divide the encoder's dimension.

    Source: Weimann & Conrad 2024 (arXiv 2410.13867), attentive probing. Deviation: no feed-forward layer.
    """

    config: AttentiveConfig

    def __init__(self, config: AttentiveConfig, encoder: Encoder) -> None:
        super().__init__()
        if config.attention_heads < 1 or encoder.dimension % config.attention_heads:
            raise ConfigError(
                f"attentive head: got {config.attention_heads} attention heads for an encoder of dimension "
                f"{encoder.dimension}; give a number that divides it."
            )
        self.config = config
        self.norm = nn.LayerNorm(encoder.dimension)
        self.pool = AttentionPooling(encoder.dimension, config.attention_heads)
        self.project = nn.Linear(encoder.dimension, len(config.classes))
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns logits."""
        features = encoder(batch, layer=self.config.readout.layer)
        logits: Tensor = self.project(self.pool(self.norm(features.tokens), features.token_mask))
        return logits
