"""Positions as sines and cosines."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def sinusoid(
    position: Shaped[Tensor, "*s"], dimension: int, *, longest: float = 10_000.0
) -> Float[Tensor, "*s D"]:
    """Returns sines, then cosines, of a position at wavelengths from 2 pi to 2 pi times `longest`.

    Args:
        position: In tokens.
        dimension: D, even.
        longest: Ratio of the longest wavelength to the shortest.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    half = dimension // 2
    rate = longest ** (-torch.arange(half, device=position.device, dtype=torch.float32) / half)
    angle = position.to(torch.float32).unsqueeze(-1) * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
