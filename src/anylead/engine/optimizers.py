"""AdamW, with epsilon where torch has it or where the reference code has it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from anylead.encoders.base import Encoder
from anylead.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """AdamW as the paper sets it, but for where epsilon stands.

    Source: METHOD §3.9. Deviation: the paper's code adds epsilon before the bias correction, which makes
    the first updates of parameters with gradients below 1e-5 smaller; ask for it with
    ``epsilon_placement="before_bias_correction"``.
    """

    learning_rate: float = 5e-5
    """Peak; the schedule multiplies it."""
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    """Decoupled: each update multiplies a weight by ``1 - learning_rate * weight_decay``."""
    weight_decay_on: Literal["all", "matrices"] = "all"
    """``all`` is the paper's; ``matrices`` exempts parameters of one axis (biases, norms)."""
    epsilon_placement: Literal["bias_corrected", "before_bias_correction"] = "bias_corrected"
    """``bias_corrected`` is torch's AdamW, ``before_bias_correction`` the reference code's."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0.0:
            raise ConfigError(f"optimizer: learning_rate is {self.learning_rate}; give a number above 0.")
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ConfigError(f"optimizer: betas are {self.betas}; each must be at least 0 and below 1.")
        if not self.epsilon > 0.0 or self.weight_decay < 0.0:
            raise ConfigError(
                f"optimizer: epsilon is {self.epsilon} and weight_decay {self.weight_decay}; "
                "epsilon must be above 0 and weight_decay not negative."
            )


class ReferenceAdamW(Optimizer):
    """AdamW with epsilon added before the bias correction.

    In update k: ``p <- p (1 - lr wd)``, ``m <- b1 m + (1 - b1) g``, ``v <- b2 v + (1 - b2) g²``,
    ``p <- p - lr sqrt(1 - b2^k) / (1 - b1^k) * m / (sqrt(v) + eps)``.

    Source: METHOD §3.9. Runs on lists of tensors, without reading any value back from the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            # A parameter without a gradient is left out of an update, so counts may differ.
            by_count: dict[int, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                    state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["step"] += 1
                by_count[state["step"]].append(parameter)
            for count, parameters in by_count.items():
                self._update(parameters, count, group)
        return loss

    def _update(self, parameters: list[Tensor], count: int, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        first = [self.state[p]["exp_avg"] for p in parameters]
        second = [self.state[p]["exp_avg_sq"] for p in parameters]
        torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_mul_(first, beta1)
        torch._foreach_add_(first, gradients, alpha=1.0 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, value=1.0 - beta2)
        denominator = torch._foreach_sqrt(second)
        torch._foreach_add_(denominator, group["eps"])
        size = group["lr"] * (1.0 - beta2**count) ** 0.5 / (1.0 - beta1**count)
        torch._foreach_addcdiv_(parameters, first, denominator, value=-size)


def layer_rates(
    encoder: Encoder, *, decay: float, read_layer: int | None = None
) -> dict[nn.Parameter, float]:
    """Returns each parameter's share of the learning rate: the further from the head, the less.

    A parameter of context layer l has ``decay ** (L - l)``, where L is the layer that is read; the front end
    counts as layer 0. A head, which is not named here, has the whole rate.

    Args:
        encoder: Its context layers are its ``blocks``.
        decay: 1 gives every parameter the whole rate.
        read_layer: L; None is the last layer.

    Source: Howard & Ruder 2018 (arXiv 1801.06146, §3.2), per layer as in BEiT (arXiv 2106.08254).
    """
    last = encoder.layers if read_layer is None else read_layer
    shares = {}
    for name, parameter in encoder.named_parameters():
        parts = name.split(".")
        layer = int(parts[1]) + 1 if parts[0] == "blocks" else 0
        # What lies behind the layer that is read has no gradient.
        shares[parameter] = decay ** max(0, last - layer)
    return shares


def build_optimizer(
    config: AdamWConfig, *modules: nn.Module, rates: Mapping[nn.Parameter, float] | None = None
) -> Optimizer:
    """Returns an optimizer over every parameter of the modules that requires a gradient.

    Each group keeps its peak learning rate as ``initial_lr``, which the schedule multiplies.

    Args:
        config: Configuration.
        modules: What is trained.
        rates: Share of the learning rate by parameter, see `layer_rates`; 1 for those it does not name.

    Raises:
        ConfigError: If no parameter requires a gradient.
    """
    every = [p for module in modules for p in module.parameters() if p.requires_grad]
    parameters = list({id(p): p for p in every}.values())
    if not parameters:
        raise ConfigError("optimizer: every parameter is frozen; unfreeze the encoder or train a head.")
    alike: dict[tuple[bool, float], list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        exempt = config.weight_decay_on == "matrices" and parameter.ndim <= 1
        alike[exempt, (rates or {}).get(parameter, 1.0)].append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": members,
            "weight_decay": 0.0 if exempt else config.weight_decay,
            "lr": config.learning_rate * share,
            "initial_lr": config.learning_rate * share,
        }
        # Decayed ones first; a stable sort, so that shares stay in the order of the layers.
        for (exempt, share), members in sorted(alike.items(), key=lambda item: item[0][0])
    ]
    if config.epsilon_placement == "before_bias_correction":
        return ReferenceAdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon)
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=True
    )
