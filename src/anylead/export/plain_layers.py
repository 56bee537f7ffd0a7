"""Layers as an ONNX runtime does them well: no Fourier transform, few passes over long tensors."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.conv_stem import ConvStem
from anylead.nn.diagonal_state_space import DiagonalStateSpace
from anylead.nn.positional_convolution import PositionalConvolution
from anylead.nn.transformer import SelfAttention


class PlainStem(nn.Module):
    """`ConvStem` of signals that are 0 wherever nothing was recorded.

    Absent frames are neither replaced nor kept out of the sums, as torch does, but counted in the sums and
    taken off again; what is left of a segment that no last frame needs is dropped once.

    Args:
        original: Gives the weights and the masks of frames.
    """

    def __init__(self, original: ConvStem) -> None:
        super().__init__()
        self.original = original

    def frame_mask(self, sample_mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B T"]:
        """Returns which frames stand for present samples only."""
        return self.original.frame_mask(sample_mask)

    def forward(
        self, signal: Float[Tensor, "B L N"], sample_mask: Bool[Tensor, "B N"] | None
    ) -> Float[Tensor, "B T C"]:
        """Returns the output of the last layer; `sample_mask` as in `ConvStem`."""
        if sample_mask is None:
            alone: Tensor = self.original(signal, None)
            return alone
        first, *others = self.original.kernels
        weight, *weights = (one.mT.flatten(1) for one in self.original.weights)
        frames = signal.shape[2] // first
        x = signal.mT[:, : frames * first].reshape(signal.shape[0], frames, weight.shape[1])
        # A frame of which a part was recorded counts as absent.
        whole = sample_mask.sum(dim=1, keepdim=True) // first
        x = x * (torch.arange(frames, device=x.device) < whole).unsqueeze(2)
        count = whole.clamp_min(1).unsqueeze(2)
        mean = x.sum(dim=1, keepdim=True) / count
        centred = x - mean
        # In double, as in the original. Where a frame is absent, `centred` holds the mean.
        exact, offset, taps = centred.double(), mean.double(), weight.double()
        covariance = (exact.mT @ exact - (frames - count) * (offset.mT @ offset)) / count
        variance = ((taps @ covariance) * taps).sum(dim=-1).float()
        gain = self.original.norm.weight * torch.rsqrt(variance + _EPSILON)
        together = math.prod(others)
        needed = centred[:, : frames // together * together]
        x = torch.baddbmm(self.original.norm.bias[None, None], needed, (gain.unsqueeze(-1) * weight).mT)
        x = F.gelu(x)
        for weight in weights:
            x = F.gelu(F.linear(x.reshape(x.shape[0], -1, weight.shape[1]), weight))
        return x


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
    for NaN. The bias of the keys moves all scores of a query alike, which the softmax does not see; that of
    the values passes through the weights, whose sum is 1, and becomes one of the output's.

    Args:
        original: Gives the weights, which are copied.
    """

    key: Tensor
    value: Tensor
    bias: Tensor

    def __init__(self, original: SelfAttention) -> None:
        super().__init__()
        self.heads = original.heads
        self.query, self.output = original.query, original.output
        self.register_buffer("key", original.key.weight.detach().clone())
        self.register_buffer("value", original.value.weight.detach().clone())
        with torch.no_grad():
            shift = original.value.bias if original.qkv_bias else torch.zeros_like(self.value[:, 0])
            self.register_buffer("bias", original.output(shift).clone())

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | Bool[Tensor, "B T T"] | None
    ) -> Float[Tensor, "B T D"]:
        """Mixes tokens; those where `mask` is False are not attended to, as long as there are others."""
        query, key, value = (
            one.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for one in (self.query(x), F.linear(x, self.key), F.linear(x, self.value))
        )
        scores = (query / math.sqrt(query.shape[3])) @ key.mT
        if mask is not None:
            hidden = torch.where(mask, 0.0, _ABSENT)
            scores = scores + (hidden[:, None, None, :] if mask.ndim == 2 else hidden[:, None])
        mixed = scores.softmax(dim=-1) @ value
        return F.linear(mixed.transpose(1, 2).flatten(2), self.output.weight, self.bias)


_ABSENT = -1e30
"""Makes a weight of exactly 0, and no NaN where every frame is absent."""
_EPSILON = 1e-5
"""Of `normalized_projection`."""


def simplify(module: nn.Module) -> None:
    """Replaces, in place, every layer of a module that has a plainer form here."""
    for name, child in module.named_children():
        if isinstance(child, ConvStem):
            setattr(module, name, PlainStem(child))
        elif isinstance(child, PositionalConvolution):
            setattr(module, name, SlidingPositionalConvolution(child))
        elif isinstance(child, DiagonalStateSpace):
            setattr(module, name, SlidingStateSpace(child))
        elif isinstance(child, SelfAttention):
            setattr(module, name, SpelledOutAttention(child))
        else:
            simplify(child)
