"""SimCLR: two augmentations of one window agree."""

from dataclasses import dataclass
from typing import Literal

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.projector import Projector
from anylead.objectives.base import Objective
from anylead.objectives.view_contrast import cosines, nt_xent_loss


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig:
    """Configuration of `SimCLR`; the defaults are those of the paper's baseline, which has no projector.

    The two rows of a pair are what agrees. With ``feed.second same`` and an augmentation (or random lead
    masking) they are two augmentations of one window, as in SimCLR.
    """

    kind: Literal["simclr"] = "simclr"
    temperature: float = 0.1
    detach_norm: bool = True
    """Let no gradient through the lengths of vectors, as the paper's code."""
    projector: tuple[int, ...] = ()
    """Widths of the layers between the pooled vector and the contrast, as SimCLR has two; none here."""


class SimCLR(Objective):
    """Every row finds the other row of its pair among all rows.

    Source: Chen et al. 2020 (arXiv 2002.05709); METHOD §5.
    """

    def __init__(self, config: SimCLRConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.projector = Projector(encoder.dimension, config.projector)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing."""

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss summed over rows."""
        across = self.across
        pooled = encoder(batch).pooled
        rows = across.rows(self.projector(pooled))
        similarity = cosines(rows, detach_norm=self.config.detach_norm) / self.config.temperature
        value, accuracy, count = nt_xent_loss(similarity, across.rows(batch.row) // 2)
        return Loss(
            value=across.counted_once(value),
            count=across.share_of(count),
            terms={"contrast": value.detach() / count, "contrast_accuracy": accuracy},
            pooled=pooled.detach(),
        )
