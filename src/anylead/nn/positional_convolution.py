"""Relative positions by a wide grouped convolution over time."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class PositionalConvolution(nn.Module):
    """GELU of a grouped convolution, weight-normalised per kernel tap.

    Args:
        dimension: D.
        kernel: Taps; half of them before the frame.
        groups: Groups of channels.

    Source: METHOD §3.3 (wav2vec 2.0's positional embedding).
    """

    def __init__(self, dimension: int, *, kernel: int = 128, groups: int = 16) -> None:
        super().__init__()
        convolution = nn.Conv1d(dimension, dimension, kernel, padding=kernel // 2, groups=groups)
        nn.init.normal_(convolution.weight, mean=0.0, std=math.sqrt(4.0 / (kernel * dimension)))
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        self.convolution = weight_norm(convolution, dim=2)
        self.surplus = 1 if kernel % 2 == 0 else 0

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Returns what is to be added to `x`."""
        y = self.convolution(x.transpose(1, 2))
        if self.surplus:
            y = y[..., : -self.surplus]
        return F.gelu(y).transpose(1, 2)
