"""Objective: everything that is thrown away after pre-training — heads, quantiser, loss."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.across import ALONE, Across
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress


class Objective(nn.Module, ABC):
    """Base of every pre-training objective.

    Random draws are made by `draw` and consumed by `loss`, so that a computation can be replayed on
    given draws.
    """

    across: Across = ALONE
    """The processes that hold other parts of the same micro-batch: a loss that compares rows, or takes means
    over them, has to do so over all parts."""
    everyone: Across = ALONE
    """All processes of the run, whatever they share out: what `after_step` sums statistics over."""
    leaves_weights_idle: bool = False
    """Whether some weights get no gradient in some updates: several processes have to look for them."""

    @abstractmethod
    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Any:
        """Makes every random draw of a micro-batch; a row's depend on the key and its `batch.row` only."""

    @abstractmethod
    def loss(self, encoder: Encoder, batch: Batch, *, draws: Any, progress: Progress) -> Loss:
        """Returns the loss of one micro-batch."""

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Runs after each optimizer update: teachers, queues, codebooks."""
