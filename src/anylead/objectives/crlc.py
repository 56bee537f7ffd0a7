"""CRLC: two disjoint sets of leads of one window agree."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.projector import Projector
from anylead.objectives.base import Objective
from anylead.objectives.lead_views import draw_two_sets, require_two_leads, through
from anylead.objectives.view_contrast import cosines, nt_xent_loss


@dataclass(frozen=True, kw_only=True)
class CRLCConfig:
    """Configuration of `CRLC`."""

    kind: Literal["crlc"] = "crlc"
    temperature: float = 0.1
    projector: tuple[int, ...] = (256, 128)
    """Widths of the layers between the pooled vector and the contrast."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CRLCDraws:
    """Two sets of leads of every row."""

    first: Bool[Tensor, "B L"]
    second: Bool[Tensor, "B L"]


class CRLC(Objective):
    """A window through some of its leads finds itself through others.

    Source: Brüsch et al. 2024 (arXiv 2410.19842); PEERS §2.7. Deviation: what encodes any set of leads is the
    encoder's own lead mechanism.
    """

    def __init__(self, config: CRLCConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.projector = Projector(encoder.dimension, config.projector)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> CRLCDraws:
        """Draws the sets of leads.

        Raises:
            LeadError: If the batch has a single lead.
        """
        require_two_leads(batch, "crlc")
        first, second = draw_two_sets(batch, key.of("lead sets"))
        return CRLCDraws(first=first, second=second)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: CRLCDraws, progress: Progress) -> Loss:
        """Returns the loss summed over views; rows with one present lead take no part."""
        across = self.across
        pooled = [encoder(through(batch, leads)).pooled for leads in (draws.first, draws.second)]
        views = torch.cat([across.rows(self.projector(view)) for view in pooled])
        rows, both = across.rows(batch.row), across.rows(batch.lead_mask.sum(dim=1) > 1)
        similarity = cosines(views, detach_norm=False) / self.config.temperature
        value, accuracy, count = nt_xent_loss(similarity, rows.repeat(2), both.repeat(2))
        return Loss(
            value=across.counted_once(value),
            count=across.share_of(count),
            terms={"contrast": value.detach() / count.clamp_min(1), "contrast_accuracy": accuracy},
            pooled=pooled[0].detach(),
        )
