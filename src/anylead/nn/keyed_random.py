"""Random tensors as a function of (seed, purpose, step, row): the same on every device and rank.

torch's generators are sequential: what a row gets depends on the rows before it, hence on batch size,
rank and order. Here every number is a hash of where it stands (SplitMix64's finaliser, twice), computed
elementwise on the device of the rows, with no state and no host sync.

Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), mix64variant13.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from anylead.seeding import derive_seed


@dataclass(frozen=True, kw_only=True)
class DrawKey:
    """Names one set of draws."""

    seed: int
    step: int
    purpose: str = ""

    def of(self, purpose: str) -> "DrawKey":
        """Returns the key for one purpose within this one."""
        return DrawKey(seed=self.seed, step=self.step, purpose=f"{self.purpose}/{purpose}")

    def number(self) -> int:
        """Returns the 63-bit number of this key."""
        return derive_seed(self.seed, self.purpose, self.step)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shift(x: Int64[Tensor, "*s"], bits: int) -> Int64[Tensor, "*s"]:
    """Logical shift to the right (torch's is arithmetic on signed integers)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Int64[Tensor, "*s"]) -> Int64[Tensor, "*s"]:
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def bits(key: DrawKey, rows: Int64[Tensor, "B"], *shape: int) -> Int64[Tensor, "B *shape"]:
    """Returns 64 random bits for every place of (B, *shape)."""
    places = torch.arange(math.prod(shape), device=rows.device, dtype=torch.int64)
    start = _mix(rows * _GOLDEN + _signed(key.number() * 2 + 1))
    mixed = _mix(_mix(start.unsqueeze(1) + (places + 1) * _GOLDEN))
    return mixed.reshape(rows.shape[0], *shape)


def uniform(
    key: DrawKey, rows: Int64[Tensor, "B"], *shape: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B *shape"]:
    """Returns numbers uniform in (0, 1), never 0 or 1, on a grid of 2^-23 (2^-53 for float64)."""
    if dtype == torch.float64:
        return (_shift(bits(key, rows, *shape), 11).to(dtype) + 0.5) * 2.0**-53
    # One hash gives two numbers in single precision.
    number = math.prod(shape)
    pairs = bits(key, rows, (number + 1) // 2)
    halves = torch.stack([_shift(pairs, 41), _shift(pairs, 9) & 0x7FFFFF], dim=-1)
    top = halves.reshape(rows.shape[0], -1)[:, :number].reshape(rows.shape[0], *shape)
    return (top.to(dtype) + 0.5) * 2.0**-23


def gumbel(
    key: DrawKey, rows: Int64[Tensor, "B"], *shape: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B *shape"]:
    """Returns standard Gumbel noise."""
    return -(-uniform(key, rows, *shape, dtype=dtype).log()).log()


def normal(
    key: DrawKey, rows: Int64[Tensor, "B"], *shape: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B *shape"]:
    """Returns standard normal numbers (Box & Muller 1958)."""
    number = math.prod(shape)
    drawn = uniform(key, rows, (number + 1) // 2, 2, dtype=dtype)
    radius, angle = (-2.0 * drawn[..., 0].log()).sqrt(), 2.0 * math.pi * drawn[..., 1]
    both = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    return both.reshape(rows.shape[0], -1)[:, :number].reshape(rows.shape[0], *shape)


def integers(
    key: DrawKey, rows: Int64[Tensor, "B"], *shape: int, high: Tensor | int
) -> Int64[Tensor, "B *shape"]:
    """Returns integers uniform in {0, ..., high - 1}; `high` >= 1 broadcasts against (B, *shape)."""
    # 31 random bits times high, divided by 2^31: the bias is below high / 2^31.
    return (_shift(bits(key, rows, *shape), 33) * high) >> 31
