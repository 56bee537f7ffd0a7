"""What a loss needs of other processes: their rows, their sums."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Across:
    """The processes that hold the parts of one micro-batch, in the order of its rows.

    Every process computes the whole loss, with its own part alive and the others' as constants. The gradients
    that the processes then sum are those of one process with the whole micro-batch. For one process, which
    is the default, every method returns what it is given.
    """

    rank: int = 0
    """Place of the own part."""
    world_size: int = 1

    def rows(self, x: Shaped[Tensor, "B *s"]) -> Shaped[Tensor, "rows *s"]:
        """Returns the rows of all parts, which have equally many; gradients flow into the own ones."""
        if self.world_size == 1:
            return x
        parts = [torch.empty_like(x) for _ in range(self.world_size)]
        dist.all_gather(parts, x.detach().contiguous())
        parts[self.rank] = x
        return torch.cat(parts)

    def total(self, x: Shaped[Tensor, "*s"]) -> Shaped[Tensor, "*s"]:
        """Returns the sum over all parts; gradients flow into the own one."""
        if self.world_size == 1:
            return x
        whole = x.detach().clone()
        dist.all_reduce(whole)
        return x + (whole - x.detach())

    def mean(self, x: Shaped[Tensor, "*s"], *, weight: Shaped[Tensor, ""]) -> Shaped[Tensor, "*s"]:
        """Returns the mean over all parts, each of some weight; gradients flow into the own one."""
        if self.world_size == 1:
            return x
        return self.total(x * weight) / self.total(weight)

    def counted_once(self, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Returns a value that every process has alike, so that the sum over processes counts it once.

        Its gradient is left whole: each process has the part of it that its rows are responsible for.
        """
        if self.world_size == 1:
            return value
        return value - value.detach() * (1.0 - 1.0 / self.world_size)

    def share_of(self, count: Tensor) -> Tensor:
        """Returns what this process adds to a count that every process has alike."""
        return count if self.world_size == 1 else count / self.world_size


ALONE = Across()
