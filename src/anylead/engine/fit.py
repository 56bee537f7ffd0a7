"""fit: a generator of optimizer updates. The caller iterates, logs, saves and stops."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import device_of
from anylead.engine.schedules import Schedule
from anylead.engine.state import TrainState
from anylead.errors import ConfigError, InputError, TrainingError
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.seeding import derive_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class StepResult:
    """One update. Its tensors stay on the device until someone calls `floats`."""

    step: int
    """Updates done, this one included."""
    loss: Float[Tensor, ""]
    """Sum of the losses of all micro-batches over the sum of their counts."""
    terms: Mapping[str, Float[Tensor, ""]]
    """Means over micro-batches, weighted by their counts."""
    count: Float[Tensor, ""]
    learning_rate: float
    segments: int
    """Segments in all micro-batches."""

    def floats(self) -> dict[str, float]:
        """Reads every number back, in one transfer: ``loss``, the terms, ``count``, ``learning_rate``.

        Raises:
            TrainingError: If the loss is not finite.
        """
        names = ["loss", *self.terms, "count"]
        tensors = [self.loss, *self.terms.values(), self.count]
        numbers = dict(zip(names, torch.stack([t.float() for t in tensors]).tolist(), strict=True))
        if not math.isfinite(numbers["loss"]):
            told = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
            raise TrainingError(
                f"step {self.step}: the loss is not finite ({told}; learning rate {self.learning_rate:g}); "
                "lower the learning rate or lengthen the warm-up."
            )
        return numbers | {"learning_rate": self.learning_rate}


def fit(
    state: TrainState,
    batches: Callable[[int], Sequence[Batch]],
    *,
    total_steps: int,
    schedule: Schedule,
    clip_norm: float | None = None,
) -> Iterator[StepResult]:
    """Trains from `state.step` to `total_steps`, one update per item taken.

    Every random number is a function of the seed, the step and its place in the step: draws of the
    objective by `DrawKey`, dropout by reseeding torch's global generator for each micro-batch. A run
    that is stopped, saved and resumed is therefore bit-equal to one that was not.

    Args:
        state: Changed in place; its `step` counts updates done.
        batches: Gives the micro-batches of a step, whose gradients are summed.
        total_steps: Updates of the whole run.
        schedule: Learning rate as a share of each parameter group's ``initial_lr``.
        clip_norm: Largest norm of the gradient over all parameters; None does not clip.

    Returns:
        An iterator; an update happens when its item is asked for.

    Raises:
        ConfigError: If no parameter requires a gradient.
        InputError: If a step has no micro-batch.

    Source: METHOD §3.9 (the update: summed gradients over summed counts).
    """
    if not any(p.requires_grad for group in state.optimizer.param_groups for p in group["params"]):
        raise ConfigError("fit: every parameter is frozen; unfreeze the encoder or train a head.")
    return _updates(state, batches, total_steps=total_steps, schedule=schedule, clip_norm=clip_norm)


def _updates(
    state: TrainState,
    batches: Callable[[int], Sequence[Batch]],
    *,
    total_steps: int,
    schedule: Schedule,
    clip_norm: float | None,
) -> Iterator[StepResult]:
    while state.step < total_steps:
        micro_batches = batches(state.step)
        if not micro_batches:
            raise InputError(f"step {state.step}: the feed gave no batch; give at least one per step.")
        # Every time, because the caller may have evaluated in between; a frozen encoder drops nothing out.
        state.encoder.train(any(p.requires_grad for p in state.encoder.parameters()))
        state.objective.train()
        losses = [
            _backward(state, batch, index, Progress(step=state.step, total_steps=total_steps))
            for index, batch in enumerate(micro_batches)
        ]
        counts = torch.stack([_scalar(loss.count, loss.value) for loss in losses])
        total = counts.sum()
        _divide_gradients(state, torch.where(total > 0, total, torch.ones_like(total)), clip_norm)
        rate = _set_learning_rate(state, schedule, total_steps)
        state.optimizer.step()
        for module in (state.encoder, state.objective):
            module.zero_grad(set_to_none=True)
        state.step += 1
        state.objective.after_step(state.encoder, Progress(step=state.step, total_steps=total_steps))
        yield StepResult(
            step=state.step,
            loss=torch.stack([loss.value.detach() for loss in losses]).sum() / total,
            terms=_weighted_terms(losses, counts),
            count=total,
            learning_rate=rate,
            segments=sum(len(batch) for batch in micro_batches),
        )


def _backward(state: TrainState, batch: Batch, index: int, progress: Progress) -> Loss:
    batch = batch.to(device_of(state.encoder), non_blocking=True)
    torch.manual_seed(derive_seed(state.seed, "dropout", state.step, index))
    key = DrawKey(seed=state.seed, step=state.step)
    draws = state.objective.draw(state.encoder, batch, key, progress)
    loss = state.objective.loss(state.encoder, batch, draws=draws, progress=progress)
    loss.value.backward()  # type: ignore[no-untyped-call]
    return Loss(value=loss.value.detach(), count=loss.count, terms=loss.terms)


def _scalar(number: Tensor | float, like: Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return number.detach().to(like.dtype)
    return torch.full((), float(number), dtype=like.dtype, device=like.device)


def _trained(state: TrainState) -> list[nn.Parameter]:
    return [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]


def _divide_gradients(state: TrainState, total: Tensor, clip_norm: float | None) -> None:
    parameters = _trained(state)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    torch._foreach_div_(gradients, total)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, clip_norm, foreach=True)


def _set_learning_rate(state: TrainState, schedule: Schedule, total_steps: int) -> float:
    """Sets every group's rate; returns the largest."""
    for group in state.optimizer.param_groups:
        peak = group.setdefault("initial_lr", group["lr"])
        group["lr"] = schedule.learning_rate(state.step, total_steps, peak=peak)
    return float(max(group["lr"] for group in state.optimizer.param_groups))


def _weighted_terms(losses: Sequence[Loss], counts: Float[Tensor, "M"]) -> dict[str, Tensor]:
    if len(losses) == 1:
        return {name: term.detach() for name, term in losses[0].terms.items()}
    weights = counts / counts.sum()
    return {
        name: (torch.stack([loss.terms[name].detach() for loss in losses]) * weights).sum()
        for name in losses[0].terms
    }
