"""Learning-rate schedules: functions of how far a run is, with no state of their own."""

import math
from dataclasses import dataclass
from typing import Literal

from anylead.errors import ConfigError


def _check_fractions(where: str, **fractions: float) -> None:
    for name, value in fractions.items():
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"{where}: {name} is {value}; give a share of the run from 0 to 1.")
    if sum(fractions.values()) > 1.0 + 1e-9:
        raise ConfigError(
            f"{where}: {' + '.join(fractions)} is {sum(fractions.values()):g}; together 1 at most."
        )


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same learning rate all along. Source: METHOD §3.9 (pre-training)."""

    kind: Literal["constant"] = "constant"

    def learning_rate(self, step: int, total_steps: int, *, peak: float = 1.0) -> float:
        """Returns the learning rate of the update after `step` updates of `total_steps`."""
        return peak


@dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """A linear rise, then half a cosine down to `final_factor` of the peak."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_fraction: float = 0.1
    """Share of the run during which the rate rises; its first update already has a rate above 0."""
    final_factor: float = 0.0
    """Share of the peak that is left at the end."""

    def __post_init__(self) -> None:
        _check_fractions("warmup_cosine schedule", warmup_fraction=self.warmup_fraction)

    def learning_rate(self, step: int, total_steps: int, *, peak: float = 1.0) -> float:
        """Returns the learning rate of the update after `step` updates of `total_steps`."""
        warmup = round(self.warmup_fraction * total_steps)
        if step < warmup:
            return peak * (step + 1) / warmup
        fraction = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        cosine = 0.5 * (1.0 + math.cos(math.pi * fraction))
        return peak * (self.final_factor + (1.0 - self.final_factor) * cosine)


@dataclass(frozen=True, kw_only=True)
class TriStage:
    """A linear rise, a hold at the peak, an exponential decay over `decay_fraction`, then the final rate.

    Source: METHOD §6.2 (identification): 1 % to 100 % in the first 10 %, held for 20 %, decayed to 1 %
    over 70 %, ``peak * exp(ln(final_factor) * k / decay_steps)``.
    """

    kind: Literal["tri_stage"] = "tri_stage"
    warmup_fraction: float = 0.1
    hold_fraction: float = 0.2
    decay_fraction: float = 0.7
    initial_factor: float = 0.01
    """Share of the peak at the first update."""
    final_factor: float = 0.01
    """Share of the peak at the end."""

    def __post_init__(self) -> None:
        _check_fractions(
            "tri_stage schedule",
            warmup_fraction=self.warmup_fraction,
            hold_fraction=self.hold_fraction,
            decay_fraction=self.decay_fraction,
        )
        if self.final_factor <= 0.0:
            raise ConfigError(f"tri_stage schedule: final_factor is {self.final_factor}; give one above 0.")

    def learning_rate(self, step: int, total_steps: int, *, peak: float = 1.0) -> float:
        """Returns the learning rate of the update after `step` updates of `total_steps`."""
        warmup = round(self.warmup_fraction * total_steps)
        hold = round(self.hold_fraction * total_steps)
        decay = round(self.decay_fraction * total_steps)
        if step < warmup:
            return peak * (self.initial_factor + (1.0 - self.initial_factor) * step / warmup)
        if step < warmup + hold:
            return peak
        done = min(step - warmup - hold, decay)
        if done == decay:  # also where nothing decays because the decay takes no step
            return peak * self.final_factor
        return peak * math.exp(math.log(self.final_factor) * done / decay)


Schedule = Constant | WarmupCosine | TriStage
"""Every schedule there is."""
