"""Group norm over the present frames of each segment."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class MaskedGroupNorm(nn.Module):
    """Normalises groups of channels of a segment over its own present frames.

    Unlike a batch norm, it makes a segment's features its own: neither batch mates nor padding enter.

    Args:
        groups: Divides the channels; as many as channels is an instance norm.
        channels: C.
        epsilon: Added to the variance.

    Source: Wu & He 2018 (arXiv 1803.08494), eq. 7.
    """

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.groups = groups
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "B C T"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B C T"]:
        """Returns the normalised frames, 0 where `mask` is False; None says that every frame is present."""
        if mask is None:
            # Not that of torch.nn.functional, which refuses a single frame in groups of one channel.
            return torch.group_norm(x, self.groups, self.weight, self.bias, self.epsilon)
        rows, channels, frames = x.shape
        present = mask[:, None, None, :]
        grouped = x.reshape(rows, self.groups, channels // self.groups, frames)
        count = present.sum(dim=(2, 3), keepdim=True).clamp_min(1) * (channels // self.groups)
        mean = torch.where(present, grouped, 0.0).sum(dim=(2, 3), keepdim=True) / count
        centred = torch.where(present, grouped - mean, 0.0)
        variance = centred.square().sum(dim=(2, 3), keepdim=True) / count
        unit = (centred * torch.rsqrt(variance + self.epsilon)).reshape(x.shape)
        scaled = unit * self.weight[:, None] + self.bias[:, None]
        return torch.where(mask[:, None, :], scaled, 0.0)
