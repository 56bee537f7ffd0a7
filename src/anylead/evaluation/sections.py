"""Sections of the report, built from results."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from anylead.evaluation.figures import curve_figure, interval_figure
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import ClassificationResult, Difference, IdentificationResult, Interval

Result = TypeVar("Result", ClassificationResult, IdentificationResult)

INTERVAL_NOTE = (
    "In brackets: 95 % interval over patients. AUROC of a class: score interval; AUPRC of a class and macro "
    "AUROC: spread of the resamples on the logit scale; all else, and macro AUROC along curves of leads and "
    "disturbances: percentiles of the resamples. A class with fewer than 10 of either outcome has none. "
    "Resamples in which a number is undefined are left out and counted, never replaced."
)
_SUBSETS = {"all": "all later recordings", "same_day": "same day", "cross_session": "another date"}
_METRICS = {
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "challenge_score": "Challenge score",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "eer": "equal error rate",
}
_NOT_CURVES = ("step", "count", "segments", "time", "seconds", "epoch")


def classification_section(
    results: Sequence[ClassificationResult],
    differences: Sequence[Difference] = (),
    *,
    title: str = "Classification",
    notes: Sequence[str] = (),
) -> Section:
    """Returns tables of systems against lead sets, every class of the first lead set, and a figure.

    Args:
        results: Any systems and lead sets; missing pairs stay empty.
        differences: Between systems, from `paired_difference`.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    ranked = _rankings(results)
    tables = [
        _grid_table("Macro AUROC", _grid(ranked, lambda result: result.macro_auroc)),
        _grid_table("Macro AUPRC", _grid(ranked, lambda result: result.macro_auprc)),
    ]
    if any(result.challenge_score.value is not None for result in results):
        scores = _grid(results, lambda result: result.challenge_score)
        tables.append(_grid_table("PhysioNet/CinC Challenge score", scores))
    tables += _difference_tables(differences)
    tables += _class_tables(ranked)
    figure = interval_figure(
        _grid(ranked, lambda result: result.macro_auroc, name=str),
        caption="Macro AUROC by leads",
        axis="macro AUROC",
        references={"chance": 0.5},
    )
    return Section(
        title=title,
        notes=(*notes, INTERVAL_NOTE, *_classification_notes(results)),
        tables=tuple(tables),
        figures=(figure,) if results else (),
    )


def _rankings(results: Sequence[ClassificationResult]) -> list[ClassificationResult]:
    """Returns results without variants (``name, thresholds``) that rank as the system itself does."""
    kept: list[ClassificationResult] = []
    for one in results:
        same = (
            one.system.startswith(f"{other.system},")
            and (other.lead_set, other.per_class) == (one.lead_set, one.per_class)
            for other in kept
        )
        if not any(same):
            kept.append(one)
    return kept


def identification_section(
    results: Sequence[IdentificationResult],
    differences: Sequence[Difference] = (),
    *,
    title: str = "Whose heart is it?",
    notes: Sequence[str] = (),
) -> Section:
    """Returns tables and a figure for each kind of probe: Rank-1, Rank-5, equal error, true acceptance.

    Args:
        results: Any systems, lead sets and kinds of probe; missing ones stay empty.
        differences: Between systems, from `paired_difference`.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    tables, figures, told = [], [], []
    for subset, name in _SUBSETS.items():
        chosen = [result for result in results if result.subset == subset]
        if not chosen:
            continue
        by_leads = _grid(chosen, lambda result: result.rank1, name=str)
        figures.append(interval_figure(by_leads, caption=f"Rank-1, {name}", axis="Rank-1"))
        tables.append(_grid_table(f"Rank-1, {name}", _grid(chosen, lambda result: result.rank1)))
        tables.append(_grid_table(f"Rank-5, {name}", _grid(chosen, lambda result: result.rank5)))
        tables.append(_grid_table(f"Equal error rate, {name}", _grid(chosen, lambda result: result.eer)))
        tables += _acceptance_tables(chosen, name)
        told.append(_probes_told(chosen, name))
    tables += _difference_tables(differences)
    told.append(
        "The gallery holds each person's earliest recording; ties count against the system; "
        "persons weigh the same."
    )
    return Section(
        title=title, notes=(*notes, INTERVAL_NOTE, *told), tables=tuple(tables), figures=tuple(figures)
    )


def learning_curves_section(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "Pre-training",
    notes: Sequence[str] = (),
    references: Mapping[str, Mapping[str, float]] | None = None,
) -> Section:
    """Returns one figure for each number a run logged over its steps.

    Args:
        rows: Lines of ``metrics.jsonl``; what is not a finite number is left out.
        title: Of the section.
        notes: Sentences of the caller.
        references: Name of a number to lines drawn beside it, such as
            ``{"contrastive_accuracy": {"chance 1/101": 1 / 101}}``.
    """
    names = dict.fromkeys(name for row in rows for name in row if name not in _NOT_CURVES)
    figures = []
    for name in names:
        points = [
            (float(row["step"]), float(row[name])) for row in rows if _has(row, "step") and _has(row, name)
        ]
        if len(points) < 2:
            continue
        steps, curve = zip(*points, strict=True)
        spoken = name.replace("_", " ").replace("/", ", ")
        lines = (references or {}).get(name)
        figures.append(curve_figure(steps, curve, caption=spoken, axis=spoken, references=lines))
    if not figures:
        notes = (*notes, "The run logged fewer than two steps.")
    return Section(title=title, notes=tuple(notes), figures=tuple(figures))


def difference_sentence(difference: Difference) -> str:
    """Returns a difference as a sentence that says no more than its interval allows."""
    where = f" on {column_name(difference.lead_set)}" if difference.lead_set else ""
    where += f" ({_SUBSETS[difference.subset]})" if difference.subset else ""
    metric = _METRICS.get(difference.metric, difference.metric)
    metric = metric[0].upper() + metric[1:]
    interval = difference.interval
    if interval.value is None:
        return f"{metric}{where}: {difference.a} and {difference.b} cannot be compared, it is undefined."
    numbers = _signed(interval)
    if not difference.excludes_zero:
        return (
            f"{metric}{where}: {difference.a} and {difference.b} cannot be told apart with these patients; "
            f"the difference is {numbers}."
        )
    is_better = (interval.value > 0.0) != (difference.metric == "eer")
    verb = "is better than" if is_better else "is worse than"
    return f"{metric}{where}: {difference.a} {verb} {difference.b}; the difference is {numbers}."


def column_name(lead_set: str) -> str:
    """Returns ``12 leads`` for ``12``, ``lead II`` for ``II``, other names as they are."""
    if lead_set.isdigit():
        return f"{lead_set} leads"
    return f"lead {lead_set}" if lead_set in ("I", "II") else lead_set


def condition_name(condition: str) -> str:
    """Returns ``as recorded`` for ``clean``, ``12 leads`` for ``lead-set-12``, other names as they are."""
    if condition == "clean":
        return "as recorded"
    if condition.startswith("lead-set-"):
        return column_name(condition.removeprefix("lead-set-"))
    return condition


def _grid(
    results: Sequence[Result], pick: Callable[[Result], Interval], *, name: Callable[[str], str] = column_name
) -> dict[str, dict[str, Interval]]:
    grid: dict[str, dict[str, Interval]] = {}
    for result in results:
        grid.setdefault(result.system, {})[name(result.lead_set)] = pick(result)
    return grid


def _grid_table(caption: str, grid: Mapping[str, Mapping[str, Interval]]) -> Table:
    columns = tuple(dict.fromkeys(column for row in grid.values() for column in row))
    rows = tuple(
        (system, *(row.get(column, "not evaluated") for column in columns)) for system, row in grid.items()
    )
    return Table(caption=caption, columns=("System", *columns), rows=rows)


def _difference_tables(differences: Sequence[Difference]) -> list[Table]:
    if not differences:
        return []
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{difference.a} minus {difference.b}",
            _METRICS.get(difference.metric, difference.metric),
            column_name(difference.lead_set),
            _SUBSETS[difference.subset] if difference.subset else "",
            "undefined" if difference.interval.value is None else _signed(difference.interval),
            "yes" if difference.excludes_zero else "no",
        )
        for difference in differences
    )
    columns: tuple[str, ...] = ("Systems", "Metric", "Leads", "Probes", "Difference", "Excludes zero")
    if not any(difference.subset for difference in differences):
        columns, rows = columns[:3] + columns[4:], tuple(row[:3] + row[4:] for row in rows)
    return [Table(caption="Paired differences, on the same resamples", columns=columns, rows=rows)]


def _signed(interval: Interval) -> str:
    bounds = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f}{bounds}"


def _class_tables(results: Sequence[ClassificationResult]) -> list[Table]:
    """Returns AUROC of every class in the first lead set."""
    chosen = [result for result in results if result.lead_set == results[0].lead_set]
    if not chosen or not chosen[0].per_class:
        return []
    by_system = [{score.name: score for score in result.per_class} for result in chosen]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (score.name, str(score.positives), *(scores[score.name].auroc for scores in by_system))
        for score in chosen[0].per_class
        if all(score.name in scores for scores in by_system)
    )
    caption = f"AUROC of each class, {column_name(chosen[0].lead_set)}"
    columns = ("Class", "Positives", *(result.system for result in chosen))
    return [Table(caption=caption, columns=columns, rows=rows)]


def _classification_notes(results: Sequence[ClassificationResult]) -> list[str]:
    notes = []
    sizes = {column_name(r.lead_set): f"{r.records} recordings of {r.patients} patients" for r in results}
    if len(set(sizes.values())) == 1:
        notes.append(f"Judged on {next(iter(sizes.values()))}.")
    else:
        notes += [f"{column}: judged on {size}." for column, size in sizes.items()]
    undefined = dict.fromkeys(name for result in results for name in result.undefined_classes)
    if undefined:
        notes.append(f"Left out of the means, having one outcome only: {', '.join(undefined)}.")
    return notes


def _acceptance_tables(results: Sequence[IdentificationResult], name: str) -> list[Table]:
    tables = []
    for rate in dict.fromkeys(rate for result in results for rate in result.tar):
        grid: dict[str, dict[str, Interval]] = {}
        for result in results:
            entry = result.tar.get(rate)
            if entry is not None and entry.rate is not None:
                grid.setdefault(result.system, {})[column_name(result.lead_set)] = entry.rate
        if grid:
            caption = f"True acceptance at a false acceptance rate of {rate}, {name}"
            tables.append(_grid_table(caption, grid))
    return tables


def _probes_told(results: Sequence[IdentificationResult], name: str) -> str:
    first = results[0]
    told = f"{name}: {first.probes} probes of {first.persons} persons among {first.enrolled} enrolled"
    told += f"; duplicates left out: {first.duplicates_dropped}" if first.duplicates_dropped else ""
    unresolved = [rate for rate, entry in first.tar.items() if entry.rate is None]
    if unresolved:
        told += (
            f"; too few impostor comparisons ({first.impostor_comparisons}) for true acceptance at a false "
            f"acceptance rate of {', '.join(unresolved)}"
        )
    return f"{told[0].upper()}{told[1:]}."


def _has(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
