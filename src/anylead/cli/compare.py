"""anylead compare: ways to pre-train side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from anylead.cli.arguments import parse, plain
from anylead.cli.dispatch import FAILED, INTERRUPTED, OK


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """Pre-trains every cell of a grid (objectives, encoders, anything a recipe has) at one budget.

    Every cell is judged in the same way, beside untrained encoders, encoders trained with labels and
    hand-made features. What is there is used again and what was stopped goes on; a cell that fails is named
    on the page, and the others go on. docs/compare.md explains the grid's file.
    """

    grid: tyro.conf.Positional[Path]
    """YAML file: budget, recipe, tables of rows and columns."""
    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare` with the same steps; without, those of the grid."""
    out: Path
    """Folder for the runs, report.html and report.json."""
    seeds: int | None = None
    """Pre-training seeds of each cell; without, those of the grid."""
    parallel: int | None = None
    """Cells at a time, each in a process of its own; without, one."""
    threads: int | None = None
    """CPU threads of a cell; without, one."""
    only: tuple[str, ...] = ()
    """Rows to train now; without, all. Baselines are left for a run without this."""


def run(argv: list[str]) -> int:
    """Runs ``anylead compare``: 1 where a cell failed."""
    given, nested = parse(CompareArguments, argv, prog="anylead compare")

    from anylead.errors import ConfigError
    from anylead.workflows.compare import compare, read_grid

    if nested:
        raise ConfigError(f"--{next(iter(nested))}. is no setting here; put what cells share into the grid.")
    values: dict[str, Any] = {name: value for name, value in plain(given).items() if name != "grid"}
    values = {name: value for name, value in values.items() if value not in (None, ())}
    result = compare(read_grid(given.grid, **values))
    told = [f"{result.done} runs done"]
    told += [
        f"{number} {what}"
        for number, what in (
            (result.not_applicable, "not applicable"),
            (result.failed, "failed"),
            (result.waiting, "to be made"),
        )
        if number
    ]
    print(f"{result.page}: {', '.join(told)}")
    if result.by_user:
        return INTERRUPTED
    return FAILED if result.failed else OK
