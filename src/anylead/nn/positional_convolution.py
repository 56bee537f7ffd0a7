"""Relative positions by a wide grouped convolution over time."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class PositionalConvolution(nn.Module):
    """GELU of a grouped convolution, weight-normalised per kernel tap.

    Computed by the Fourier transform: the kernel is about as long as the segment, so that products of
    spectra take a small part of the work of sliding it.

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
        # A Conv1d holds the parameters, so that they have the names and the layout checkpoints have.
        self.convolution = weight_norm(convolution, dim=2)
        self.kernel = kernel
        self.groups = groups

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Returns what is to be added to `x`; frame t sees frames t - kernel/2 to t + kernel/2 - 1."""
        rows, frames, dimension = x.shape
        wide = x if x.dtype == torch.float64 else x.float()
        length = next_fast_len(frames + self.kernel - 1, real=True)
        weight = self.convolution.weight.to(wide.dtype)
        bias: Tensor = self.convolution.bias.to(wide.dtype)
        width = dimension // self.groups
        taps = torch.fft.rfft(weight, length).view(self.groups, width, width, -1)
        spectrum = torch.fft.rfft(wide.mT.reshape(rows, dimension, frames), length)
        spectrum = spectrum.view(rows, self.groups, width, -1)
        # A convolution layer correlates: conjugate spectra. One small product a group and frequency.
        mixed = torch.einsum("bgif,goif->bgof", spectrum, taps.conj())
        y = torch.fft.irfft(mixed.reshape(rows, dimension, -1), length)
        # Correlating with the kernel's centre moves the answer back by half a kernel.
        y = y.roll(self.kernel // 2, dims=-1)[..., :frames] + bias[:, None]
        return F.gelu(y).to(x.dtype).mT
