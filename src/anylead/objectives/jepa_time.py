"""ECG-JEPA of Weimann & Conrad: latents of hidden times are predicted from a few shown runs."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.teacher import Teacher
from anylead.nn.token_predictor import TokenPredictor
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_times, longest_share, shown_places
from anylead.objectives.latent_targets import linear_decay, token_error


@dataclass(frozen=True, kw_only=True)
class JEPATimeConfig:
    """Configuration of `JEPATime`."""

    kind: Literal["jepa_time"] = "jepa_time"
    hidden_share: float = 0.8
    """Of the times. At half, hidden runs can be interpolated from their neighbours and little is learnt."""
    span: int = 10
    """Tokens a hidden run, at least."""
    predictor_width: int = 192
    predictor_layers: int = 8
    predictor_heads: int = 6
    decay_start: float = 0.998
    """Of the teacher; it rises linearly to `decay_end`."""
    decay_end: float = 0.9995


class JEPATime(Objective):
    """Predicts what a slow copy of the encoder, which sees everything, makes of the hidden times.

    Source: Weimann & Conrad 2024 (arXiv 2410.13867); PEERS §2.4. Only shown tokens go through the encoder.
    """

    def __init__(self, config: JEPATimeConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.teacher = Teacher(encoder)
        self.predictor = TokenPredictor(
            encoder.dimension,
            encoder.dimension,
            width=config.predictor_width,
            layers=config.predictor_layers,
            heads=config.predictor_heads,
        )

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Bool[Tensor, "B T"]:
        """Draws the hidden times."""
        share, span = self.config.hidden_share, self.config.span
        return draw_hidden_times(encoder, batch, key.of("hidden"), share=share, span=span)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: Bool[Tensor, "B T"], progress: Progress) -> Loss:
        """Returns the absolute error, a mean over D and summed over hidden tokens."""
        tokens = encoder.tokenize(batch)
        number = tokens.mask.shape[1]
        frames = tokens.frames or number
        hidden = longest_share(frames, self.config.hidden_share) * (number // frames)
        shown = shown_places(tokens.mask, draws, number - hidden)
        features = encoder.contextualize(tokens, padded=batch.padded, shown=shown)
        guess = self.predictor(features.tokens, shown, tokens.mask, padded=batch.padded)
        with torch.no_grad():
            target = self.teacher.network(batch).tokens
        value, count = token_error(guess, target, draws & tokens.mask, smooth_below=0.0)
        return Loss(
            value=value,
            count=count,
            terms={"error": value.detach() / count.clamp_min(1)},
            pooled=features.pooled.detach(),
        )

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Lets the teacher follow."""
        decay = linear_decay(self.config.decay_start, self.config.decay_end, progress.fraction)
        self.teacher.follow(encoder, decay)
