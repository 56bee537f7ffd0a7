"""The page of a comparison: tables of cells, ranks with ties, curves of quality against compute and leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from anylead.evaluation.bootstrap import logit_interval, percentile_interval
from anylead.evaluation.figures import Figure, interval_figure, line_figure
from anylead.evaluation.forest_figure import forest_figure
from anylead.evaluation.ranking import ranks_with_ties
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import Interval

Values = Float[np.ndarray, "draws1"]
_MANY = 1e9
"""Degrees of freedom: the spread over many patients is normal."""
_DRAWN = 20
"""Rows of the first figure."""
_CURVES = 8
"""Lines a figure can hold and still be read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GridEntry:
    """One way, over its seeds, or one baseline."""

    name: str
    auroc: Mapping[str, Values]
    """Lead set to macro AUROC: means over the seeds, on all patients and on each resample."""
    seed_values: tuple[float, ...]
    """Macro AUROC at the first lead set, of each seed."""
    rank1: Values | None = None
    untrained: str | None = None
    """Name of the entry whose encoder this one had before training."""
    tera_flops: float | None = None
    segments: int | None = None
    segments_per_s: float | None = None
    training_cpu_s: float | None = None
    peak_memory_mib: int | None = None
    effective_rank: float | None = None
    layer: str = "-"
    curve: tuple[tuple[float, Values], ...] = ()
    """Macro AUROC of the first seed after some 10^12 operations, the end included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GridTable:
    """Cells by row and column; what is missing has a reason."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    """Row and column to the name of an entry."""
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Row and column to why there is no entry: not applicable, failed, not run yet."""


def grid_sections(
    tables: Sequence[GridTable], entries: Mapping[str, GridEntry], baselines: Sequence[str], budget: str
) -> tuple[Section, ...]:
    """Returns one section a table, one with every entry, and the curves.

    Args:
        tables: Cells by row and column.
        entries: By name, the baselines included.
        baselines: Names of the untrained, the supervised and the hand-made.
        budget: What each cell spent, in words.
    """
    lists = [table for table in tables if table.columns == ("",)]
    grids = [_table_section(table, entries) for table in tables if table not in lists]
    absent = [reason for table in lists for reason in _reasons(table)]
    overview = _overview(entries, baselines, budget, absent)
    return (overview, *grids, _curves(entries, baselines), _costs(entries))


def auroc_interval(values: Values) -> Interval:
    """Returns a macro AUROC with its interval: by the spread of the resamples, on the logit scale.

    Percentiles would lie too high: a resample without a rare class has no score of it, and the rare classes
    are the hard ones.
    """
    return logit_interval(float(values[0]), values[1:], freedom=_MANY)


def interval_of(values: Values) -> Interval:
    """Returns a difference, or a rate, with its interval: percentiles of the resamples."""
    return percentile_interval(float(values[0]), values[1:])


def sorted_by_score(entries: Mapping[str, GridEntry]) -> list[GridEntry]:
    """Returns the best first, by the first lead set."""
    return sorted(entries.values(), key=lambda one: -float(_first(one)[0]))


def gain(entry: GridEntry, entries: Mapping[str, GridEntry]) -> Values | None:
    """Returns the score at the first lead set, less that of the same encoder untrained."""
    before = entries.get(entry.untrained or "")
    return None if before is None else _first(entry) - _first(before)


def rank1_gain(entry: GridEntry, entries: Mapping[str, GridEntry]) -> Values | None:
    """Returns Rank-1, less that of the same encoder untrained."""
    before = entries.get(entry.untrained or "")
    if before is None or before.rank1 is None or entry.rank1 is None:
        return None
    return np.asarray(entry.rank1 - before.rank1)


def _first(entry: GridEntry) -> Values:
    return next(iter(entry.auroc.values()))


def _reasons(table: GridTable) -> tuple[str, ...]:
    told = {" with ".join(filter(None, place)): reason for place, reason in table.reasons.items()}
    return tuple(f"{place}: {reason}" for place, reason in told.items())


def _overview(
    entries: Mapping[str, GridEntry], baselines: Sequence[str], budget: str, absent: Sequence[str]
) -> Section:
    ordered = sorted_by_score(entries)
    ranks = ranks_with_ties({one.name: _first(one) for one in ordered})
    sets = list(dict.fromkeys(name for one in ordered for name in one.auroc))
    scored = tuple(f"AUROC, {_told(name)}" for name in sets)
    columns = ("Way", "Rank", *scored, "Gain on untrained", "Rank-1", "Rank-1, gain")
    rows = tuple(
        (
            one.name,
            str(ranks[one.name]).replace("-", "\u2011"),  # which does not break the line
            *(auroc_interval(one.auroc[name]) if name in one.auroc else "-" for name in sets),
            _or_dash(gain(one, entries), signed=True),
            _or_dash(one.rank1),
            _or_dash(rank1_gain(one, entries), signed=True),
        )
        for one in ordered
    )
    shown = {one.name: auroc_interval(_first(one)) for one in ordered[:_DRAWN]}
    figures = (
        forest_figure(
            shown, caption=f"Macro AUROC, {_told(sets[0])}, the best {len(shown)}", axis="macro AUROC"
        )
        if shown
        else None,
    )
    several = [one for one in ordered if len(one.seed_values) > 1]
    notes = (
        f"Every cell spent the same: {budget}. Rows are sorted by the first column of AUROC. Rank: where a "
        "row may stand; a range is a tie, because the paired differences of two rows that could be chance "
        "(5 %, corrected for all pairs) do not order them. Not pre-trained: " + ", ".join(baselines) + ".",
        "Gain on untrained: less the mean of the same encoder with random weights, read and probed alike. "
        "In brackets: 95 % interval over test patients, who are the same for all rows; it does not show what "
        "another seed would give.",
        *absent,
    )
    tables = [Table(caption="All ways, best first", columns=columns, rows=rows)]
    if several:
        tables.append(_seed_table(several))
    return Section(
        title="All ways to pre-train",
        notes=notes,
        tables=tuple(tables),
        figures=tuple(figure for figure in figures if figure is not None),
    )


def _seed_table(entries: Sequence[GridEntry]) -> Table:
    return Table(
        caption="Variation between seeds of training, macro AUROC at the first lead set",
        columns=("Way", "Mean", "Lowest to highest seed", "Seeds"),
        rows=tuple(
            (
                one.name,
                f"{np.mean(one.seed_values):.3f}",
                f"{min(one.seed_values):.3f} to {max(one.seed_values):.3f}",
                str(len(one.seed_values)),
            )
            for one in entries
        ),
    )


def _table_section(table: GridTable, entries: Mapping[str, GridEntry]) -> Section:
    def cell(row: str, column: str, metric: str) -> Cell:
        entry = entries.get(table.cells.get((row, column), ""))
        if entry is None:
            return "n/a" if (row, column) in table.reasons else "-"
        if metric == "rank1":
            return _or_dash(entry.rank1)
        if metric == "gain":
            return _or_dash(gain(entry, entries), signed=True)
        return auroc_interval(_first(entry))

    shown = [
        Table(
            caption=caption,
            columns=("", *table.columns),
            rows=tuple((row, *(cell(row, column, metric) for column in table.columns)) for row in table.rows),
        )
        for metric, caption in (
            ("auroc", "Macro AUROC at the first lead set"),
            ("gain", "Gain on the same encoder untrained"),
            ("rank1", "Rank-1"),
        )
    ]
    return Section(title=table.title, notes=_reasons(table), tables=tuple(shown))


def _curves(entries: Mapping[str, GridEntry], baselines: Sequence[str]) -> Section:
    trained = [one for one in sorted_by_score(entries) if one.name not in baselines][:_CURVES]
    figures: list[Figure] = []
    series = {one.name: _compute_points(one, entries) for one in trained if one.curve}
    if series:
        figures.append(
            line_figure(
                series,
                caption="Quality against compute, first lead set",
                axis="macro AUROC",
                x_axis="counted operations of pre-training, TFLOP",
                bands=False,
            )
        )
    chosen = [*trained[: _CURVES - 2], *(entries[name] for name in baselines[:2] if name in entries)]
    if chosen:
        figures.append(
            interval_figure(
                {
                    one.name: {name: auroc_interval(values) for name, values in one.auroc.items()}
                    for one in chosen
                },
                caption="Any leads, each with a probe of its own",
                axis="macro AUROC",
            )
        )
    notes = (
        f"The best {_CURVES} ways only, first seed; a point on the way is of a run whose learning rate has "
        "not come to its end. 0 operations: the same encoder untrained.",
    )
    return Section(title="Curves", notes=notes, figures=tuple(figures))


def _compute_points(
    entry: GridEntry, entries: Mapping[str, GridEntry]
) -> list[tuple[float, Interval | float | int]]:
    before = entries.get(entry.untrained or "")
    start = [] if before is None else [(0.0, _first(before))]
    points = [*start, *entry.curve]
    return [(round(place, 3), auroc_interval(values)) for place, values in points]


def _costs(entries: Mapping[str, GridEntry]) -> Section:
    rows = tuple(
        (
            one.name,
            _number(one.tera_flops, 1),
            _number(one.segments, 0),
            _number(one.training_cpu_s, 0),
            _number(one.segments_per_s, 0),
            _number(one.peak_memory_mib, 0),
            _number(one.effective_rank, 1),
            one.layer,
        )
        for one in sorted_by_score(entries)
        if one.tera_flops is not None
    )
    columns = (
        "Way",
        "TFLOP",
        "Segments",
        "CPU s",
        "Segments/s",
        "Peak MiB",
        "Effective rank",
        "Layer read",
    )
    return Section(
        title="What each took",
        notes=(
            "Means over seeds. CPU seconds of training; segments a second and peak memory of the process, "
            "both beside whatever else the machine did. Effective rank of the pooled embeddings at the last "
            "step: near 1 is collapse. The layer is chosen on validation recordings.",
        ),
        tables=(Table(caption="Compute, speed and memory", columns=columns, rows=rows),),
    )


def _number(value: float | int | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _or_dash(values: Values | None, *, signed: bool = False) -> Cell:
    if values is None:
        return "-"
    interval = interval_of(values)
    if not signed or interval.value is None:
        return interval
    return f"{interval.value:+.3f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def _told(name: str) -> str:
    if name.isdigit():
        return f"{name} lead{'s' if name != '1' else ''}"
    return f"lead{'s' if ',' in name else ''} {name}"
