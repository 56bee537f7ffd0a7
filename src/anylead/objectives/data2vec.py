"""data2vec: hidden tokens are guessed as what a slow copy of the encoder has in its last layers."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.teacher import Teacher
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_times
from anylead.objectives.latent_targets import last_layers, linear_decay, token_error


@dataclass(frozen=True, kw_only=True)
class Data2VecConfig:
    """Configuration of `Data2Vec`; the defaults are those of the method's speech models."""

    kind: Literal["data2vec"] = "data2vec"
    hidden_share: float = 0.49
    """Of the times: 6.5 % of them starting spans of 10 come to this."""
    span: int = 10
    target_layers: int = 8
    """Layers of the teacher that are averaged, from the last one; all where there are fewer."""
    smooth_below: float = 0.0
    """0 takes the squared error; above, the error is absolute beyond this difference."""
    decay_start: float = 0.999
    """Of the teacher; it rises linearly to `decay_end` in the first part of the run."""
    decay_end: float = 0.9999
    decay_fraction: float = 0.075
    """Share of the run after which the decay stays."""


class Data2Vec(Objective):
    """Regresses the mean of a teacher's last layers where tokens are hidden.

    Source: Baevski et al. 2022 (arXiv 2202.03555); PEERS §2.15.
    """

    def __init__(self, config: Data2VecConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.hidden_embedding = nn.Parameter(torch.rand(encoder.dimension))
        self.guess = nn.Linear(encoder.dimension, encoder.dimension)
        self.teacher = Teacher(encoder)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> torch.Tensor:
        """Draws the hidden times."""
        share, span = self.config.hidden_share, self.config.span
        return draw_hidden_times(encoder, batch, key.of("hidden"), share=share, span=span)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: torch.Tensor, progress: Progress) -> Loss:
        """Returns the error, a mean over D and summed over hidden tokens."""
        tokens = encoder.tokenize(batch)
        features = encoder.contextualize(
            tokens, padded=batch.padded, hidden=draws, hidden_embedding=self.hidden_embedding
        )
        target = last_layers(self.teacher.network, batch, self.config.target_layers)
        guess = self.guess(features.tokens)
        counted = draws & tokens.mask
        if self.config.smooth_below:
            value, count = token_error(guess, target, counted, smooth_below=self.config.smooth_below)
        else:
            squares = (guess.to(target.dtype) - target).square().mean(dim=-1)
            value, count = torch.where(counted, squares, 0.0).sum(), counted.sum().to(squares.dtype)
        return Loss(
            value=value,
            count=count,
            terms={"error": value.detach() / count.clamp_min(1)},
            pooled=features.pooled.detach(),
        )

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Lets the teacher follow."""
        fraction = min(1.0, progress.fraction / self.config.decay_fraction)
        self.teacher.follow(encoder, linear_decay(self.config.decay_start, self.config.decay_end, fraction))
