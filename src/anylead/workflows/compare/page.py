"""From the runs that are there to the page: means over seeds, tables by place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anylead.config import to_plain
from anylead.evaluation.grid_section import (
    GridEntry,
    GridTable,
    auroc_interval,
    grid_sections,
    sorted_by_score,
)
from anylead.evaluation.report import Report, write_report
from anylead.provenance import environment
from anylead.store import Store
from anylead.workflows.compare.grid import Cell, CompareConfig
from anylead.workflows.compare.one import Run, read_run, read_values
from anylead.workflows.selection import unknown_patients

_NOT_YET = "not run yet"


def write_page(
    config: CompareConfig, stores: Sequence[Store], cells: Sequence[Cell], runs: Sequence[Run]
) -> Path:
    """Writes ``report.html`` and ``report.json`` of every run that has ended well.

    Returns:
        The page.

    Raises:
        FileError: If the disk refuses.
    """
    named: dict[str, list[Run]] = {}
    for run in runs:
        named.setdefault(run.name, []).append(run)
    names = {cell.name: _row_name(cell) for cell in cells}
    before = _untrained_names(runs)
    entries = {}
    for name, several in named.items():
        done = [run for run in several if read_run(run.folder).get("status") == "done"]
        if done:
            shown = names.get(name, name)
            entries[shown] = _entry(shown, done, before.get(name))
    baselines = [name for name, several in named.items() if several[0].kind != "pretrained"]
    present = [name for name in baselines if name in entries]
    sections = grid_sections(_tables(config, cells, runs, names), entries, present, str(config.budget))
    report = Report(
        title="Ways to pre-train, compared",
        summary=(*_summary(entries, present, cells, runs, config), *unknown_patients(stores)),
        sections=sections if entries else (),
        provenance={
            "config": to_plain(config),
            "stores": {store.manifest.source: store.manifest.fingerprint for store in stores},
            "environment": environment(),
        },
        results=tuple(read_run(run.folder) for run in runs if read_run(run.folder)),
    )
    return write_report(report, config.out)


def _row_name(cell: Cell) -> str:
    first = cell.places[0]
    return ", ".join(filter(None, (first.row, first.column)))


def _untrained_names(runs: Sequence[Run]) -> dict[str, str]:
    """Returns cell to the name of its encoder's untrained row."""
    fresh = [(run.encoder, run.name) for run in runs if run.kind == "untrained" and run.seed == 0]
    return {
        run.name: name
        for run in runs
        if run.pretrain is not None
        for encoder, name in fresh
        if encoder == run.pretrain.encoder_config
    }


def _entry(name: str, runs: Sequence[Run], untrained: str | None) -> GridEntry:
    found = [read_run(run.folder) for run in runs]
    values = [read_values(run.folder) for run in runs]
    sets = [key.removeprefix("auroc ") for key in values[0] if key.startswith("auroc ")]

    def mean(key: str) -> np.ndarray:
        return np.asarray(np.mean([one[key] for one in values], axis=0, dtype=np.float64))

    def number(key: str) -> float | None:
        known = [float(one[key]) for one in found if one.get(key) is not None]
        return float(np.mean(known)) if known else None

    first = f"auroc {sets[0]}"
    operations = number("tera_flops")
    ranks = [one["last"].get("effective_rank") for one in found if one.get("last")]
    known_ranks = [float(rank) for rank in ranks if rank is not None]
    layers = [one["readout"]["layer"] for one in found if one.get("readout")]
    segments, memory = number("segments"), number("peak_memory_mib")
    return GridEntry(
        name=name,
        auroc={one: mean(f"auroc {one}") for one in sets},
        seed_values=tuple(float(one[first][0]) for one in values),
        rank1=mean("rank1") if "rank1" in values[0] else None,
        untrained=untrained,
        tera_flops=operations,
        segments=None if segments is None else round(segments),
        segments_per_s=number("segments_per_s"),
        training_cpu_s=number("training_cpu_s"),
        peak_memory_mib=None if memory is None else round(memory),
        effective_rank=float(np.mean(known_ranks)) if known_ranks else None,
        layer=", ".join(map(str, dict.fromkeys(layers))) or "-",
        curve=_curve(found[0], values[0], first),
    )


def _curve(
    found: Mapping[str, Any], values: Mapping[str, np.ndarray], first: str
) -> tuple[tuple[float, np.ndarray], ...]:
    operations = found.get("tera_flops")
    on_the_way = sorted(
        (float(key.removeprefix("curve ")), one) for key, one in values.items() if key.startswith("curve ")
    )
    if operations is None or not on_the_way:
        return ()
    points = [(share * operations, one) for share, one in on_the_way]
    return (*points, (float(operations), values[first]))


def _tables(
    config: CompareConfig, cells: Sequence[Cell], runs: Sequence[Run], names: Mapping[str, str]
) -> list[GridTable]:
    reasons = _reasons(cells, runs)
    tables = []
    for table in config.tables:
        placed = [
            ((place.row, place.column), cell)
            for cell in cells
            for place in cell.places
            if place.table == table.title
        ]
        tables.append(
            GridTable(
                title=table.title,
                rows=tuple(table.rows),
                columns=tuple(table.columns),
                cells={place: names[cell.name] for place, cell in placed},
                reasons={place: reasons[cell.name] for place, cell in placed if cell.name in reasons},
            )
        )
    return tables


def _reasons(cells: Sequence[Cell], runs: Sequence[Run]) -> dict[str, str]:
    """Returns cell to why it has no result."""
    reasons = {cell.name: f"not applicable: {cell.refused}" for cell in cells if cell.refused}
    for run in runs:
        found = read_run(run.folder)
        if run.kind != "pretrained" or run.seed or found.get("status") == "done":
            continue
        status = found.get("status")
        reasons[run.name] = f"{status}: {found.get('reason')}" if status else _NOT_YET
    return reasons


def _summary(
    entries: Mapping[str, GridEntry],
    baselines: Sequence[str],
    cells: Sequence[Cell],
    runs: Sequence[Run],
    config: CompareConfig,
) -> tuple[str, ...]:
    trained = [one for one in sorted_by_score(entries) if one.name not in baselines]
    sentences = []
    if trained:
        best = trained[0]
        told = auroc_interval(next(iter(best.auroc.values())))
        sentences.append(
            f"Ways to pre-train: {len(trained)}, each with {config.budget}. The highest macro AUROC with "
            f"{config.lead_sets[0]} leads is {told}, of {best.name}."
        )
        better = [
            one.name
            for one in sorted_by_score({name: entries[name] for name in baselines})
            if float(next(iter(one.auroc.values()))[0]) > float(next(iter(best.auroc.values()))[0])
        ]
        if better:
            sentences.append(f"Higher without pre-training: {', '.join(better)}.")
    missing = [
        f"{name}: {reason}."
        for name, reason in _reasons(cells, runs).items()
        if not reason.startswith("not applicable") and reason != _NOT_YET
    ]
    waiting = sum(reason == _NOT_YET for reason in _reasons(cells, runs).values())
    if waiting:
        sentences.append(f"{waiting} cells are yet to be run.")
    return (*sentences, *missing)
