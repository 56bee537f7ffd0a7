"""Convolutional front end: raw signal to frames."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.instance_norm import MaskedInstanceNorm


class ConvStem(nn.Module):
    """Non-overlapping convolutions over all leads jointly, GELU after each, instance norm in the first.

    Args:
        leads: Input columns L.
        channels: C, of every layer.
        layers: Convolutions; each halves the rate.
        kernel: Samples a convolution sees, and its stride.

    Source: METHOD §3.1.
    """

    def __init__(self, leads: int, channels: int, *, layers: int = 4, kernel: int = 2) -> None:
        super().__init__()
        self.kernel = kernel
        widths = [leads] + [channels] * layers
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(channels, width, kernel)) for width in widths[:-1]
        )
        for weight in self.weights:
            nn.init.kaiming_normal_(weight)
        self.norm = MaskedInstanceNorm(channels)

    def num_frames(self, samples: int) -> int:
        """Returns frames for a segment of `samples` samples; 0 where it is too short for one."""
        for _ in self.weights:
            samples = max(0, (samples - self.kernel) // self.kernel + 1)
        return samples

    def frame_mask(self, sample_mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B T"]:
        """Returns which frames stand for present samples only."""
        lengths = sample_mask.sum(dim=1)
        for _ in self.weights:
            lengths = torch.div(lengths - self.kernel, self.kernel, rounding_mode="floor") + 1
        frames = torch.arange(self.num_frames(sample_mask.shape[1]), device=sample_mask.device)
        return frames < lengths.unsqueeze(1)

    def layer_outputs(
        self, signal: Float[Tensor, "B L N"], sample_mask: Bool[Tensor, "B N"] | None
    ) -> list[Float[Tensor, "B C _"]]:
        """Returns the output of every layer.

        Args:
            signal: Zero wherever nothing was recorded.
            sample_mask: Present samples, for the norm's statistics; None counts every sample.
        """
        outputs = []
        x = signal
        for depth, weight in enumerate(self.weights):
            x = F.conv1d(x, weight.to(x.dtype), stride=self.kernel)
            if depth == 0:
                mask = None if sample_mask is None else self._first_mask(sample_mask, x.shape[-1])
                x = self.norm(x, mask)
            x = F.gelu(x)
            outputs.append(x)
        return outputs

    def forward(
        self, signal: Float[Tensor, "B L N"], sample_mask: Bool[Tensor, "B N"] | None
    ) -> Float[Tensor, "B C T"]:
        """Returns the output of the last layer; see `layer_outputs`."""
        return self.layer_outputs(signal, sample_mask)[-1]

    def _first_mask(self, sample_mask: Bool[Tensor, "B N"], frames: int) -> Bool[Tensor, "B T1"]:
        lengths = torch.div(sample_mask.sum(dim=1) - self.kernel, self.kernel, rounding_mode="floor") + 1
        return torch.arange(frames, device=sample_mask.device) < lengths.unsqueeze(1)

    @property
    def receptive_samples(self) -> int:
        """Samples behind one frame."""
        return int(math.pow(self.kernel, len(self.weights)))
