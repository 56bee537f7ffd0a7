"""What an update costs, and how many of them a budget buys."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anylead.encoders import Encoder, build_encoder
from anylead.engine import TrainState, build_optimizer, fit
from anylead.engine.flops import counted_flops
from anylead.errors import ConfigError
from anylead.feed import PairFeed, PairFeedConfig
from anylead.objectives import build_objective
from anylead.seeding import derive_seed
from anylead.store import Store
from anylead.workflows.compare.grid import Budget
from anylead.workflows.pretrain import PretrainConfig

LOOKED_AT = (1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12)
"""Where in a run an update is counted: objectives of several stages do not cost the same in each."""
SUPERVISED_BATCH = 64
_TIMED = 5
_NOMINAL = 1000
"""Updates that the counted run is said to have."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one update, and of the run that a budget buys."""

    flops: float
    """Counted, a mean over the run."""
    segments: int
    seconds: float
    """Median of a few, where the budget is one of time; otherwise 0."""
    steps: int
    """Updates that the budget buys, rounded, at least 1."""

    @property
    def total_flops(self) -> float:
        """Of the run."""
        return self.flops * self.steps


def bought(budget: Budget, *, flops: float, segments: int, seconds: float) -> Cost:
    """Returns what a budget buys of updates that each cost so much."""
    if budget.tera_flops is not None:
        steps = budget.tera_flops * 1e12 / flops
    elif budget.segments is not None:
        steps = budget.segments / segments
    else:
        steps = 60.0 * float(budget.minutes or 0.0) / seconds
    return Cost(flops=flops, segments=segments, seconds=seconds, steps=max(1, round(steps)))


def cost_of_pretraining(config: PretrainConfig, stores: Sequence[Store], budget: Budget) -> Cost:
    """Counts and times some updates of a run, without keeping them.

    Raises:
        ConfigError: If the objective refuses the encoder, or the update does no countable operation.
    """
    encoder_config = config.encoder_config
    feed = PairFeed(
        stores,
        config.feed,
        seed=config.seed,
        leads=encoder_config.leads,
        augmentation=config.augmentation,
        lead_masking=config.lead_masking,
    )
    torch.manual_seed(derive_seed(config.seed, "weights", "encoder"))
    encoder = build_encoder(encoder_config)
    objective = build_objective(config.objective, encoder)
    state = TrainState(
        encoder=encoder,
        objective=objective,
        optimizer=build_optimizer(config.optimizer, encoder, objective),
        seed=config.seed,
    )
    updates = fit(state, feed.batches, total_steps=_NOMINAL, schedule=config.schedule)

    def at(share: float) -> Any:
        state.step = round(share * _NOMINAL)
        return next(updates)

    counts = [counted_flops(lambda share=share: at(share)) for share in LOOKED_AT]  # type: ignore[misc]
    flops = statistics.fmean(counts)
    if not flops:
        raise ConfigError("compare: an update does no countable operation; give the budget in segments.")
    return bought(
        budget,
        flops=flops,
        segments=2 * feed.pairs_per_step,
        seconds=_seconds(lambda: at(LOOKED_AT[-1])) if budget.minutes is not None else 0.0,
    )


def cost_of_supervision(encoder: Encoder, stores: Sequence[Store], window_s: float, budget: Budget) -> Cost:
    """Counts, and times, the forward and backward pass of a batch of windows; the head costs nothing beside.

    Raises:
        InputError: If no recording gives windows.
    """
    pairs = PairFeedConfig(window_s=window_s, pairs_per_batch=SUPERVISED_BATCH // 2)
    (batch,) = PairFeed(stores, pairs, seed=0, leads=encoder.leads).batches(0)

    def update() -> None:
        encoder(batch).pooled.sum().backward()

    return bought(
        budget,
        flops=counted_flops(update),
        segments=SUPERVISED_BATCH,
        seconds=_seconds(update) if budget.minutes is not None else 0.0,
    )


def _seconds(update: Callable[[], Any]) -> float:
    spent = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        update()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
