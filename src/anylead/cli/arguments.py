"""From flags and a recipe to an argument dataclass of plain types.

The verbs' argument dataclasses name plain types only, so that ``--help`` needs no torch. What belongs to a
nested configuration (the encoder, the objective) is given with dots, ``--encoder.layers 4``, or by recipe; it
is handed on as a nested mapping and checked by the configuration itself.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from anylead.cli.dispatch import suggestion
from anylead.config import read_yaml, yaml_flags
from anylead.errors import ConfigError
from anylead.leads import lead_set

T = TypeVar("T")


def parse(cls: type[T], argv: Sequence[str], *, prog: str) -> tuple[T, dict[str, Any]]:
    """Reads the arguments of a verb.

    Args:
        cls: The verb's argument dataclass; a field ``recipe`` makes it accept recipes.
        argv: What the user typed after the verb.
        prog: What help calls the command, such as ``anylead pretrain``.

    Returns:
        The arguments, and what was given for nested configurations, or in the recipe for names that are no
        flag: the verb's configuration says whether it knows them. Later wins: recipe, then flags.

    Raises:
        ConfigError: If the recipe cannot be read, a dotted flag has no value, or a flag is given twice.
        SystemExit: With 2 if tyro refuses the arguments, with 0 after ``--help``.
    """
    argv, recipe = _split_recipe(list(argv)) if _has(cls, "recipe") else (list(argv), None)
    flags, nested = _from_recipe(cls, recipe) if recipe else ([], {})
    typed, dotted = _split_dotted(argv)
    _require_once(typed)
    merge(nested, dotted)
    tokens = [*flags, *_spell_out_flags(cls, typed)]
    arguments = tyro.cli(cls, args=tokens, prog=prog, config=(tyro.conf.FlagConversionOff,))
    if recipe:
        arguments = dataclasses.replace(arguments, recipe=recipe)  # type: ignore[type-var]
    return arguments, nested


def choose(argv: Sequence[str], choices: Mapping[str, str], *, prog: str) -> tuple[str, list[str]]:
    """Takes the first word, which must be one of the choices.

    Args:
        argv: What the user typed after the verb.
        choices: Word -> what it does.
        prog: What help calls the command.

    Returns:
        The word, and what follows it.

    Raises:
        ConfigError: If there is no such word; the nearest is suggested.
        SystemExit: With 0 after ``--help``.
    """
    if argv and argv[0] in ("-h", "--help"):
        width = max(map(len, choices))
        print(f"usage: {prog} {{{','.join(choices)}}} ...\n")
        print("\n".join(f"  {word:<{width}}  {what}" for word, what in choices.items()))
        raise SystemExit(0)
    if not argv or argv[0] not in choices:
        given = argv[0] if argv else ""
        problem = f"there is no {given!r} here" if given else "it is not said what"
        raise ConfigError(f"{problem}; {suggestion(given, choices)}")
    return argv[0], list(argv[1:])


def leads(words: Sequence[str]) -> tuple[str, ...]:
    """Returns the leads of ``--leads I,II``, ``--leads I II`` or a set such as ``--leads 6``; none for none.

    Raises:
        LeadError: If a lead is named twice.
    """
    return lead_set(words[0] if len(words) == 1 else ",".join(words)) if words else ()


def lead_sets(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Returns the lead sets of ``--leads 12 6 I,II``, each under what it was called.

    Raises:
        LeadError: If a set names a lead twice.
    """
    return {word: lead_set(word) for word in words}


def plain(arguments: Any) -> dict[str, Any]:
    """Returns the fields of an argument dataclass as a mapping, but for the recipe."""
    return {f.name: getattr(arguments, f.name) for f in dataclasses.fields(arguments) if f.name != "recipe"}


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts nested values into a nested dictionary, in place; later ones win."""
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value
    return into


def _has(cls: type, name: str) -> bool:
    return any(f.name == name for f in dataclasses.fields(cls))


def _split_recipe(argv: list[str]) -> tuple[list[str], Path | None]:
    rest: list[str] = []
    recipe: Path | None = None
    words = iter(argv)
    for word in words:
        if word.startswith("--recipe="):
            recipe = Path(word.removeprefix("--recipe="))
        elif word == "--recipe":
            value = next(words, None)
            if value is None:
                raise ConfigError("--recipe has no value; name a YAML file.")
            recipe = Path(value)
        else:
            rest.append(word)
    return rest, recipe


def _from_recipe(cls: type, recipe: Path) -> tuple[list[str], dict[str, Any]]:
    known = {f.name for f in dataclasses.fields(cls)} - {"recipe"}
    flat: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for key, value in read_yaml(recipe).items():
        name = str(key).replace("-", "_")
        (flat if name in known and not isinstance(value, Mapping) else other)[name] = value
    return yaml_flags(flat), _numbers(other)


def _numbers(value: Any) -> Any:
    """Reads texts such as ``5e-5``, which YAML 1.1 takes for words, as the numbers they are."""
    if isinstance(value, Mapping):
        return {str(key).replace("-", "_"): _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return _scalar(value) if isinstance(value, str) else value


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text == "None":
        return None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _split_dotted(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    rest: list[str] = []
    nested: dict[str, Any] = {}
    position = 0
    while position < len(argv):
        name, equals, value = argv[position].partition("=")
        position += 1
        if not name.startswith("--") or "." not in name:
            rest.append(argv[position - 1])
            continue
        values = [value] if equals else []
        while not equals and position < len(argv) and not argv[position].startswith("--"):
            values.append(argv[position])
            position += 1
        if not values:
            raise ConfigError(f"{name} has no value; give one, such as {name} 4.")
        parsed = [_scalar(item) for item in values]
        _put(nested, name[2:].replace("-", "_").split("."), parsed[0] if len(parsed) == 1 else parsed)
    return rest, nested


def _require_once(words: Sequence[str]) -> None:
    """Refuses ``--store A --store B``, of which B alone would be taken."""
    names = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"{twice} is given more than once; give it once, with all its values behind it.")


def _put(nested: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        nested = nested.setdefault(part, {})
    nested[path[-1]] = value


def _spell_out_flags(cls: type, argv: Sequence[str]) -> list[str]:
    """Lets ``--json`` stand for ``--json True``, so that flags and recipes use the same names."""
    hints = typing.get_type_hints(cls)
    flags = {f"--{f.name.replace('_', '-')}" for f in dataclasses.fields(cls) if hints[f.name] is bool}
    spelled: list[str] = []
    for position, word in enumerate(argv):
        spelled.append(word)
        following = argv[position + 1] if position + 1 < len(argv) else ""
        if word.replace("_", "-") in flags and following.capitalize() not in ("True", "False"):
            spelled.append("True")
    return spelled
