"""Transformer layer."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.dropout import Dropout, add_dropped, thinned


class SelfAttention(nn.Module):
    """Multi-head self-attention over time.

    Args:
        dimension: D.
        heads: Divides D.
        dropout: On the attention weights, while training.
        bias: Of the output.
        qkv_bias: Of queries, keys and values.
    """

    def __init__(
        self, dimension: int, heads: int, *, dropout: float = 0.0, bias: bool = True, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv_bias = qkv_bias
        self.query = nn.Linear(dimension, dimension, bias=qkv_bias)
        self.key = nn.Linear(dimension, dimension, bias=qkv_bias)
        self.value = nn.Linear(dimension, dimension, bias=qkv_bias)
        self.output = nn.Linear(dimension, dimension, bias=bias)

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None
    ) -> Float[Tensor, "B T D"]:
        """Mixes tokens; those where `mask` is False are not attended to, by any or by the one of the row."""
        rows, frames, dimension = x.shape
        # One product for all three: x is read once, and so is what flows back into it.
        projections = (self.query, self.key, self.value)
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections]) if self.qkv_bias else None
        joint = F.linear(x, weight, bias).view(rows, frames, 3, self.heads, dimension // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        present = None
        if mask is not None:
            present = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
        if self.training and self.dropout > 0.0 and x.device.type == "cpu":
            # With dropout torch has no fused kernel on a CPU either, and its masks are slow (see `dropout`).
            mixed = self._spelled_out(query, key, value, present)
        else:
            mixed = F.scaled_dot_product_attention(
                query, key, value, attn_mask=present, dropout_p=self.dropout if self.training else 0.0
            )
        joined: Tensor = self.output(mixed.transpose(1, 2).reshape(rows, frames, dimension))
        return joined

    def _spelled_out(
        self,
        query: Float[Tensor, "B H T d"],
        key: Float[Tensor, "B H T d"],
        value: Float[Tensor, "B H T d"],
        present: Bool[Tensor, "B 1 queries T"] | None,
    ) -> Float[Tensor, "B H T d"]:
        scores = (query / math.sqrt(query.shape[-1])) @ key.mT
        if present is not None:
            scores = torch.where(present, scores, float("-inf"))
        weights, factor = thinned(scores.softmax(dim=-1), self.dropout)
        return weights @ (value * factor)


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual sum and a LayerNorm.

    Args:
        dimension: D.
        heads: Attention heads.
        feedforward: Hidden width.
        dropout: After attention and after the feed-forward.
        attention_dropout: On attention weights.
        activation_dropout: After the GELU.
        norm_first: Norm what goes into attention and feed-forward instead of the sums.
        bias: Of the norms, of the feed-forward and of what attention gives.
        qkv_bias: Of queries, keys and values.
        norm_epsilon: Added to the variance in the norms.

    Source: METHOD §3.3; with `norm_first` Xiong et al. 2020 (arXiv 2002.04745).
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
        norm_first: bool = False,
        bias: bool = True,
        qkv_bias: bool = True,
        norm_epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(
            dimension, heads, dropout=attention_dropout, bias=bias, qkv_bias=qkv_bias
        )
        self.attention_norm = nn.LayerNorm(dimension, eps=norm_epsilon, bias=bias)
        self.expand = nn.Linear(dimension, feedforward, bias=bias)
        self.contract = nn.Linear(feedforward, dimension, bias=bias)
        self.output_norm = nn.LayerNorm(dimension, eps=norm_epsilon, bias=bias)
        self.dropout = dropout
        self.norm_first = norm_first
        self.activation_dropout = Dropout(activation_dropout)

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None
    ) -> Float[Tensor, "B T D"]:
        """Runs the layer; `mask` as in `SelfAttention`."""
        rate = self.dropout if self.training else 0.0
        if self.norm_first:
            x = add_dropped(x, self.attention(self.attention_norm(x), mask), rate)
            return add_dropped(x, self._feed_forward(self.output_norm(x)), rate)
        x = self.attention_norm(add_dropped(x, self.attention(x, mask), rate))
        y: Tensor = self.output_norm(add_dropped(x, self._feed_forward(x), rate))
        return y

    def _feed_forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        y: Tensor = self.contract(self.activation_dropout(F.gelu(self.expand(x))))
        return y
