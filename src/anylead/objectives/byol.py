"""BYOL: one view predicts what a slow copy of the encoder makes of another; nothing is told apart."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.projector import Projector
from anylead.nn.teacher import Teacher
from anylead.objectives.base import Objective


@dataclass(frozen=True, kw_only=True)
class BYOLConfig:
    """Configuration of `BYOL`. The two rows of a pair are the views, as for SimCLR."""

    kind: Literal["byol"] = "byol"
    projector: tuple[int, ...] = (512, 128)
    predictor: int = 512
    """Inner width of the network from one projection to the other."""
    decay_start: float = 0.996
    """Of the teacher at the beginning; it rises to 1 along a cosine."""


def regression_loss(guess: Float[Tensor, "B D"], target: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Returns ``sum of 2 - 2 cos`` between rows: squared distances of unit vectors. Source: BYOL, eq. 2."""
    wide = torch.float64 if guess.dtype == torch.float64 else torch.float32
    return (2.0 - 2.0 * F.cosine_similarity(guess.to(wide), target.to(wide), dim=1)).sum()


class BYOL(Objective):
    """A projection of one view is predicted from that of the other.

    Source: Grill et al. 2020 (arXiv 2006.07733); PEERS §2.10.
    """

    def __init__(self, config: BYOLConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.projector = Projector(encoder.dimension, config.projector)
        self.predictor = Projector(self.projector.dimension, (config.predictor, self.projector.dimension))
        self.teacher = Teacher(nn.ModuleList([encoder, self.projector]))

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing."""

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss summed over rows; no gradient flows through the targets."""
        pooled = encoder(batch).pooled
        guess = self.predictor(self.projector(pooled))
        with torch.no_grad():
            teacher, projector = self.teacher.network
            target = projector(teacher(batch).pooled)
        value = regression_loss(guess, _partners(target))
        count = value.new_full((), float(len(batch)))
        return Loss(
            value=value, count=count, terms={"distance": value.detach() / count}, pooled=pooled.detach()
        )

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Lets the teacher follow, ever more slowly."""
        cosine = 0.5 * (1.0 + torch.cos(torch.tensor(torch.pi * progress.fraction)).item())
        decay = 1.0 - (1.0 - self.config.decay_start) * cosine
        self.teacher.follow(nn.ModuleList([encoder, self.projector]), decay)


def _partners(x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Exchanges the two rows of every pair."""
    return x.view(-1, 2, x.shape[1]).flip(1).reshape(x.shape)
