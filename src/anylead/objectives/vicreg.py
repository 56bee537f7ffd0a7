"""VICReg: views agree, dimensions keep their variance and do not repeat each other; no negatives."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.projector import Projector
from anylead.objectives.base import Objective


@dataclass(frozen=True, kw_only=True)
class VICRegConfig:
    """Configuration of `VICReg`."""

    kind: Literal["vicreg"] = "vicreg"
    views: Literal["pair", "person"] = "pair"
    """What agrees: the two rows of a pair, or all rows of a person, as many windows as there are
    (``feed.persons_together`` and long recordings give more than two)."""
    projector: tuple[int, ...] = (512, 512)
    """Widths of the layers before the loss."""
    invariance_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0


def invariance_loss(x: Float[Tensor, "B D"], group: Int64[Tensor, "B"]) -> Float[Tensor, ""]:
    """Returns the mean squared distance of rows of one group, over all pairs of different rows, / D.

    For groups of two it is VICReg's invariance. Groups of many windows agree by their statistics: the mean
    over pairs is twice the variance around the group's mean (arXiv 2508.15225).
    """
    same = (group[:, None] == group[None, :]).to(x.dtype)
    same = same - torch.eye(len(x), dtype=x.dtype, device=x.device)
    squares = x.square().sum(dim=1)
    distance = squares[:, None] + squares[None, :] - 2.0 * x @ x.T
    return (same * distance).sum() / same.sum().clamp_min(1) / x.shape[1]


def variance_loss(x: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Returns the mean shortfall of every dimension's standard deviation to 1."""
    return torch.relu(1.0 - (x.var(dim=0) + 1e-4).sqrt()).mean()


def covariance_loss(x: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Returns the sum of squared covariances between different dimensions, / D."""
    centred = x - x.mean(dim=0)
    covariance = centred.T @ centred / max(1, len(x) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / x.shape[1]


class VICReg(Objective):
    """Windows of one recording agree without being told from others.

    Source: Bardes et al. 2022 (arXiv 2105.04906), eq. 1-6; PEERS §2.13. Deviation: variance and covariance
    are taken over all rows together rather than over each view.
    """

    def __init__(self, config: VICRegConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.projector = Projector(encoder.dimension, config.projector)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing."""

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss times the number of rows."""
        config, across = self.config, self.across
        pooled = encoder(batch).pooled
        rows = across.rows(self.projector(pooled))
        rows = rows if rows.dtype == torch.float64 else rows.float()
        group = across.rows(batch.row) // 2 if config.views == "pair" else across.rows(batch.patient)
        terms = {
            "invariance": invariance_loss(rows, group),
            "variance": variance_loss(rows),
            "covariance": covariance_loss(rows),
        }
        mean = (
            config.invariance_weight * terms["invariance"]
            + config.variance_weight * terms["variance"]
            + config.covariance_weight * terms["covariance"]
        )
        count = rows.new_full((), float(len(rows)))
        return Loss(
            value=across.counted_once(mean * count),
            count=across.share_of(count),
            terms={name: term.detach() for name, term in terms.items()},
            pooled=pooled.detach(),
        )
