"""Head: what turns an encoder into answers, and is released with it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Readout
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.pooling import POOLING_WIDTH, pool, reference_mean


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What every head is built from."""

    classes: tuple[str, ...]
    """Names of the outputs, in order."""
    readout: Readout = field(default_factory=Readout)
    """What it reads of the encoder."""


class Head(nn.Module, ABC):
    """Base of every head; trained by the engine through the signature of an objective."""

    config: HeadConfig

    @abstractmethod
    def forward(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns one row of outputs a segment."""

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> None:
        """Heads draw nothing."""

    @abstractmethod
    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the loss of one micro-batch."""

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Heads have nothing to do after an update."""


def input_width(encoder: Encoder, readout: Readout) -> int:
    """Returns the width of what a head reads."""
    return encoder.dimension * POOLING_WIDTH[readout.pooling]


def pooled(
    encoder: Encoder, batch: Batch, readout: Readout, *, padding_counts: bool = False
) -> Float[Tensor, "B E"]:
    """Encodes a batch and pools it as a head wants it.

    Args:
        encoder: The encoder.
        batch: Segments.
        readout: Layer and pooling.
        padding_counts: In reference mode, whether padding enters the mean (the reference's identification
            head; METHOD §6.2).
    """
    if not encoder.reference:
        return encoder.read(batch, readout)
    features = encoder(batch, layer=readout.layer)
    if readout.pooling != "mean":
        return pool(features.tokens, features.token_mask, readout.pooling)
    mask = features.token_mask | True if padding_counts else features.token_mask
    return reference_mean(features.tokens, mask)
