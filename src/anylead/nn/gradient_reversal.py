"""Identity whose gradient is turned round: what comes before it climbs the loss descended after it."""

from jaxtyping import Float
from torch import Tensor

from anylead.nn.gradient_scale import scale_gradient


def reverse_gradient(x: Float[Tensor, "*s"], scale: float = 1.0) -> Float[Tensor, "*s"]:
    """Returns `x`; its gradient is multiplied by ``-scale``, and cut where `scale` is 0.

    Two players of one loss then learn from one backward pass and one optimizer step.

    Args:
        x: What one player gives the other.
        scale: Not negative.

    Source: Ganin & Lempitsky 2015 (arXiv 1409.7495), §3.2.
    """
    return scale_gradient(x, -scale)
