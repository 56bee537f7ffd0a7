"""Identity whose gradient is scaled."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.scale, None


def scale_gradient(x: Float[Tensor, "*s"], scale: float) -> Float[Tensor, "*s"]:
    """Returns `x`; its gradient is multiplied by `scale`, and cut where `scale` is 0.

    Source: METHOD §3.1, ``feature_grad_mult``.
    """
    if scale == 1.0:
        return x
    if scale == 0.0:
        return x.detach()
    return _ScaleGradient.apply(x, scale)  # type: ignore[no-untyped-call,no-any-return]
