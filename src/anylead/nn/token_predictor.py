"""From the tokens that were shown to all of them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.places import Places
from anylead.nn.sinusoid import sinusoid
from anylead.nn.transformer import TransformerLayer


class TokenPredictor(nn.Module):
    """Lays shown tokens out in time, one learned vector in the place of every other, and lets them attend.

    Args:
        dimension: D of the shown tokens.
        output_dimension: Width of what is predicted.
        width: Inner width W, even.
        layers: Transformer layers, norm first.
        heads: Divides W.
        feedforward: Inner width of the feed-forward; None for 4 W.

    Source: the decoder of He et al. 2022 (arXiv 2111.06377), the predictor of Assran et al. 2023 (arXiv
    2301.08243).
    """

    def __init__(
        self,
        dimension: int,
        output_dimension: int,
        *,
        width: int,
        layers: int,
        heads: int,
        feedforward: int | None = None,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(dimension, width)
        self.absent_token = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(
            TransformerLayer(width, heads, feedforward or 4 * width, norm_first=True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, output_dimension)

    def forward(
        self,
        tokens: Float[Tensor, "B K D"],
        shown: Places,
        mask: Bool[Tensor, "B T"],
        *,
        padded: bool,
    ) -> Float[Tensor, "B T O"]:
        """Returns a prediction for every token, the shown ones included.

        Args:
            tokens: Features of the shown tokens.
            shown: Which they are.
            mask: Tokens that exist.
            padded: Whether `mask` may hold False.
        """
        rows, number = mask.shape
        entered = self.enter(tokens)
        absent = self.absent_token.to(entered.dtype).expand(rows, number, -1)
        x = shown.put(entered, absent)
        time = torch.arange(number, device=x.device)
        x = x + sinusoid(time, x.shape[-1]).to(x.dtype)
        for block in self.blocks:
            x = block(x, mask if padded else None)
        predicted: Tensor = self.leave(self.norm(x))
        return predicted
