"""Adversarial masking: a window finds itself behind masks, and what makes the masks works against that."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.nn.gradient_reversal import reverse_gradient
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.mask_generator import MaskGenerator
from anylead.nn.presence import present_signal
from anylead.nn.projector import Projector
from anylead.objectives.base import Objective
from anylead.objectives.view_contrast import cosines, nt_xent_loss


@dataclass(frozen=True, kw_only=True)
class AdversarialMaskingConfig:
    """Configuration of `AdversarialMasking`; the numbers are our choice.

    Raises:
        ConfigError: If the masks would hide everything or nothing, or a number is out of its range.
    """

    kind: Literal["adversarial_masking"] = "adversarial_masking"
    masks: int = 1
    """Views of a window beside the whole one, each behind a mask of its own; no two masks hide one place."""
    hidden_share: float = 0.3
    """Of the recorded samples that each mask is to hide, in the mean over a segment."""
    block_s: float = 0.1
    """Seconds for which a mask has one value."""
    budget_weight: float = 100.0
    """Of the squared difference between the share that a mask hides and `hidden_share`."""
    generator_gradient_scale: float = 1.0
    """Multiplies what the generator gets of the contrast's gradient, reversed; 0 lets the budget alone train
    it. What arrives there has passed the encoder, whose ``feature_gradient_scale`` has multiplied it too."""
    generator_width: int = 64
    """Channels of the network that makes the masks."""
    temperature: float = 0.1
    projector: tuple[int, ...] = (256, 128)
    """Widths of the layers between the pooled vector and the contrast."""

    def __post_init__(self) -> None:
        if self.masks < 1 or not 0.0 < self.masks * self.hidden_share < 1.0:
            raise ConfigError(
                f"adversarial_masking: got masks {self.masks} and hidden_share {self.hidden_share:g}; give "
                "at least 1 mask, and a share above 0 that comes to less than 1 in all masks together."
            )
        weights = (self.budget_weight, self.generator_gradient_scale)
        if self.block_s <= 0.0 or self.generator_width < 1 or min(weights) < 0.0:
            raise ConfigError(
                f"adversarial_masking: got block_s {self.block_s:g}, generator_width {self.generator_width}, "
                f"budget_weight {weights[0]:g} and generator_gradient_scale {weights[1]:g}; give a block and "
                "a width above 0, and no negative weight or scale."
            )


def dimmed(signal: Float[Tensor, "B L N"], hidden: Float[Tensor, "B L N"]) -> Float[Tensor, "B L N"]:
    """Returns the signal times what a mask shows of it: 0 mV where it hides all."""
    return signal * (1.0 - hidden.to(signal.dtype))


def hidden_shares(hidden: Float[Tensor, "B K L N"], present: Bool[Tensor, "B L N"]) -> Float[Tensor, "B K"]:
    """Returns the share of each segment's recorded samples that each mask hides.

    Args:
        hidden: How far each sample is hidden, 0 where nothing was recorded.
        present: Recorded samples.
    """
    return hidden.sum(dim=(2, 3)) / present.sum(dim=(1, 2)).clamp_min(1)[:, None]


def budget_loss(shares: Float[Tensor, "B K"], wanted: float) -> Float[Tensor, ""]:
    """Returns the mean squared difference between the shares that masks hide and the one that is wanted."""
    return (shares - wanted).square().mean()


class AdversarialMasking(Objective):
    """A window finds itself through masks among all windows; the masks are made to prevent it.

    Source: Bo et al. 2022 (arXiv 2211.07889); Shi et al. 2022 (ADIOS, arXiv 2201.13100); PEERS §2.12.
    Deviations: encoder and generator learn in the same step of the same optimizer, the generator from the
    contrast's reversed gradient, where the papers take turns with an optimizer each; the budget is a squared
    difference to a share that is given, where ADIOS has the inverse of a sine; with several masks, views
    behind two of them are positives too.
    """

    def __init__(self, config: AdversarialMaskingConfig, encoder: Encoder) -> None:
        super().__init__()
        if getattr(getattr(encoder, "config", None), "feature_gradient_scale", 1.0) == 0.0:
            raise ConfigError(
                "adversarial_masking: masks are learnt through the encoder's front end, and its "
                "feature_gradient_scale of 0 lets no gradient through; give a number above 0, or use crlc."
            )
        self.config = config
        self.generator = MaskGenerator(
            len(encoder.leads),
            config.masks,
            block=max(1, round(config.block_s * encoder.sampling_rate_hz)),
            width=config.generator_width,
            share=config.hidden_share,
        )
        self.projector = Projector(encoder.dimension, config.projector)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Draws nothing: the masks follow from the signal."""

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the contrast summed over views, and the budget times their number."""
        config, across = self.config, self.across
        views, shares = self.views(encoder, batch)
        pooled = [encoder(view).pooled for view in (batch, *views)]
        rows = torch.cat([across.rows(self.projector(view)) for view in pooled])
        similarity = cosines(rows, detach_norm=False) / config.temperature
        value, accuracy, count = nt_xent_loss(similarity, across.rows(batch.row).repeat(len(pooled)))
        shares = across.rows(shares)
        budget = budget_loss(shares, config.hidden_share)
        return Loss(
            value=across.counted_once(value + config.budget_weight * count * budget),
            count=across.share_of(count),
            terms={
                "contrast": value.detach() / count,
                "contrast_accuracy": accuracy,
                "budget": budget.detach(),
                "hidden_share": shares.detach().mean(),
            },
            pooled=pooled[0].detach(),
        )

    def views(self, encoder: Encoder, batch: Batch) -> tuple[list[Batch], Float[Tensor, "B K"]]:
        """Returns the batch behind each mask, and the share of its recorded samples that each mask hides.

        What follows from the views has its gradient reversed on the way to the generator; what follows from
        the shares has not.
        """
        ordered = batch.select(encoder.leads)
        known = tuple(name for name in encoder.leads if name in batch.leads)
        present = ordered.lead_mask.unsqueeze(2) & ordered.sample_mask.unsqueeze(1)
        signal = present_signal(batch, encoder.leads)
        hidden = self.generator(signal, present)
        against = reverse_gradient(hidden, self.config.generator_gradient_scale)
        # Columns that the batch has not are left out again: tokens of single leads would be made of them.
        views = [
            replace(ordered, signal=dimmed(signal, mask)).select(known) for mask in against.unbind(dim=1)
        ]
        return views, hidden_shares(hidden, present)
