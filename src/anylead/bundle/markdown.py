"""Markdown of a model card: tables whose cells cannot break them, values in words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any


def safe(text: object) -> str:
    """Returns text that stands in one line or cell, whatever is in it: no tag, no end of the cell."""
    told = " ".join(str(text).split())
    return told.replace("<", "&lt;").replace("|", "\\|")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        f"| {' | '.join(safe(cell) for cell in line)} |".replace("|  |", "| |") for line in lines
    )


def flat(values: Mapping[str, Any]) -> str:
    """Returns ``layers 2, dimension 128``: names with values, floats in four digits."""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in values.items())


def without_paths(text: str) -> str:
    """Returns text in which each absolute path is its last part: a card is for other machines' users."""
    return re.sub(r"(?<![\w.:/~-])(?:~|[A-Za-z]:)?(?:[/\\][\w.@+-]+)+[/\\]([\w.@+-]+)", r"\1", text)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return f"({flat(value)})"
    if isinstance(value, list | tuple):
        return " ".join(_value(one) for one in value)
    return str(value)
