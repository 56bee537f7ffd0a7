"""Instance norm over time that counts present frames only."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class MaskedInstanceNorm(nn.Module):
    """Normalises every channel of every segment over its present frames, then scales and shifts.

    Without padding it equals ``GroupNorm`` with as many groups as channels. With padding, GroupNorm's
    statistics would include it, so that a segment's features depended on the longest segment of its batch.

    Args:
        channels: C.
        epsilon: Added to the variance.

    Source: METHOD §3.1 and §8.2.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "B C T"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B C T"]:
        """Normalises in at least float32; `mask` None means that every frame is present."""
        wide = x if x.dtype == torch.float64 else x.float()
        weight, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        if mask is None:
            return F.group_norm(wide, x.shape[1], weight, bias, self.epsilon).to(x.dtype)
        present = mask.unsqueeze(1)
        count = present.sum(dim=-1, keepdim=True).clamp_min(1)
        mean = torch.where(present, wide, 0.0).sum(dim=-1, keepdim=True) / count
        centred = torch.where(present, wide - mean, 0.0)
        variance = centred.square().sum(dim=-1, keepdim=True) / count
        normal = centred * torch.rsqrt(variance + self.epsilon)
        return (normal * weight[:, None] + bias[:, None]).to(x.dtype)
