"""fit: a generator of optimizer updates. The caller iterates, logs, saves and stops."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anylead.batch import Batch
from anylead.encoders.base import device_of
from anylead.engine.distributed import Processes
from anylead.engine.schedules import Schedule
from anylead.engine.state import TrainState
from anylead.errors import ConfigError, InputError, TrainingError
from anylead.nn.across import Across
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.spread import deviation, effective_rank
from anylead.objectives.base import Objective
from anylead.seeding import derive_seed

_log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]
"""``bfloat16`` multiplies matrices in it and keeps weights, sums and losses in float32 (autocast)."""
Share = Literal["micro_batches", "pairs"]
"""What the processes share out: whole micro-batches, or the pairs of each."""


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


@dataclass(frozen=True, kw_only=True)
class _How:
    """How an update is made."""

    schedule: Schedule
    clip_norm: float | None
    precision: Precision
    compiled: bool
    processes: Processes
    share: Share


def fit(
    state: TrainState,
    batches: Callable[[int], Sequence[Batch]],
    *,
    total_steps: int,
    schedule: Schedule,
    clip_norm: float | None = None,
    precision: Precision = "float32",
    compiled: bool = False,
    processes: Processes | None = None,
    share: Share = "micro_batches",
) -> Iterator[StepResult]:
    """Trains from `state.step` to `total_steps`, one update per item taken.

    Every random number is a function of the seed, the step and its place in the step: draws of the
    objective by `DrawKey`, dropout by reseeding torch's global generator for each micro-batch. A run
    that is stopped, saved and resumed is therefore bit-equal to one that was not.

    Several processes give what one process gives with all their batches, up to the order in which sums are
    taken (and, with ``share="pairs"``, up to dropout, whose masks are drawn for each part).

    Args:
        state: Changed in place; its `step` counts updates done.
        batches: Gives this process' micro-batches of a step, whose gradients are summed.
        total_steps: Updates of the whole run.
        schedule: Learning rate as a share of each parameter group's ``initial_lr``.
        clip_norm: Largest norm of the gradient over all parameters; None does not clip.
        precision: Of the matrix products.
        compiled: Let torch.compile fuse the steps of the loss; where it cannot, a warning says why and the
            loss is computed as it stands.
        processes: This process among the others; None is alone. All give equally many micro-batches.
        share: Whether the other processes have other micro-batches, as in the paper's code, or other pairs of
            the same ones, whose losses are then computed over all processes.

    Returns:
        An iterator; an update happens when its item is asked for.

    Raises:
        ConfigError: If no parameter requires a gradient.
        InputError: If a step has no micro-batch.

    Source: METHOD §3.9 (the update: summed gradients over summed counts).
    """
    if not any(p.requires_grad for group in state.optimizer.param_groups for p in group["params"]):
        raise ConfigError("fit: every parameter is frozen; unfreeze the encoder or train a head.")
    how = _How(
        schedule=schedule,
        clip_norm=clip_norm,
        precision=precision,
        compiled=compiled,
        processes=processes or Processes(),
        share=share,
    )
    return _updates(state, batches, total_steps, how)


class _LossOf(nn.Module):
    """The loss of a micro-batch as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, state: TrainState, precision: Precision) -> None:
        super().__init__()
        self.encoder = state.encoder
        self.objective = state.objective
        self.precision = precision

    def forward(
        self, batch: Batch, draws: Any, progress: Progress
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Returns value, count and terms of the loss."""
        device = device_of(self.encoder).type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss = self.objective.loss(self.encoder, batch, draws=draws, progress=progress)
        terms = dict(loss.terms)
        if loss.pooled is not None:
            across = self.objective.across if isinstance(self.objective, Objective) else Across()
            pooled = across.rows(loss.pooled)
            terms |= {"effective_rank": effective_rank(pooled), "embedding_deviation": deviation(pooled)}
        return loss.value, _scalar(loss.count, loss.value), terms


def _compiled(model: nn.Module) -> nn.Module:
    """Returns the module behind torch.compile, which is only found out to work when it is first called.

    On a GPU the shapes of a run being fixed, its kernels are replayed as CUDA graphs.
    """
    on_gpu = next(model.parameters()).is_cuda
    mode = "reduce-overhead" if on_gpu else None
    return _OrPlain(torch.compile(model, dynamic=False, mode=mode), model)


class _OrPlain(nn.Module):
    """Calls the compiled module, or the plain one from its first failure on."""

    def __init__(self, compiled: Callable[..., Any], plain: nn.Module) -> None:
        super().__init__()
        self.plain = plain
        self._compiled = [compiled]  # in a list, for its parameters are those of `plain`

    def forward(self, *inputs: Any) -> Any:
        if self._compiled:
            try:
                return self._compiled[0](*inputs)
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = str(error).strip().splitlines()[0][:160]
                _log.warning("torch.compile does not work here (%s); the run goes on without it.", reason)
                self._compiled.clear()
        return self.plain(*inputs)


def _updates(
    state: TrainState, batches: Callable[[int], Sequence[Batch]], total_steps: int, how: _How
) -> Iterator[StepResult]:
    processes = how.processes
    if isinstance(state.objective, Objective):
        everyone = Across(rank=processes.rank, world_size=processes.world_size)
        state.objective.across = everyone if how.share == "pairs" else Across()
        state.objective.everyone = everyone
    model: nn.Module = _LossOf(state, how.precision)
    if how.compiled:
        model = _compiled(model)
    if processes.world_size > 1:
        model = DistributedDataParallel(
            model,
            gradient_as_bucket_view=True,
            # Otherwise it takes every weight that is not frozen for one that gets a gradient.
            find_unused_parameters=_has_idle_weights(state),
        )
    while state.step < total_steps:
        micro_batches = batches(state.step)
        if not micro_batches:
            raise InputError(f"step {state.step}: the feed gave no batch; give at least one per step.")
        # Every time, because the caller may have evaluated in between; a frozen encoder drops nothing out.
        state.encoder.train(any(p.requires_grad for p in state.encoder.parameters()))
        state.objective.train()
        progress = Progress(step=state.step, total_steps=total_steps)
        last = len(micro_batches) - 1
        losses = []
        for index, batch in enumerate(micro_batches):
            # The gradients of all micro-batches travel together, with those of the last.
            with _holding_back(model, index < last):
                losses.append(_backward(state, model, batch, index, len(micro_batches), progress, how))
        value, total, terms = _totals(losses, processes)
        _divide_gradients(state, torch.where(total > 0, total, torch.ones_like(total)), how)
        rate = _set_learning_rate(state, how.schedule, total_steps)
        state.optimizer.step()
        for module in (state.encoder, state.objective):
            module.zero_grad(set_to_none=True)
        state.step += 1
        state.objective.after_step(state.encoder, Progress(step=state.step, total_steps=total_steps))
        yield StepResult(
            step=state.step,
            loss=value / total,
            terms=terms,
            count=total,
            learning_rate=rate,
            segments=sum(len(batch) for batch in micro_batches) * processes.world_size,
        )


def _has_idle_weights(state: TrainState) -> bool:
    """Whether some weights get no gradient in some updates though they are not frozen."""
    encoder_config = getattr(state.encoder, "config", None)
    idle_front_end = getattr(encoder_config, "feature_gradient_scale", 1.0) == 0.0
    objective = state.objective
    return idle_front_end or (isinstance(objective, Objective) and objective.leaves_weights_idle)


def _holding_back(model: nn.Module, held_back: bool) -> AbstractContextManager[None]:
    if held_back and isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return nullcontext()


def _backward(
    state: TrainState,
    model: nn.Module,
    batch: Batch,
    index: int,
    micro_batches: int,
    progress: Progress,
    how: _How,
) -> Loss:
    batch = batch.to(device_of(state.encoder), non_blocking=True)
    torch.manual_seed(derive_seed(state.seed, "dropout", state.step, *_place(index, micro_batches, how)))
    key = DrawKey(seed=state.seed, step=state.step)
    draws = state.objective.draw(state.encoder, batch, key, progress)
    value, count, terms = model(batch, draws, progress)
    value.backward()
    return Loss(value=value.detach(), count=count, terms=terms)


def _place(index: int, micro_batches: int, how: _How) -> tuple[int, ...]:
    """Returns the number of a micro-batch in the step, and of its part where it has several."""
    if how.share == "micro_batches":
        return (how.processes.rank * micro_batches + index,)
    return (index, how.processes.rank) if how.processes.rank else (index,)


def _scalar(number: Tensor | float, like: Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return number.detach().to(like.dtype)
    return torch.full((), float(number), dtype=like.dtype, device=like.device)


def _totals(losses: Sequence[Loss], processes: Processes) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Returns the summed loss, its count and the means of the terms, of all micro-batches and processes."""
    values = torch.stack([loss.value for loss in losses])
    counts = torch.stack([_scalar(loss.count, loss.value) for loss in losses])
    if processes.world_size == 1:
        return values.sum(), counts.sum(), _weighted_terms(losses, counts)
    names = list(losses[0].terms)
    weighted = [
        torch.stack([loss.terms[name].detach().to(counts.dtype) * count for name in names])
        for loss, count in zip(losses, counts, strict=True)
    ]
    sums = torch.cat([values.sum()[None], counts.sum()[None], torch.stack(weighted).sum(dim=0)])
    whole = processes.sum(sums)
    return whole[0], whole[1], dict(zip(names, whole[2:] / whole[1], strict=True))


def _trained(state: TrainState) -> list[nn.Parameter]:
    return [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]


def _divide_gradients(state: TrainState, total: Tensor, how: _How) -> None:
    parameters = _trained(state)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    # DistributedDataParallel has taken the mean over processes; the sum is wanted.
    torch._foreach_div_(gradients, total / how.processes.world_size)
    if how.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, how.clip_norm, foreach=True)


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
