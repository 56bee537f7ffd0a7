"""What every classification head has in common: probabilities of several classes, each by itself."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import InputError
from anylead.heads.base import Head
from anylead.nn.loss import Loss, Progress


class ClassificationHead(Head):
    """Base of the heads that give one logit a class; a recording may have any number of classes."""

    @abstractmethod
    def forward(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns logits."""

    def probabilities(self, encoder: Encoder, batch: Batch) -> Float[Tensor, "B C"]:
        """Returns the probability of every class."""
        return torch.sigmoid(self(encoder, batch).float())

    def loss(self, encoder: Encoder, batch: Batch, *, draws: None, progress: Progress) -> Loss:
        """Returns the summed binary cross-entropy; its count is segments times classes.

        A target of NaN is unknown and does not count.

        Raises:
            InputError: If the batch has no targets.
        """
        if batch.target is None:
            raise InputError("classification head: the batch has no targets; train on labelled recordings.")
        return multilabel_loss(self(encoder, batch), batch.target)


def multilabel_loss(logits: Float[Tensor, "B C"], target: Float[Tensor, "B C"]) -> Loss:
    """Returns the binary cross-entropy summed over known targets. Source: METHOD §6.1."""
    known = ~target.isnan()
    wide = torch.where(known, logits if logits.dtype == torch.float64 else logits.float(), 0.0)
    aim = torch.where(known, target, 0.0).to(wide.dtype)
    entropy = F.binary_cross_entropy_with_logits(wide, aim, reduction="none")
    value = torch.where(known, entropy, 0.0).sum()
    count = known.sum()
    right = ((wide > 0) == (aim > 0.5)) & known
    terms = {
        "cross_entropy": value.detach() / count.clamp_min(1),
        "accuracy": right.sum() / count.clamp_min(1),
    }
    return Loss(value=value, count=count, terms=terms)
