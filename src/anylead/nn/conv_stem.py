"""Convolutional front end: raw signal to frames."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ChannelScale(nn.Module):
    """Scale and shift of every channel after an instance norm.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


def normalized_projection(
    x: Float[Tensor, "B T K"],
    weight: Float[Tensor, "C K"],
    scale: Float[Tensor, "C"],
    shift: Float[Tensor, "C"],
    mask: Bool[Tensor, "B T"] | None,
    *,
    epsilon: float = 1e-5,
) -> Float[Tensor, "B T C"]:
    """Projects frames and normalises every channel of every segment over its present frames.

    Equal to ``GroupNorm`` with as many groups as channels behind a projection without bias. The mean and
    covariance of a projection's output are the projected ones of its input, so that the statistics are
    taken of K input columns instead of C channels and the norm becomes part of the projection's weights.
    With `mask` None every frame counts; otherwise padding does not, so that a segment's features are its
    own.

    Args:
        x: Frames before the projection.
        weight: The projection.
        scale: Of each channel, after the norm.
        shift: Of each channel, after the norm.
        mask: Present frames.
        epsilon: Added to the variance.

    Source: METHOD §3.1 and §8.2.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    weight, scale, shift = (p.to(wide.dtype) for p in (weight, scale, shift))
    count: Tensor | int = x.shape[1]
    if mask is None:
        centred = wide - wide.mean(dim=1, keepdim=True)
    else:
        present = mask.unsqueeze(-1)
        count = present.sum(dim=1, keepdim=True).clamp_min(1).to(wide.dtype)
        mean = torch.where(present, wide, 0.0).sum(dim=1, keepdim=True) / count
        centred = torch.where(present, wide - mean, 0.0)
    # In double: the variance of a channel that takes differences of neighbouring samples is what is left of
    # nearly equal numbers; in the precision of autocast it would even be negative.
    exact, taps = centred.double(), weight.double()
    covariance = exact.mT @ exact / count
    variance = ((taps @ covariance) * taps).sum(dim=-1).to(wide.dtype)
    gain = scale * torch.rsqrt(variance + epsilon)
    y = torch.baddbmm(shift[None, None], centred, (gain.unsqueeze(-1) * weight).mT)
    # Under autocast the product has its precision already, and the next one would take it back to that.
    return y if torch.is_autocast_enabled(x.device.type) else y.to(x.dtype)


class ConvStem(nn.Module):
    """Non-overlapping convolutions over all leads jointly, GELU after each, instance norm in the first.

    Kernel and stride are equal, so that each convolution is a matrix product of neighbouring frames laid
    side by side.

    Args:
        leads: Input columns L.
        channels: C, of every layer.
        kernels: Frames each convolution sees, and its stride, which divides the rate.

    Source: METHOD §3.1.
    """

    def __init__(self, leads: int, channels: int, *, kernels: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        widths = [leads] + [channels] * (len(self.kernels) - 1)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(channels, width, kernel))
            for width, kernel in zip(widths, self.kernels, strict=True)
        )
        for weight in self.weights:
            nn.init.kaiming_normal_(weight)
        self.norm = ChannelScale(channels)

    def num_frames(self, samples: int) -> int:
        """Returns frames for a segment of `samples` samples; 0 where it is too short for one."""
        for kernel in self.kernels:
            samples //= kernel
        return samples

    def frame_mask(self, sample_mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B T"]:
        """Returns which frames stand for present samples only."""
        return self._mask_after(sample_mask, len(self.kernels))

    def layer_outputs(
        self, signal: Float[Tensor, "B L N"], sample_mask: Bool[Tensor, "B N"] | None
    ) -> list[Float[Tensor, "B _ C"]]:
        """Returns the output of every layer.

        Args:
            signal: Zero wherever nothing was recorded.
            sample_mask: Present samples, for the norm's statistics; None counts every sample.
        """
        outputs: list[Tensor] = []
        x = signal.mT
        for depth, (weight, kernel) in enumerate(zip(self.weights, self.kernels, strict=True)):
            frames = x.shape[1] // kernel
            x = x[:, : frames * kernel].reshape(x.shape[0], frames, -1)
            flat = weight.mT.reshape(weight.shape[0], -1)
            if depth == 0:
                mask = None if sample_mask is None else self._mask_after(sample_mask, 1)
                x = normalized_projection(x, flat, self.norm.weight, self.norm.bias, mask)
            else:
                x = F.linear(x, flat)
            x = F.gelu(x)
            outputs.append(x)
        return outputs

    def forward(
        self, signal: Float[Tensor, "B L N"], sample_mask: Bool[Tensor, "B N"] | None
    ) -> Float[Tensor, "B T C"]:
        """Returns the output of the last layer; see `layer_outputs`."""
        return self.layer_outputs(signal, sample_mask)[-1]

    def _mask_after(self, sample_mask: Bool[Tensor, "B N"], layers: int) -> Bool[Tensor, "B T"]:
        lengths, frames = sample_mask.sum(dim=1), sample_mask.shape[1]
        for kernel in self.kernels[:layers]:
            lengths = torch.div(lengths, kernel, rounding_mode="floor")
            frames //= kernel
        return torch.arange(frames, device=sample_mask.device) < lengths.unsqueeze(1)
