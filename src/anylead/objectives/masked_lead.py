"""Masked leads (MLAE): whole leads are hidden and drawn from the others."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features
from anylead.nn.keyed_random import DrawKey, uniform
from anylead.nn.loss import Loss, Progress
from anylead.nn.presence import present_signal
from anylead.objectives.base import Objective
from anylead.objectives.lead_views import require_two_leads, through
from anylead.objectives.signal_targets import Patches, squared_error


@dataclass(frozen=True, kw_only=True)
class MaskedLeadConfig:
    """Configuration of `MaskedLead`."""

    kind: Literal["masked_lead"] = "masked_lead"
    hidden_share: float = 0.5
    """Of the leads that were recorded; at least one is hidden and one shown."""
    decoder_width: int = 256
    """Inner width of what draws all leads from the tokens of one time."""


class MaskedLead(Objective):
    """Predicts hidden leads at every time from the tokens of the shown ones at that time.

    Source: MLAE (PEERS §2.3). Deviation: the encoder takes what leads are shown by its own lead mechanism,
    and tokens of a time are averaged over leads before they are decoded.
    """

    def __init__(self, config: MaskedLeadConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        width = len(encoder.leads) * encoder.samples_per_token
        self.decoder = nn.Sequential(
            nn.Linear(encoder.dimension, config.decoder_width),
            nn.GELU(),
            nn.Linear(config.decoder_width, width),
        )

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Bool[Tensor, "B L"]:
        """Draws the hidden leads of every row; none where one lead was recorded.

        Raises:
            LeadError: If the batch has a single lead.
        """
        require_two_leads(batch, "masked_lead")
        present = batch.lead_mask
        number = present.sum(dim=1, keepdim=True)
        order = torch.where(present, uniform(key.of("order"), batch.row, len(batch.leads)), 2.0)
        hidden = (number * self.config.hidden_share).round().clamp_min(1).minimum(number - 1)
        return present & (order.argsort(dim=1).argsort(dim=1) < hidden)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: Bool[Tensor, "B L"], progress: Progress) -> Loss:
        """Returns the squared error summed over the samples of hidden leads."""
        seen = through(batch, ~draws)
        tokens = encoder.tokenize(seen)
        features = encoder.contextualize(tokens, padded=batch.padded)
        frames = tokens.frames or tokens.mask.shape[1]
        times = _by_time(features, frames)
        target, counted = self._targets(encoder, batch, draws, frames)
        value, count = squared_error(self.decoder(times), target, counted)
        return Loss(
            value=value,
            count=count,
            terms={"error_mv2": value.detach() / count.clamp_min(1)},
            pooled=features.pooled.detach(),
        )

    def _targets(
        self, encoder: Encoder, batch: Batch, hidden: Bool[Tensor, "B L"], frames: int
    ) -> tuple[Patches, Bool[Tensor, "B P"]]:
        """Returns all leads of the encoder at every time, of which only hidden ones count as present."""
        step = encoder.samples_per_token
        only = through(batch, hidden)
        signal = present_signal(only, encoder.leads)
        wanted = only.select(encoder.leads).lead_mask.unsqueeze(2) & batch.sample_mask.unsqueeze(1)
        missing = max(0, frames * step - signal.shape[2])
        parts = []
        for x in (signal, wanted):
            padded = nn.functional.pad(x, (0, missing))[..., : frames * step]
            parts.append(
                padded.reshape(len(batch), len(encoder.leads), frames, step).transpose(1, 2).flatten(2)
            )
        patches = Patches(values=parts[0], present=parts[1])
        return patches, torch.ones_like(parts[1][..., 0])


def _by_time(features: Features, frames: int) -> Float[Tensor, "B P D"]:
    """Averages the tokens of each time over the leads that were recorded."""
    rows, number, width = features.tokens.shape
    if number == frames:
        return features.tokens
    tokens = features.tokens.view(rows, -1, frames, width)
    present = features.token_mask.view(rows, -1, frames, 1)
    total = torch.where(present, tokens, 0.0).sum(dim=1)
    return total / present.sum(dim=1).clamp_min(1)
