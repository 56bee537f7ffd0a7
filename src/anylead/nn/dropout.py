"""Dropout whose masks cost little on a CPU."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

_LEVELS = 1 << 16


@torch.library.custom_op("anylead::keep_mask", mutates_args=())
def _keep_mask(like: Tensor, dropped: int) -> Tensor:
    """Returns True for each number that is kept: 16 random bits decide on each, four a draw of 64 bits.

    torch draws one number of the Mersenne twister for each element of a mask, one after the other on one
    core, which takes longer than the matrix products around it. An operator of its own, so that a compiler
    of graphs takes it as it is.
    """
    count = like.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    return (bits.view(torch.int16)[:count] >= dropped - _LEVELS // 2).view(like.shape)


@_keep_mask.register_fake
def _(like: Tensor, dropped: int) -> Tensor:
    return torch.empty(like.shape, dtype=torch.bool, device=like.device)


def thinned(x: Float[Tensor, "*s"], rate: float) -> tuple[Float[Tensor, "*s"], float]:
    """Zeroes a share of the numbers at random, by torch's global generator.

    On a CPU the share is `rate` to the nearest 2^-16.

    Returns:
        What is left, and the factor that makes its expectation `x`: whoever has another factor to apply saves
        a pass over the numbers.
    """
    if rate == 0.0:
        return x, 1.0
    if x.device.type != "cpu":
        return F.dropout(x, rate), 1.0
    dropped = min(_LEVELS - 1, round(rate * _LEVELS))
    keep: Bool[Tensor, "*s"] = _keep_mask(x, dropped)
    return torch.where(keep, x, 0.0), _LEVELS / (_LEVELS - dropped)


def dropout(x: Float[Tensor, "*s"], rate: float) -> Float[Tensor, "*s"]:
    """Zeroes a share of the numbers at random and scales the others up; see `thinned`."""
    left, factor = thinned(x, rate)
    return left * factor if factor != 1.0 else left


def add_dropped(x: Float[Tensor, "*s"], branch: Float[Tensor, "*s"], rate: float) -> Float[Tensor, "*s"]:
    """Returns ``x + dropout(branch)``."""
    left, factor = thinned(branch, rate)
    return torch.add(x, left, alpha=factor)


class Dropout(nn.Module):
    """`dropout` while training.

    Args:
        rate: Share of the numbers that are zeroed.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Returns `x`, some of it zeroed while training."""
        return dropout(x, self.rate) if self.training else x
