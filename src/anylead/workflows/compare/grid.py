"""What is compared: tables of changes to one recipe, and the runs they come to."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anylead.config import from_plain, read_yaml, to_plain
from anylead.errors import ConfigError
from anylead.provenance import fingerprint
from anylead.workflows.pretrain import PretrainConfig, read_pretrain_config

LEAD_SETS = ("12", "6", "3", "2", "I")
CURVE_AT = (0.25, 0.5)
"""Shares of the budget after which a cell is judged besides, for the curves."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every cell may spend; exactly one of the three.

    Raises:
        ConfigError: If none or several are given, or one is not above 0.
    """

    tera_flops: float | None = None
    """Counted operations of pre-training, in 10^12: forward and backward passes, teachers, decoders."""
    segments: float | None = None
    """Segments seen."""
    minutes: float | None = None
    """Wall time of the updates, by the time of a few measured before; it depends on the machine."""

    def __post_init__(self) -> None:
        given = {name: value for name, value in to_plain(self).items() if value is not None}
        if len(given) != 1 or min(given.values()) <= 0:
            told = ", ".join(f"{name} {value:g}" for name, value in given.items()) or "none"
            raise ConfigError(
                f"budget: got {told}; give one of tera_flops, segments and minutes, above 0, for all cells."
            )

    def __str__(self) -> str:
        """Returns it in words."""
        if self.tera_flops is not None:
            return f"{self.tera_flops:g} TFLOP of counted operations"
        if self.segments is not None:
            return f"{self.segments:g} segments"
        return f"{self.minutes:g} minutes of updates"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows and columns of changes to the recipe; each pair of them is a cell."""

    title: str
    rows: Mapping[str, Mapping[str, Any]]
    """Name to changes, nested as in a recipe."""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    """The same, made before those of the row; one without a name where there is nothing to vary."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes that all cells of the table share."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Row, or ``row, column``, to number of seeds, where it is not that of all."""
    not_applicable: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Row to column to the reason why the pair makes no sense. What an objective refuses need not be
    named."""

    def __post_init__(self) -> None:
        cells = {_cell_name(row, column) for row in self.rows for column in self.columns}
        for what, names, known in (
            ("seeds", self.seeds, cells | set(self.rows)),
            ("not_applicable", self.not_applicable, set(self.rows)),
        ):
            for name in set(names) - known:
                raise ConfigError(
                    f"{self.title}: {what} names the row {name}; there are {', '.join(self.rows)}."
                )
        for row, reasons in self.not_applicable.items():
            for name in set(reasons) - set(self.columns):
                raise ConfigError(
                    f"{self.title}: not_applicable names the column {name} in row {row}; "
                    f"there are {', '.join(self.columns)}."
                )


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Configuration of `compare`.

    Raises:
        ConfigError: If there is no store or table, or a number is out of range.
    """

    tables: tuple[Table, ...]
    budget: Budget
    stores: tuple[Path, ...]
    """Pre-trained on, probed and judged on, by their splits."""
    out: Path
    """Folder of the comparison; what is there and fits is used again."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `anylead pretrain` that all cells share."""
    seeds: int = 1
    """Pre-training seeds of each cell."""
    learning_rates: tuple[float, ...] = ()
    """Each cell is trained with every one of these, seed 0, and keeps the one whose frozen encoder a probe
    reads best on validation recordings: the same effort for all. Empty: the recipe's, untuned."""
    lead_sets: tuple[str, ...] = LEAD_SETS
    """Judged with; the first one ranks."""
    curve_at: tuple[float, ...] = CURVE_AT
    """Shares of the budget after which the first seed is judged besides."""
    untrained_seeds: int = 3
    """Of every encoder that occurs, with random weights."""
    supervised: tuple[str, ...] = ("conv_transformer:tiny", "resnet1d:tiny", "s4:tiny")
    """Encoders trained from scratch with labels, at the same budget."""
    minimum_positives: int = 5
    """Classes with fewer positive training recordings are not judged."""
    resamples: int = 2000
    """Resamples of the patients, for the intervals."""
    seed: int = 0
    """Of resamples and of what is drawn for the judging."""
    threads: int | None = 1
    """CPU threads of a cell."""
    parallel: int = 1
    """Cells at a time, each in a process of its own."""
    only: tuple[str, ...] = ()
    """Rows, or whole runs, to train now; empty is all. The page shows all there is."""
    progress: bool = True
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        if not self.stores or not self.tables:
            what = "store" if not self.stores else "table"
            raise ConfigError(f"compare: got no {what}; give at least one.")
        least = min(self.seeds, self.untrained_seeds, self.parallel)
        if least < 1 or self.resamples < 100:
            raise ConfigError(
                f"compare: got {self.seeds} seeds, {self.untrained_seeds} untrained seeds, {self.parallel} "
                f"at a time and {self.resamples} resamples; give at least 1 of each, and 100 resamples."
            )
        if any(not 0.0 < share < 1.0 for share in self.curve_at):
            raise ConfigError(
                f"compare: curve_at is {', '.join(map(str, self.curve_at))}; give shares between 0 and 1."
            )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a cell stands."""

    table: str
    row: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One way to pre-train, which may stand in several tables."""

    name: str
    """Of its folder."""
    places: tuple[Place, ...]
    pretrain: PretrainConfig | None
    """Without seed, steps and folder; None where the settings cannot be used."""
    seeds: int
    refused: str = ""
    """Why there is nothing to train."""


def read_grid(path: Path, **given: Any) -> CompareConfig:
    """Reads a grid from YAML.

    Args:
        path: The file; its names are those of `CompareConfig`. A ``recipe``, also in a row or a column, may
            be a recipe's file, seen from the folder of the grid.
        given: Further values, which win.

    Raises:
        ConfigError: If the file cannot be read, or a name or value in it cannot be used.
    """
    values = {**read_yaml(path), **given}
    tables = values.get("tables")
    if not isinstance(tables, Sequence) or isinstance(tables, str):
        raise ConfigError(f"{path}: tables is {tables!r}; give a list of tables with title and rows.")
    values["tables"] = [_expanded_table(table, path.parent) for table in tables]
    values["recipe"] = _expanded(values.get("recipe"), path.parent)
    return from_plain(CompareConfig, values, where=str(path))


def _expanded_table(table: Any, folder: Path) -> Any:
    if not isinstance(table, Mapping):
        return table
    named = {
        key: {str(name): _expanded(changes, folder) for name, changes in table[key].items()}
        for key in ("rows", "columns")
        if isinstance(table.get(key), Mapping)
    }
    return {**table, **named, "recipe": _expanded(table.get("recipe"), folder)}


def _expanded(changes: Any, folder: Path) -> Any:
    """Returns changes with those of the recipe they name, seen from the grid's folder, put in front."""
    if changes is None:
        return {}
    if isinstance(changes, str):
        return read_yaml(folder / changes)
    if isinstance(changes, Mapping) and "recipe" in changes:
        own = {name: value for name, value in changes.items() if name != "recipe"}
        return merged(read_yaml(folder / str(changes["recipe"])), own)
    return changes


def cells_of(config: CompareConfig) -> tuple[Cell, ...]:
    """Returns the distinct cells of all tables: equal settings are trained once.

    Raises:
        ConfigError: If two different cells would have the same name.
    """
    found: dict[str, Cell] = {}
    for table in config.tables:
        for row, changes in table.rows.items():
            for column, common in table.columns.items():
                place = Place(table=table.title, row=row, column=column)
                seeds = table.seeds.get(_cell_name(row, column), table.seeds.get(row, config.seeds))
                reason = table.not_applicable.get(row, {}).get(column, "")
                values = merged(config.recipe, table.recipe, common, changes)
                cell = _cell(config, values, place, seeds, reason)
                key = fingerprint(values) if not cell.refused else fingerprint([place.table, row, column])
                before = found.get(key)
                if before is not None:
                    seeds = max(before.seeds, cell.seeds)
                    cell = replace(before, places=(*before.places, place), seeds=seeds)
                found[key] = cell
    names = [cell.name for cell in found.values()]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"compare: two different cells are called {name}; give the rows or columns other names."
            )
    return tuple(found.values())


def _cell(config: CompareConfig, values: dict[str, Any], place: Place, seeds: int, reason: str) -> Cell:
    pretrain = None
    if not reason:
        settings = {**values, "stores": list(map(str, config.stores)), "out": str(config.out)}
        try:
            pretrain = read_pretrain_config(settings, where=_cell_name(place.row, place.column))
            pretrain = replace(pretrain, encoder=pretrain.encoder_config)  # spelled out, or refused
        except ConfigError as error:
            reason = str(error)
    name = slug(_cell_name(place.row, place.column))
    return Cell(name=name, places=(place,), pretrain=pretrain, seeds=seeds, refused=reason)


def _cell_name(row: str, column: str) -> str:
    return ", ".join(filter(None, (row, column)))


def merged(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested settings, later ones winning.

    A mapping whose ``kind`` changes is replaced: the settings of one objective, schedule or encoder are not
    those of another.
    """
    result: dict[str, Any] = {}
    for one in changes:
        for name, value in one.items():
            before = result.get(name)
            if isinstance(value, Mapping) and isinstance(before, Mapping):
                alike = "kind" not in value or value["kind"] == before.get("kind")
                result[name] = merged(before, value) if alike else copy.deepcopy(dict(value))
            else:
                result[name] = copy.deepcopy(value)
    return result


def slug(text: str) -> str:
    """Returns a text as the name of a folder."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text)
    return "-".join(filter(None, kept.split("-"))) or "cell"
