"""Other people's weights into our parameters, by their names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anylead.errors import CheckpointError


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where a weight of theirs goes."""

    parameters: tuple[nn.Parameter, ...]
    """Those of ours that it holds, one above the other."""
    shape: tuple[int, ...]
    """Theirs."""


def place(*parameters: nn.Parameter, shape: tuple[int, ...] | None = None) -> Place:
    """Returns the place of a weight that holds some of ours, of their shape where it is not ours stacked."""
    rows = sum(len(parameter) for parameter in parameters)
    return Place(parameters=parameters, shape=shape or (rows, *parameters[0].shape[1:]))


def module_places(name: str, *modules: nn.Module) -> dict[str, Place]:
    """Returns the places of weight and bias, as far as there are, of a module that holds some of ours."""
    return {
        f"{name}.{part}": place(*(module.get_parameter(part) for module in modules))
        for part, _ in modules[0].named_parameters()
    }


def shape_of(state: Mapping[str, Any], name: str, *, dimensions: int) -> tuple[int, ...]:
    """Returns the shape of a weight.

    Raises:
        CheckpointError: If it is missing, no tensor, or has another number of dimensions.
    """
    value = _tensor(state, name)
    if value.ndim != dimensions:
        raise CheckpointError(
            f"weight {name}: its shape is {tuple(value.shape)}; {dimensions} dimensions are needed."
        )
    return tuple(value.shape)


def load_weights(places: Mapping[str, Place], state: Mapping[str, Any]) -> None:
    """Copies weights into our parameters, in single precision.

    Args:
        places: By their names.
        state: Name -> tensor.

    Raises:
        CheckpointError: If a weight is missing, left over, no tensor or of another shape; the first one is
            named.
    """
    for name, where in places.items():
        value = _tensor(state, name)
        if tuple(value.shape) != where.shape:
            raise CheckpointError(
                f"weight {name}: its shape is {tuple(value.shape)}; the model needs {where.shape}."
            )
    for name in state:
        if name not in places:
            raise CheckpointError(f"weight {name}: the model has no place for it.")
    with torch.no_grad():
        for name, where in places.items():
            _fill(where.parameters, state[name])


def _fill(parameters: tuple[nn.Parameter, ...], value: Tensor) -> None:
    flat, start = value.float().flatten(), 0
    for parameter in parameters:
        count = math.prod(parameter.shape)
        parameter.copy_(flat[start : start + count].view(parameter.shape))
        start += count


def _tensor(state: Mapping[str, Any], name: str) -> Tensor:
    if name not in state:
        raise CheckpointError(f"weight {name}: it is missing.")
    value = state[name]
    if not isinstance(value, Tensor):
        raise CheckpointError(f"weight {name}: it is a {type(value).__name__}, no tensor.")
    return value
