"""Transformer layer, norm after each residual sum."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention over time.

    Args:
        dimension: D.
        heads: Divides D.
        dropout: On the attention weights, while training.
    """

    def __init__(self, dimension: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dimension, dimension)
        self.key = nn.Linear(dimension, dimension)
        self.value = nn.Linear(dimension, dimension)
        self.output = nn.Linear(dimension, dimension)

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B T D"]:
        """Mixes time; frames where `mask` is False are not attended to."""
        rows, frames, dimension = x.shape
        query, key, value = (
            project(x).view(rows, frames, self.heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        joined: Tensor = self.output(mixed.transpose(1, 2).reshape(rows, frames, dimension))
        return joined


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each followed by a residual sum and a LayerNorm.

    Args:
        dimension: D.
        heads: Attention heads.
        feedforward: Hidden width.
        dropout: After attention and after the feed-forward.
        attention_dropout: On attention weights.
        activation_dropout: After the GELU.

    Source: METHOD §3.3.
    """

    def __init__(
        self,
        dimension: int,
        heads: int,
        feedforward: int,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dimension, heads, dropout=attention_dropout)
        self.attention_norm = nn.LayerNorm(dimension)
        self.expand = nn.Linear(dimension, feedforward)
        self.contract = nn.Linear(feedforward, dimension)
        self.output_norm = nn.LayerNorm(dimension)
        self.dropout = nn.Dropout(dropout)
        self.activation_dropout = nn.Dropout(activation_dropout)

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B T D"]:
        """Runs the layer; `mask` as in `SelfAttention`."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        hidden = self.activation_dropout(F.gelu(self.expand(x)))
        y: Tensor = self.output_norm(x + self.dropout(self.contract(hidden)))
        return y
