"""What a loss is, and how far a run is: shared by objectives, heads and the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


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
    count: Tensor | float
    """Number of terms in the sum."""
    terms: Mapping[str, Tensor]
    """What to log, detached; each a mean unless its name says otherwise."""
    pooled: Tensor | None = None
    """What the encoder makes of each row, (B, D), detached: whether it collapses is logged in every run."""
