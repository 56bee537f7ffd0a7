"""Teacher: a copy of a network that follows it slowly and is never trained."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Teacher(nn.Module, Generic[M]):
    """An exponential moving average of a network's weights.

    Args:
        student: Copied as it is now.

    Source: Tarvainen & Valpola 2017 (arXiv 1703.01780).
    """

    def __init__(self, student: M) -> None:
        super().__init__()
        self.network: M = copy.deepcopy(student).requires_grad_(False)

    def train(self, mode: bool = True) -> "Teacher[M]":
        """Stays in evaluation mode: a target has no dropout."""
        del mode
        super().train(False)
        return self

    @torch.no_grad()
    def follow(self, student: M, decay: float) -> None:
        """Moves every weight to ``decay * own + (1 - decay) * student's``; buffers are taken over."""
        own: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = [p.detach() for p in student.parameters()]
        torch._foreach_lerp_(own, theirs, 1.0 - decay)
        for mine, other in zip(self.network.buffers(), student.buffers(), strict=True):
            mine.copy_(other)
