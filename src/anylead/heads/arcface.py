"""Patient identification: an angular margin between persons while training, cosine similarity afterwards."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import InputError
from anylead.heads.base import Head, HeadConfig, input_width, pooled
from anylead.nn.loss import Loss, Progress


@dataclass(frozen=True, kw_only=True)
class ArcFaceConfig(HeadConfig):
    """Configuration of `ArcFaceHead`; `classes` are the persons trained on."""

    scale: float = 32.0
    """Multiplies the cosines; the paper's run had 192."""
    margin: float = 0.5
    """Added to the angle to the own person, in radians; the paper's run had 1.0."""


class ArcFaceHead(Head):
    """Unit embeddings, trained against one unit vector a person.

    Args:
        config: Persons, readout, scale and margin.
        encoder: Gives the width.

    Source: METHOD §6.2; Deng et al. 2019 (arXiv 1801.07698).
    """

    config: ArcFaceConfig

    def __init__(self, config: ArcFaceConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        width = input_width(encoder, config.readout)
        self.persons = nn.Parameter(F.normalize(torch.rand(len(config.classes), width) * 2 - 1, dim=1))

    def embed(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B E"]:
        """Returns unit embeddings."""
        features = pooled(encoder, batch, self.config.readout, padding_counts=True)
        return F.normalize(features, dim=1)

    def forward(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns the cosine to every person trained on."""
        return self.cosines(self.embed(encoder, batch))

    def cosines(self, embeddings: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Returns cosines of unit embeddings to every person, within [-1, 1]."""
        return (embeddings @ F.normalize(self.persons.to(embeddings.dtype), dim=1).T).clamp(-1, 1)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the summed cross-entropy with margin; its count is the number of segments.

        Raises:
            InputError: If the batch does not say who the persons are.
        """
        if batch.identity is None:
            raise InputError("identification head: the batch has no identities; train on known persons.")
        cosine = self(encoder, batch)
        value = arcface_loss(cosine, batch.identity, scale=self.config.scale, margin=self.config.margin)
        right = (cosine.argmax(dim=1) == batch.identity).sum()
        count = float(len(batch))
        terms = {"cross_entropy": value.detach() / count, "accuracy": right / count}
        return Loss(value=value, count=count, terms=terms)


def margin_logits(
    cosine: Float[Tensor, "B C"], identity: Int64[Tensor, "B"], *, scale: float, margin: float
) -> Float[Tensor, "B C"]:
    """Returns scaled cosines, with the margin added to the angle of the own person.

    Where the angle plus the margin would pass pi, the cosine is lowered by margin times sin(margin) instead.

    Source: METHOD §6.2.
    """
    own = cosine.gather(1, identity[:, None])
    # The slope of the square root is infinite where the cosine is exactly 1.
    sine = (1 - own.square()).clamp_min(1e-12).sqrt()
    added = own * math.cos(margin) - sine * math.sin(margin)
    lowered = own - margin * math.sin(margin)
    moved = torch.where(own > math.cos(math.pi - margin), added, lowered)
    return scale * cosine.scatter(1, identity[:, None], moved)


def arcface_loss(
    cosine: Float[Tensor, "B C"], identity: Int64[Tensor, "B"], *, scale: float, margin: float
) -> Float[Tensor, ""]:
    """Returns the cross-entropy of `margin_logits`, summed over segments."""
    return F.cross_entropy(
        margin_logits(cosine, identity, scale=scale, margin=margin), identity, reduction="sum"
    )
