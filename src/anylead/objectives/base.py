"""Objective: everything that is thrown away after pre-training — heads, quantiser, loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is; schedules are functions of this alone."""

    step: int
    """Optimizer updates done."""
    total_steps: int

    @property
    def fraction(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return min(1.0, self.step / max(1, self.total_steps))


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """A summed loss and what it is a sum over."""

    value: Float[Tensor, ""]
    """Sum, not mean; the engine divides gradients by the counts of all micro-batches and processes."""
    count: Float[Tensor, ""] | float
    """Number of terms in the sum."""
    terms: Mapping[str, Float[Tensor, ""]]
    """What to log, detached; each a mean unless its name says otherwise."""


class Objective(nn.Module, ABC):
    """Base of every pre-training objective.

    Random draws are made by `draw` and consumed by `loss`, so that a computation can be replayed on
    given draws.
    """

    @abstractmethod
    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Any:
        """Makes every random draw of one micro-batch; each row's draws depend on the key and `batch.row` only."""

    @abstractmethod
    def loss(self, encoder: Encoder, batch: Batch, *, draws: Any, progress: Progress) -> Loss:
        """Returns the loss of one micro-batch."""

    def after_step(self, encoder: Encoder, progress: Progress) -> None:  # noqa: B027
        """Runs after each optimizer update: teachers, queues, codebooks."""
