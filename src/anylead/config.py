"""Configuration: frozen keyword-only dataclasses, to and from plain values.

A recipe is a YAML file of the same nested names; it is flattened and put in front of the flags, so
that a flag given by hand wins and both get the same messages.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from anylead.errors import ConfigError

T = TypeVar("T")


def to_plain(config: Any) -> Any:
    """Returns a dataclass as nested dictionaries, lists and scalars; tuples become lists."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {str(key): to_plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_plain(value) for value in config]
    if isinstance(config, Path):
        return str(config)
    return config


def from_plain(cls: type[T], values: Any, *, where: str = "config") -> T:
    """Builds a dataclass from what `to_plain` gave.

    Args:
        cls: A dataclass; fields may be dataclasses, unions with None, tuples and scalars.
        values: Nested plain values, a mapping.
        where: What to call the offender in an error.

    Raises:
        ConfigError: If a name is unknown, missing, or has a value of another kind.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: got {values!r}; a mapping of names to values is needed.")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            f"{where}: unknown name {', '.join(unknown)}; {cls.__name__} has {', '.join(known)}."
        )
    arguments = {
        name: _convert(hints[name], value, where=f"{where}.{name}") for name, value in values.items()
    }
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}.") from error


def _of_kind(choices: list[Any], value: Any, *, where: str) -> list[Any]:
    """Narrows a union whose members have a field ``kind`` to the one that a mapping names."""
    kinds = {
        kind: choice
        for choice in choices
        if dataclasses.is_dataclass(choice)
        for kind in typing.get_args(typing.get_type_hints(choice).get("kind"))
    }
    if not isinstance(value, Mapping) or len(kinds) < 2:
        return choices
    if value.get("kind") not in kinds:
        raise ConfigError(f"{where}.kind: got {value.get('kind')!r}; accepted are {', '.join(kinds)}.")
    return [kinds[value["kind"]]]


def _convert(hint: Any, value: Any, *, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _convert(typing.get_args(hint)[0], value, where=where)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        errors = []
        for choice in _of_kind(members, value, where=where):
            try:
                return _convert(choice, value, where=where)
            except ConfigError as error:
                errors.append(str(error))
        raise ConfigError(errors[0])
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            choices = ", ".join(map(str, typing.get_args(hint)))
            raise ConfigError(f"{where}: got {value!r}; accepted are {choices}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: got {value!r}; a list is needed.")
        parts = typing.get_args(hint)
        kinds = [parts[0]] * len(value) if len(parts) == 2 and parts[1] is Ellipsis else list(parts)
        if len(kinds) != len(value):
            raise ConfigError(f"{where}: got {len(value)} values; {len(kinds)} are needed.")
        pairs = zip(kinds, value, strict=True)
        return tuple(_convert(k, v, where=f"{where}[{i}]") for i, (k, v) in enumerate(pairs))
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value, where=where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and origin is None:
        if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
            raise ConfigError(f"{where}: got {value!r}; a value of type {hint.__name__} is needed.")
        return value
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a recipe.

    Raises:
        ConfigError: If the file is absent, is not YAML, or does not hold a mapping.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: the recipe cannot be read ({error.strerror}); give a YAML file."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: the recipe is not valid YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the recipe holds {type(values).__name__}; it needs names and values.")
    return values


def yaml_flags(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Flattens nested values to command-line flags: ``{"a": {"b": 1}}`` gives ``["--a.b", "1"]``."""
    flags: list[str] = []
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', '-')}"
        if isinstance(value, Mapping):
            flags += yaml_flags(value, f"{name}.")
        elif isinstance(value, list | tuple):
            flags += [f"--{name}", *(str(item) for item in value)]
        else:
            flags += [f"--{name}", str(value)]
    return flags
