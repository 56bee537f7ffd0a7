"""Layers as an ONNX runtime does them well: no Fourier transform, attention spelled out."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.diagonal_state_space import DiagonalStateSpace
from anylead.nn.positional_convolution import PositionalConvolution
from anylead.nn.transformer import SelfAttention


class SlidingPositionalConvolution(nn.Module):
    """`PositionalConvolution` as one grouped convolution, its weight norm applied once and for all.

    Args:
        original: Gives the weights, which are copied.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, original: PositionalConvolution) -> None:
        super().__init__()
        self.groups = original.groups
        self.padding = original.kernel // 2
        self.register_buffer("weight", original.convolution.weight.detach().clone())
        self.register_buffer("bias", original.convolution.bias.detach().clone())

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Returns what is to be added to `x`."""
        y = F.conv1d(x.mT, self.weight, self.bias, padding=self.padding, groups=self.groups)
        # An even kernel with half of it before the frame gives one frame too many.
        return F.gelu(y[..., : x.shape[1]]).mT


class SlidingStateSpace(nn.Module):
    """`DiagonalStateSpace` as one convolution of each channel, in real numbers.

    Args:
        original: Gives the weights, which are copied.
    """

    decay: Tensor
    frequency: Tensor
    cosine_weight: Tensor
    sine_weight: Tensor
    feedthrough: Tensor

    def __init__(self, original: DiagonalStateSpace) -> None:
        super().__init__()
        with torch.no_grad():
            exponent, weight = original.discretized()
            mixed = torch.view_as_complex(original.output) * weight
        self.register_buffer("decay", exponent.real.contiguous())
        self.register_buffer("frequency", exponent.imag.contiguous())
        self.register_buffer("cosine_weight", mixed.real.contiguous())
        self.register_buffer("sine_weight", mixed.imag.contiguous())
        self.register_buffer("feedthrough", original.feedthrough.detach().clone())

    def forward(self, x: Float[Tensor, "B D T"]) -> Float[Tensor, "B D T"]:
        """Mixes time, each channel by itself; frames that are absent must be 0."""
        frames = x.shape[2]
        time = torch.arange(frames, device=x.device).to(x.dtype)
        envelope = torch.exp(self.decay.unsqueeze(-1) * time)
        phase = self.frequency.unsqueeze(-1) * time
        cosines = torch.einsum("xds,dst->xdt", self.cosine_weight, envelope * phase.cos())
        sines = torch.einsum("xds,dst->xdt", self.sine_weight, envelope * phase.sin())
        # Forwards, and backwards unless it is causal; each way sees the present frame.
        ways = 2 * (cosines - sines)
        # Taps from the most distant past to the most distant future.
        taps = [ways[0, :, 1:].flip(1), ways[:, :, :1].sum(dim=0) + self.feedthrough[:, None]]
        if len(ways) == 2:
            taps.append(ways[1, :, 1:])
        weight = torch.cat(taps, dim=1).unsqueeze(1)
        return F.conv1d(F.pad(x, (frames - 1, weight.shape[2] - frames)), weight, groups=weight.shape[0])


class SpelledOutAttention(nn.Module):
    """`SelfAttention` whose mask is added to the scores: one number a frame, where it is the same for all.

    Exported from torch's own function, the mask would always be as large as the scores, and these be searched
    for NaN.

    Args:
        original: Its layers become those of this one.
    """

    def __init__(self, original: SelfAttention) -> None:
        super().__init__()
        self.heads = original.heads
        self.query, self.key, self.value = original.query, original.key, original.value
        self.output = original.output

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None
    ) -> Float[Tensor, "B T D"]:
        """Mixes tokens; those where `mask` is False are not attended to, as long as there are others."""
        query, key, value = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = (query / math.sqrt(query.shape[3])) @ key.mT
        if mask is not None:
            hidden = torch.where(mask, 0.0, _ABSENT)
            scores = scores + (hidden[:, None, None, :] if mask.ndim == 2 else hidden[:, None])
        mixed = scores.softmax(dim=-1) @ value
        joined: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return joined


_ABSENT = -1e30
"""Makes a weight of exactly 0, and no NaN where every frame is absent."""


def simplify(module: nn.Module) -> None:
    """Replaces, in place, every layer of a module that has a plainer form here."""
    for name, child in module.named_children():
        if isinstance(child, PositionalConvolution):
            setattr(module, name, SlidingPositionalConvolution(child))
        elif isinstance(child, DiagonalStateSpace):
            setattr(module, name, SlidingStateSpace(child))
        elif isinstance(child, SelfAttention):
            setattr(module, name, SpelledOutAttention(child))
        else:
            simplify(child)
