"""ECG-JEPA of Kim: latents of hidden times are predicted for every lead by itself."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.teacher import Teacher
from anylead.nn.token_predictor import TokenPredictor
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_times, fold_leads, longest_share, places_by_lead
from anylead.objectives.latent_targets import linear_decay, token_error


@dataclass(frozen=True, kw_only=True)
class JEPAGridConfig:
    """Configuration of `JEPAGrid`; meant for cross-pattern attention."""

    kind: Literal["jepa_grid"] = "jepa_grid"
    hidden_share: float = 0.65
    """Of the times, the same in all leads."""
    span: int = 1
    """Tokens a hidden run: 1 hides single times, about a fifth of the segment hides blocks."""
    predictor_width: int = 384
    predictor_layers: int = 6
    predictor_heads: int = 12
    decay_start: float = 0.996
    """Of the teacher; it rises linearly to `decay_end`."""
    decay_end: float = 1.0


class JEPAGrid(Objective):
    """Predicts what a slow copy of the encoder makes of hidden times, lead by lead.

    Source: Kim 2024 (arXiv 2410.08559); PEERS §2.5. Only shown tokens go through the encoder.
    """

    def __init__(self, config: JEPAGridConfig, encoder: Encoder) -> None:
        super().__init__()
        if not encoder.has_lead_tokens:
            raise ConfigError(
                "jepa_grid: it predicts tokens of single leads, and the encoder fuses all leads in its "
                "tokens; use lead_time_transformer, or jepa_time with this encoder."
            )
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
        """Returns the smooth absolute error, a mean over D and summed over hidden tokens."""
        tokens = encoder.tokenize(batch)
        rows, number = tokens.mask.shape
        frames = tokens.frames or number
        leads = number // frames
        shown = places_by_lead(
            draws, tokens.mask, leads * (frames - longest_share(frames, self.config.hidden_share))
        )
        features = encoder.contextualize(tokens, padded=batch.padded, shown=shown)
        folded = features.tokens.reshape(rows * leads, -1, encoder.dimension)
        alone = tokens.mask.reshape(rows * leads, frames)
        guess = self.predictor(folded, fold_leads(shown, leads, frames), alone, padded=False)
        with torch.no_grad():
            whole = self.teacher.network(batch).tokens
            target = F.layer_norm(whole, whole.shape[-1:])
        counted = draws & tokens.mask
        value, count = token_error(guess.reshape(rows, number, -1), target, counted, smooth_below=1.0)
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
