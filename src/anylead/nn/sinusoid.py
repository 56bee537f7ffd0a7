"""Positions as sines and cosines."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def sinusoid(
    position: Shaped[Tensor, "*s"],
    dimension: int,
    *,
    longest: float = 10_000.0,
    interleaved: bool = False,
) -> Float[Tensor, "*s D"]:
    """Returns sines, then cosines, of a position at wavelengths from 2 pi to 2 pi times `longest`.

    Args:
        position: In tokens.
        dimension: D, even.
        longest: Ratio of the longest wavelength to the shortest.
        interleaved: Put each cosine behind the sine of its wavelength.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    half = dimension // 2
    rate = longest ** (-torch.arange(half, device=position.device, dtype=torch.float32) / half)
    angle = position.to(torch.float32).unsqueeze(-1) * rate
    if interleaved:
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def grid_sinusoid(
    time: Shaped[Tensor, "*s"], lead: Shaped[Tensor, "*s"], dimension: int
) -> Float[Tensor, "*s D"]:
    """Returns the `sinusoid` of a time in the first half of the dimensions, of a lead's place in the second.

    Args:
        time: In tokens.
        lead: Place of the lead.
        dimension: D, which 4 divides.

    Source: He et al. 2022 (arXiv 2111.06377), positions on a grid; Kim 2024 (arXiv 2410.08559) on leads.
    """
    half = dimension // 2
    return torch.cat([sinusoid(time, half), sinusoid(lead, half)], dim=-1)
