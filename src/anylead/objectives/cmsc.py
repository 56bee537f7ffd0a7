"""Contrastive multi-segment coding: two segments of one person agree (the paper's global loss)."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.view_contrast import cosines, pair_loss


@dataclass(frozen=True, kw_only=True)
class CMSCConfig:
    """Configuration of `CMSC`."""

    kind: Literal["cmsc"] = "cmsc"
    temperature: float = 0.1
    detach_norm: bool = True
    """Let no gradient through the lengths of pooled vectors, as the paper's code."""


class CMSC(Objective):
    """The mean over time of one segment finds that of another segment of the same person.

    Source: METHOD §3.8 and §5; Kiyasseh et al. 2021 (CLOCS, arXiv 2005.13249).
    """

    def __init__(self, config: CMSCConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing."""

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss summed over positives."""
        pooled = encoder(batch).pooled
        across = self.across
        similarity = cosines(across.rows(pooled), detach_norm=self.config.detach_norm)
        value, accuracy, count = pair_loss(
            similarity / self.config.temperature, across.rows(batch.patient), across.rows(batch.segment)
        )
        return Loss(
            value=across.counted_once(value * count),
            count=across.share_of(count),
            terms={"cmsc": value.detach(), "cmsc_accuracy": accuracy},
            pooled=pooled.detach(),
        )


def cmsc_loss(
    pooled: Float[Tensor, "B D"],
    patient: Int64[Tensor, "B"],
    segment: Int64[Tensor, "B"],
    *,
    temperature: float = 0.1,
    detach_norm: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the symmetric contrastive loss between first and second segments, and its accuracy.

    Args:
        pooled: One vector a segment, of any length.
        patient: Equal numbers are the same person; all their pairs are positives of one another.
        segment: 0 for the first segment of a pair, 1 for the second.
        temperature: Divides the cosines.
        detach_norm: Let no gradient through the vectors' lengths, as the paper's code does.

    Returns:
        The mean over positives (see `pair_loss`) and the share of first segments whose nearest second segment
        is the same person's, both scalars; 0 where the batch has no positive pair.

    Source: METHOD §3.8.
    """
    similarity = cosines(pooled, detach_norm=detach_norm) / temperature
    value, accuracy, _ = pair_loss(similarity, patient, segment)
    return value, accuracy
