"""Pooling tokens over time, over present tokens only."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Pooling = Literal["mean", "mean_std", "mean_std_max"]
POOLING_WIDTH: dict[str, int] = {"mean": 1, "mean_std": 2, "mean_std_max": 3}


def masked_mean(tokens: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """Returns the mean over present tokens; 0 where a row has none."""
    present = mask.unsqueeze(-1)
    total = torch.where(present, tokens, 0.0).sum(dim=1)
    return total / present.sum(dim=1).clamp_min(1)


def pool(tokens: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"], pooling: Pooling) -> Float[Tensor, "B E"]:
    """Pools tokens over time.

    Args:
        tokens: (B, T, D).
        mask: True where a token is present.
        pooling: ``mean``; ``mean_std`` appends the deviation over time; ``mean_std_max`` the maximum too.

    Returns:
        (B, D), (B, 2D) or (B, 3D).
    """
    mean = masked_mean(tokens, mask)
    parts = [mean]
    if pooling != "mean":
        centred = tokens - mean.unsqueeze(1)
        parts.append(masked_mean(centred.square(), mask).clamp_min(1e-12).sqrt())
    if pooling == "mean_std_max":
        lowest = torch.finfo(tokens.dtype).min
        parts.append(torch.where(mask.unsqueeze(-1), tokens, lowest).amax(dim=1))
    return torch.cat(parts, dim=-1)


def reference_mean(tokens: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """Returns the reference code's mean: the sum divided by the number of values that are not exactly 0.

    Source: METHOD §3.8. Kept for checkpoints and comparisons only; a channel that is 0 everywhere gives NaN.
    """
    present = torch.where(mask.unsqueeze(-1), tokens, 0.0)
    return present.sum(dim=1) / (present != 0).sum(dim=1)
