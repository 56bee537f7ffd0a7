"""Masked auto-encoding in time (MTECG, MTAE): stretches of all leads are hidden and their shape is drawn."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.token_predictor import TokenPredictor
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_times, longest_share, shown_places
from anylead.objectives.signal_targets import patch_width, patches_of, squared_error, without_level


@dataclass(frozen=True, kw_only=True)
class MaskedTimeConfig:
    """Configuration of `MaskedTime`."""

    kind: Literal["masked_time"] = "masked_time"
    hidden_share: float = 0.25
    """Of the times; the paper finds 5 to 75 % about as good."""
    span: int = 1
    """Tokens a hidden span."""
    decoder_width: int = 128
    decoder_layers: int = 1
    decoder_heads: int = 4


class MaskedTime(Objective):
    """Predicts hidden stretches of the signal from the others, each without its level.

    Source: MTECG and MTAE (PEERS §2.3). Only shown tokens go through the encoder.
    """

    def __init__(self, config: MaskedTimeConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.decoder = TokenPredictor(
            encoder.dimension,
            patch_width(encoder),
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
        )

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Bool[Tensor, "B T"]:
        """Draws the hidden times."""
        share, span = self.config.hidden_share, self.config.span
        return draw_hidden_times(encoder, batch, key.of("hidden"), share=share, span=span)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: Bool[Tensor, "B T"], progress: Progress) -> Loss:
        """Returns the squared error summed over the hidden samples."""
        tokens = encoder.tokenize(batch)
        number = tokens.mask.shape[1]
        frames = tokens.frames or number
        hidden = longest_share(frames, self.config.hidden_share) * (number // frames)
        shown = shown_places(tokens.mask, draws, number - hidden)
        features = encoder.contextualize(tokens, padded=batch.padded, shown=shown)
        guess = self.decoder(features.tokens, shown, tokens.mask, padded=batch.padded)
        target = without_level(patches_of(encoder, batch, tokens), encoder.samples_per_token)
        value, count = squared_error(guess, target, draws & tokens.mask)
        return Loss(
            value=value,
            count=count,
            terms={"error_mv2": value.detach() / count.clamp_min(1)},
            pooled=features.pooled.detach(),
        )
