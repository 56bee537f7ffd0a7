"""CPC: the context of what has been finds what comes some steps later."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.masked_contrast import draw_negatives


@dataclass(frozen=True, kw_only=True)
class CPCConfig:
    """Configuration of `CPC`; needs a causal encoder, such as ``s4`` with ``encoder.causal``."""

    kind: Literal["cpc"] = "cpc"
    steps_ahead: int = 12
    """Tokens from the context to what is predicted."""
    negatives: int = 128
    """Of the same segment."""
    normalize: bool = True
    """Compare by cosine over `temperature`; False takes the plain product, as the published code."""
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.steps_ahead < 1 or self.negatives < 1 or self.temperature <= 0.0:
            raise ConfigError(
                f"cpc: got steps_ahead {self.steps_ahead}, negatives {self.negatives} and temperature "
                f"{self.temperature:g}; give at least 1 of the first two and a temperature above 0."
            )


def future_loss(
    guess: Float[Tensor, "B M C"],
    future: Float[Tensor, "B M C"],
    negatives: Int64[Tensor, "B M K"],
    valid: Bool[Tensor, "B M"],
    *,
    normalize: bool,
    temperature: float,
) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Returns the summed cross-entropy of each guess finding its future among others of the segment.

    All products of a segment come from one M x M matrix, of which the negatives are picked.

    Args:
        guess: Predictions.
        future: What they are of, in the same places.
        negatives: Other places of the row.
        valid: Places that exist.
        normalize: Compare by cosine over `temperature`.
        temperature: Divides cosines.

    Returns:
        The loss, and the number of guesses nearest to their own future.
    """
    wide = torch.float64 if guess.dtype == torch.float64 else torch.float32
    guess, future = guess.to(wide), future.to(wide)
    if normalize:
        guess, future = F.normalize(guess, dim=-1) / temperature, F.normalize(future, dim=-1)
    products = torch.bmm(guess, future.mT)
    own = products.diagonal(dim1=1, dim2=2).unsqueeze(-1)
    logits = torch.cat([own, products.gather(2, negatives)], dim=-1)
    entropy = -F.log_softmax(logits, dim=-1)[..., 0]
    right = (logits.argmax(dim=-1) == 0) & valid
    return torch.where(valid, entropy, 0.0).sum(), right.sum().detach()


class CPC(Objective):
    """Predicts the front end's token some steps ahead from the context so far.

    Source: van den Oord et al. 2018 (arXiv 1807.03748); Mehari & Strodthoff 2022 (arXiv 2103.12676) and PEERS
    §2.11 for ECGs: one bias-free head for exactly one distance. Deviations: cosine with a temperature by
    default; leads are hidden before the encoder by the feed.
    """

    def __init__(self, config: CPCConfig, encoder: Encoder) -> None:
        super().__init__()
        if not encoder.causal:
            raise ConfigError(
                "cpc: it predicts what comes later, and this encoder's contexts hold it already; use an "
                "encoder that sees the past only, such as s4 with causal true."
            )
        self.config = config
        width = encoder.dimension
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.ReLU(),
            nn.Linear(width, encoder.token_dimension, bias=False),
        )

    def draw(
        self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress
    ) -> Int64[Tensor, "B M K"]:
        """Draws the negatives among the tokens that are predicted."""
        valid = encoder.token_mask(batch)[:, self.config.steps_ahead :]
        return draw_negatives(key, batch.row, valid, number=self.config.negatives)

    def loss(
        self, encoder: Encoder, batch: Batch, *, draws: Int64[Tensor, "B M K"], progress: Progress
    ) -> Loss:
        """Returns the summed cross-entropy; its count is the number of predicted tokens."""
        config = self.config
        tokens = encoder.tokenize(batch)
        features = encoder.contextualize(tokens, padded=batch.padded)
        valid = tokens.mask[:, config.steps_ahead :]
        guess = self.head(features.tokens[:, : valid.shape[1]])
        value, right = future_loss(
            guess,
            tokens.values[:, config.steps_ahead :],
            draws,
            valid,
            normalize=config.normalize,
            temperature=config.temperature,
        )
        count = valid.sum()
        return Loss(
            value=value,
            count=count,
            terms={"contrast": value.detach() / count, "contrast_accuracy": right.to(value.dtype) / count},
            pooled=features.pooled.detach(),
        )
