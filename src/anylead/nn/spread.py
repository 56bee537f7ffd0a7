"""Whether representations collapse: in how many directions they spread, and how far."""

import torch
from jaxtyping import Float
from torch import Tensor


def effective_rank(x: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Returns ``(sum of l)^2 / sum of l^2`` over the eigenvalues l of the covariance of the rows.

    It is 1 where all rows lie on a line and min(B - 1, D) where they spread evenly. Of the effective ranks by
    Renyi's entropies it is that of order 2, the smallest of them with a name: it needs no decomposition, so
    that the host never waits for it.

    Source: Roy & Vetterli 2007 (EUSIPCO), whose rank is that of order 1.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    centred = wide - wide.mean(dim=0)
    gram = centred @ centred.T
    return gram.trace().square() / gram.square().sum().clamp_min(torch.finfo(gram.dtype).tiny)


def deviation(x: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Returns the mean over dimensions of the standard deviation over rows, each row scaled to length D^1/2.

    It is 1 where unit rows spread evenly and 0 where they are all the same.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    unit = torch.nn.functional.normalize(wide, dim=1) * wide.shape[1] ** 0.5
    mean: Tensor = unit.var(dim=0, unbiased=False).sqrt().mean()
    return mean
