"""3KG: two views of one heart, its dipole turned and stretched, agree."""

from dataclasses import dataclass
from typing import Literal

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import LeadError
from anylead.nn.dipole import spans_three_directions
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.view_contrast import cosines, patient_nt_xent_loss


@dataclass(frozen=True, kw_only=True)
class ThreeKGConfig:
    """Configuration of `ThreeKG`; the views are the feed's (``augmentation.kind dipole_views``)."""

    kind: Literal["threekg"] = "threekg"
    temperature: float = 0.1
    detach_norm: bool = True
    """Let no gradient through the lengths of vectors, as the paper's code."""


class ThreeKG(Objective):
    """Every view finds the other views of its person among everybody else's.

    Source: Gopal et al. 2021 (arXiv 2106.04452); METHOD §4-5, PEERS §2.9.
    """

    def __init__(self, config: ThreeKGConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing: views are made by the feed.

        Raises:
            LeadError: If the leads of the batch do not see the heart from three directions.
        """
        if not spans_three_directions(batch.leads):
            raise LeadError(
                "threekg: views of the heart's dipole need leads that see it from three directions, and the "
                f"batch has {', '.join(batch.leads)}; add a chest lead to two others, or use another "
                "objective."
            )

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss summed over positives; its count is the number of rows, as in the reference."""
        across = self.across
        pooled = encoder(batch).pooled
        similarity = cosines(across.rows(pooled), detach_norm=self.config.detach_norm)
        value, accuracy = patient_nt_xent_loss(
            similarity / self.config.temperature, across.rows(batch.patient)
        )
        rows = similarity.new_full((), float(len(similarity)))
        return Loss(
            value=across.counted_once(value),
            count=across.share_of(rows),
            terms={"contrast": value.detach() / rows, "contrast_accuracy": accuracy},
            pooled=pooled.detach(),
        )
