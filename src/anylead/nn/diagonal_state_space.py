"""Diagonal state-space layer over time, forwards or in both directions."""

import math
from typing import Literal

import torch
from jaxtyping import Complex, Float
from scipy.fft import next_fast_len
from torch import Tensor, nn

Initialization = Literal["lin", "inv"]


def initial_poles(pairs: int, initialization: Initialization) -> Complex[Tensor, "S"]:
    """Returns the poles A a channel begins with, one of each conjugate pair.

    Args:
        pairs: Conjugate pairs S, half of the state N.
        initialization: ``lin`` is ``-1/2 + i pi n``; ``inv`` is ``-1/2 + i N/pi (N/(2n+1) - 1)``.

    Source: Gu et al. 2022 (arXiv 2206.11893), S4D-Lin and S4D-Inv.
    """
    number = torch.arange(pairs, dtype=torch.float64)
    state = 2 * pairs
    lin = math.pi * number
    inv = state / math.pi * (state / (2 * number + 1) - 1)
    frequency = lin if initialization == "lin" else inv
    return torch.complex(torch.full_like(frequency, -0.5), frequency)


class DiagonalStateSpace(nn.Module):
    """S4D: one linear system a channel, run forwards over time, and backwards unless it is causal.

    ``x' = A x + u``, ``y = 2 Re(C x)`` with A diagonal, discretised by a zero-order hold of length Δ, so that
    ``y_t = sum_j K_j u_{t-j}`` with ``K_j = 2 Re(sum_n C_n (exp(Δ A_n) - 1) / A_n exp(j Δ A_n))``. Backwards
    it is ``u_{t+j}`` and another C; ``D u_t`` is added once. All frames at once, by the Fourier transform.

    Args:
        dimension: Channels D.
        state: N, the order of each channel's system; even, as poles come in conjugate pairs.
        initialization: Of the poles, see `initial_poles`.
        shortest_step: Smallest Δ at the beginning, in frames' own time.
        longest_step: Largest.
        causal: Run forwards only, so that no frame sees a later one.

    Source: Gu et al. 2022 (arXiv 2206.11893), S4D with zero-order hold; both ways as Goel et al. 2022 (arXiv
    2202.09729). Deviation: both directions see the present frame, and share A and Δ.
    """

    def __init__(
        self,
        dimension: int,
        *,
        state: int,
        initialization: Initialization = "lin",
        shortest_step: float = 0.001,
        longest_step: float = 0.1,
        causal: bool = False,
    ) -> None:
        super().__init__()
        pairs = state // 2
        poles = initial_poles(pairs, initialization).to(torch.complex64)
        low, high = math.log(shortest_step), math.log(longest_step)
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(dimension))
        self.log_decay = nn.Parameter(torch.log(-poles.real).repeat(dimension, 1))
        self.frequency = nn.Parameter(poles.imag.repeat(dimension, 1))
        # Real and imaginary part apart, as bundles hold real numbers; together of variance 1.
        self.output = nn.Parameter(torch.randn(1 if causal else 2, dimension, pairs, 2) * math.sqrt(0.5))
        self.feedthrough = nn.Parameter(torch.randn(dimension))

    def discretized(self) -> tuple[Complex[Tensor, "D S"], Complex[Tensor, "D S"]]:
        """Returns the exponents ΔA and the input weights ``(exp(ΔA) - 1) / A`` of a zero-order hold."""
        poles = torch.complex(-self.log_decay.exp(), self.frequency)
        exponent = poles * self.log_step.exp().unsqueeze(1)
        return exponent, torch.expm1(exponent) / poles

    def kernels(self, frames: int) -> Float[Tensor, "directions D T"]:
        """Returns the impulse responses forwards, and backwards where there is one, of the given length."""
        exponent, weight = self.discretized()
        time = torch.arange(frames, device=exponent.device)
        powers = torch.exp(exponent.unsqueeze(-1) * time)
        mixed = torch.einsum("xds,dst->xdt", torch.view_as_complex(self.output) * weight, powers)
        return 2 * mixed.real

    def forward(self, x: Float[Tensor, "B D T"]) -> Float[Tensor, "B D T"]:
        """Mixes time, each channel by itself; frames that are absent must be 0."""
        frames = x.shape[2]
        wide = x if x.dtype == torch.float64 else x.float()
        # Twice the length: neither direction wraps around into the other end.
        length = next_fast_len(2 * frames, real=True)
        spectra = torch.fft.rfft(self.kernels(frames).to(wide.dtype), length)
        # Correlating is multiplying by the conjugate: the backward direction sees the future.
        both = spectra[0] + spectra[1].conj() if len(spectra) == 2 else spectra[0]
        y = torch.fft.irfft(torch.fft.rfft(wide, length) * both, length)[..., :frames]
        mixed: Tensor = y + wide * self.feedthrough[:, None]
        return mixed.to(x.dtype)
