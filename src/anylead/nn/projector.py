"""Layers between a pooled vector and a loss on it, thrown away after pre-training."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class Projector(nn.Module):
    """Linear layers with a LayerNorm and a ReLU between them; the identity where there are none.

    Deviation: the papers have a batch norm, which would let a row's vector depend on the process it is in.

    Args:
        dimension: Width of what goes in.
        widths: Of each layer.
    """

    def __init__(self, dimension: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for place, width in enumerate(widths):
            layers += [nn.LayerNorm(dimension), nn.ReLU()] if place else []
            layers.append(nn.Linear(dimension, width))
            dimension = width
        self.layers = nn.Sequential(*layers)
        self.dimension = dimension
        """Width of what comes out."""

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B P"]:
        """Projects every row."""
        projected: Tensor = self.layers(x)
        return projected
