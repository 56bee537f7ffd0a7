"""Some tokens of every row, by their numbers: those that are hidden, or those that are shown."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Some tokens of every row, by their number."""

    index: Int64[Tensor, "B K"]
    """In ascending order; 0 where a row has fewer than K."""
    valid: Bool[Tensor, "B K"]
    """Which of them exist."""

    def of(self, x: Shaped[Tensor, "B T *s"]) -> Shaped[Tensor, "B K *s"]:
        """Returns their rows of x."""
        index = self.index.view(*self.index.shape, *(1,) * (x.ndim - 2))
        return x.gather(1, index.expand(-1, -1, *x.shape[2:]))

    def mask(self, number: int) -> Bool[Tensor, "B T"]:
        """Returns True at these of `number` tokens."""
        mask = torch.zeros(len(self.index), number + 1, dtype=torch.bool, device=self.index.device)
        return mask.scatter(1, torch.where(self.valid, self.index, number), True)[:, :number]

    def put(self, x: Float[Tensor, "B K D"], onto: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Returns `onto` with x in the rows of these tokens: the way back from `of`."""
        number = onto.shape[1]
        index = torch.where(self.valid, self.index, number).unsqueeze(-1).expand(-1, -1, x.shape[-1])
        spare = torch.cat([onto, onto[:, :1]], dim=1)
        return spare.scatter(1, index, x.to(onto.dtype))[:, :number]


def places_of(mask: Bool[Tensor, "B T"], most: int) -> Places:
    """Returns the places of a mask that has at most `most` True in a row."""
    number = mask.shape[1]
    index = torch.where(mask, torch.arange(number, device=mask.device), number).sort(dim=1).values[:, :most]
    valid = index < number
    return Places(index=torch.where(valid, index, 0), valid=valid)
