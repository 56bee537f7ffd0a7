"""CLOCS: single leads and neighbouring segments of one person agree."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.lead_views import draw_single_leads, require_two_leads, through
from anylead.objectives.view_contrast import cosines, pair_loss


@dataclass(frozen=True, kw_only=True)
class CLOCSConfig:
    """Configuration of `CLOCS`; the encoder sees one lead at a time."""

    kind: Literal["clocs"] = "clocs"
    views: Literal["cmsc", "cmlc", "cmsmlc"] = "cmsmlc"
    """What agrees: two segments through the same lead; two leads of a segment; two segments through
    different leads."""
    temperature: float = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class CLOCSDraws:
    """Two leads of every row."""

    first: Bool[Tensor, "B L"]
    second: Bool[Tensor, "B L"]


class CLOCS(Objective):
    """One lead of a person finds another lead, or another segment, of the same person.

    Source: Kiyasseh et al. 2021 (arXiv 2005.13249); PEERS §2.8.
    """

    def __init__(self, config: CLOCSConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> CLOCSDraws:
        """Draws the leads.

        Raises:
            LeadError: If leads are compared and the batch has a single one.
        """
        if self.config.views != "cmsc":
            require_two_leads(batch, f"clocs ({self.config.views})")
        first, second = draw_single_leads(batch, key.of("leads"), together=self.config.views != "cmlc")
        return CLOCSDraws(first=first, second=second)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: CLOCSDraws, progress: Progress) -> Loss:
        """Returns the loss summed over positives."""
        across = self.across
        patient, segment = batch.patient, batch.segment
        if self.config.views == "cmlc":
            pooled = torch.cat(
                [across.rows(encoder(through(batch, leads)).pooled) for leads in (draws.first, draws.second)]
            )
            # A row with one present lead has nothing to compare it with.
            two = batch.lead_mask.sum(dim=1) > 1
            side = torch.cat([across.rows(torch.where(two, number, -1)) for number in (0, 1)])
            patient = across.rows(patient).repeat(2)
            seen = pooled
        else:
            other = self.config.views == "cmsmlc"
            leads = torch.where((segment == 1)[:, None] & other, draws.second, draws.first)
            seen = encoder(through(batch, leads)).pooled
            pooled, patient, side = across.rows(seen), across.rows(patient), across.rows(segment)
        similarity = cosines(pooled, detach_norm=False) / self.config.temperature
        value, accuracy, count = pair_loss(similarity, patient, side)
        return Loss(
            value=across.counted_once(value * count),
            count=across.share_of(count),
            terms={"contrast": value.detach(), "contrast_accuracy": accuracy},
            pooled=seen[: len(batch)].detach(),
        )
