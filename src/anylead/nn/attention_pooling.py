"""Pooling tokens over time by attention of one learned query."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """Weighs the present tokens by how well they answer a learned query, in several heads.

    Args:
        dimension: D.
        heads: Divides D; each has a query, keys and values of D / heads numbers.

    Source: Lee et al. 2019 (arXiv 1810.00825), pooling by multi-head attention with one seed. Deviation: no
    feed-forward layer and no projection of what the heads give, which a linear layer behind it makes up for.
    """

    def __init__(self, dimension: int, heads: int) -> None:
        super().__init__()
        # Small, so that it begins close to a mean over time.
        self.query = nn.Parameter(torch.randn(heads, dimension // heads) * 0.02)
        # A bias of the keys would move all scores of a head alike, which the softmax does not see.
        self.key = nn.Linear(dimension, dimension, bias=False)
        self.value = nn.Linear(dimension, dimension)

    def forward(self, tokens: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        """Returns the weighted mean of the values; 0 where a row has no token."""
        heads, width = self.query.shape
        present = torch.where(mask.unsqueeze(-1), tokens, 0.0)
        keys, values = (project(present).unflatten(-1, (heads, width)) for project in (self.key, self.value))
        scores = torch.einsum("bthw,hw->bht", keys, self.query) / math.sqrt(width)
        seen = mask.unsqueeze(1)
        weights = torch.where(seen, scores, torch.finfo(scores.dtype).min).softmax(dim=-1)
        # Once more, for a row in which nothing is present.
        weights = torch.where(seen, weights, 0.0)
        return torch.einsum("bht,bthw->bhw", weights, values).flatten(1)
