"""What objectives that predict latents predict: tokens of a teacher, and errors on them."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder


@torch.no_grad()
def last_layers(encoder: Encoder, batch: Batch, number: int) -> Float[Tensor, "B T D"]:
    """Returns the mean over the last layers of their tokens, each dimension standardised over a row's time.

    Args:
        encoder: A teacher.
        batch: Segments.
        number: How many layers, from the last one backwards.

    Source: Baevski et al. 2022 (data2vec, arXiv 2202.03555), §3.3.
    """
    kept: list[Tensor] = []
    blocks = list(encoder.blocks)[-number:]
    handles = [block.register_forward_hook(lambda _m, _i, out: kept.append(out)) for block in blocks]
    try:
        features = encoder(batch)
    finally:
        for handle in handles:
            handle.remove()
    tokens, mask = features.tokens, features.token_mask.unsqueeze(-1)
    layers = [out if out.shape == tokens.shape else out.mT for out in kept]
    standard = []
    for layer in layers:
        wide = layer if layer.dtype == torch.float64 else layer.float()
        count = mask.sum(dim=1, keepdim=True).clamp_min(1)
        centred = torch.where(mask, wide - torch.where(mask, wide, 0.0).sum(1, keepdim=True) / count, 0.0)
        variance = centred.square().sum(dim=1, keepdim=True) / count
        standard.append(centred / (variance + 1e-5).sqrt())
    return torch.stack(standard).mean(dim=0)


def token_error(
    guess: Float[Tensor, "B T D"],
    target: Float[Tensor, "B T D"],
    counted: Bool[Tensor, "B T"],
    *,
    smooth_below: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the error of the counted tokens, a mean over D and summed over tokens, and their number.

    Args:
        guess: Predictions.
        target: Of the same width.
        counted: Tokens that count.
        smooth_below: 0 takes the absolute difference; above, it is squared below this difference (Huber).
    """
    wide = guess if guess.dtype == torch.float64 else guess.float()
    error = F.smooth_l1_loss(wide, target.to(wide.dtype), reduction="none", beta=smooth_below).mean(dim=-1)
    return torch.where(counted, error, 0.0).sum(), counted.sum().to(wide.dtype)


def linear_decay(start: float, end: float, fraction: float) -> float:
    """Returns a teacher's decay, which goes from start to end in equal steps."""
    return start + (end - start) * fraction
