"""Sections of the any-lead protocol: fixed lead sets, any subset, what leads are worth, wrong leads."""

from collections.abc import Mapping, Sequence

from anylead.evaluation.figures import Figure, interval_figure, line_figure
from anylead.evaluation.lead_figures import falls_figure, lead_map_figure
from anylead.evaluation.lead_importance import LeadImportance
from anylead.evaluation.lead_protocol import Kind, LeadCurve, Leads, SubsetScore
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import ClassificationResult, Difference, Interval
from anylead.evaluation.sections import INTERVAL_NOTE, column_name, difference_sentence

PROBES: dict[Kind, str] = {"shift": "twelve-lead probe", "information": "probe of these leads"}
"""What a system's name ends with, after a comma, in results for fixed lead sets."""
QUESTIONS: dict[Kind, str] = {
    "shift": "Shift: the probe was fitted on twelve leads and is asked about fewer: what is lost when "
    "electrodes fall off a system that was set up with all of them.",
    "information": "Information: the probe was fitted anew on the same leads: how much can be known from "
    "them.",
}
_MOST_MISSING_NAMED = 5
_FAULTS = {
    "LA-RA": "arms exchanged",
    "LA-LL": "left arm and leg exchanged",
    "RA-LL": "right arm and leg exchanged",
    "V1-V2": "V1 and V2 exchanged",
}


def fixed_lead_section(
    results: Sequence[ClassificationResult],
    differences: Sequence[Difference] = (),
    *,
    title: str = "Fixed lead sets",
    notes: Sequence[str] = (),
) -> Section:
    """Returns a table and a figure for each of the two questions.

    Args:
        results: Of any systems and lead sets. A system's name ends in a comma and one of `PROBES`; others are
            left out.
        differences: Between systems of one question, told as sentences for the fewest leads and in a table.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    tables, figures, told = [], [], []
    for kind, question in QUESTIONS.items():
        grid = _fixed_grid(results, kind)
        if not grid:
            continue
        told.append(question)
        tables.append(_grid_table(f"Macro AUROC, {kind} ({PROBES[kind]})", grid))
        by_leads = {name: {_short(column): i for column, i in row.items()} for name, row in grid.items()}
        figures.append(
            interval_figure(
                by_leads,
                caption=f"{kind.capitalize()}: {PROBES[kind]}",
                axis="macro AUROC",
                references={"chance": 0.5},
            )
        )
    if differences:
        rows = tuple((difference_sentence(difference),) for difference in differences)
        tables.append(
            Table(caption="Differences, on the same resamples", columns=("Finding",), rows=rows, folded=True)
        )
    return Section(
        title=title, notes=(*notes, *told, INTERVAL_NOTE), tables=tuple(tables), figures=tuple(figures)
    )


def lead_section(
    curves: Sequence[LeadCurve],
    importances: Sequence[LeadImportance] = (),
    faults: Mapping[str, Mapping[str, Interval]] | None = None,
    *,
    title: str = "Any leads",
    notes: Sequence[str] = (),
) -> Section:
    """Returns the number, the curves, what each lead is worth and what faults cost.

    Args:
        curves: Of any systems and kinds; each kind gets a figure of its own.
        importances: Of any systems, each drawn on the body.
        faults: System to condition (``wrong-LA-RA``) to the fall of the score.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    tables, figures = [_number_table(curves)] if curves else [], []
    for kind in QUESTIONS:
        chosen = [curve for curve in curves if curve.kind == kind]
        if chosen:
            figures.append(_curve_figure(chosen))
            tables += [_size_table(chosen), _extremes_table(chosen)]
    for importance in importances:
        figures += _maps(importance)
    if importances:
        tables.append(_worth_table(importances))
    if faults:
        spoken = {
            name: {_fault(condition): fall for condition, fall in row.items()} for name, row in faults.items()
        }
        figures.append(falls_figure(spoken, caption="What wrong leads cost", axis="fall of macro AUROC"))
        tables.append(_falls_table(spoken))
    return Section(
        title=title,
        notes=(*notes, *_notes(curves, importances, faults), INTERVAL_NOTE),
        tables=tuple(tables),
        figures=tuple(figures),
    )


def signed(interval: Interval) -> str:
    """Returns ``+0.012 [+0.003, +0.020]``, or ``undefined``."""
    if interval.value is None:
        return "undefined"
    bounds = "" if interval.low is None else f" [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{interval.value:+.3f}{bounds}"


def _fixed_grid(results: Sequence[ClassificationResult], kind: Kind) -> dict[str, dict[str, Interval]]:
    ending = f", {PROBES[kind]}"
    grid: dict[str, dict[str, Interval]] = {}
    for result in results:
        if result.system.endswith(ending):
            row = grid.setdefault(result.system.removesuffix(ending), {})
            row[column_name(result.lead_set)] = result.macro_auroc
    return grid


def _short(column: str) -> str:
    return column.removesuffix(" leads").removeprefix("lead ")


def _grid_table(caption: str, grid: Mapping[str, Mapping[str, Interval]]) -> Table:
    columns = tuple(dict.fromkeys(column for row in grid.values() for column in row))
    rows = tuple(
        (system, *(row.get(column, "not evaluated") for column in columns)) for system, row in grid.items()
    )
    return Table(caption=caption, columns=("System", *columns), rows=rows)


def _number_table(curves: Sequence[LeadCurve]) -> Table:
    grid: dict[str, dict[str, Interval]] = {}
    for curve in curves:
        grid.setdefault(curve.system, {})[curve.kind.capitalize()] = curve.number
    return _grid_table(
        f"The number: {curves[0].metric}, mean over 1 to 12 leads of the mean over subsets", grid
    )


def _curve_figure(curves: Sequence[LeadCurve]) -> Figure:
    kind = curves[0].kind
    return line_figure(
        {curve.system: [(size.size, size.score) for size in curve.sizes] for curve in curves},
        caption=f"{kind.capitalize()}: {PROBES[kind]}, mean over the subsets of each size",
        axis=curves[0].metric,
        x_axis="number of leads",
        references={"chance": 0.5},
    )


def _size_table(curves: Sequence[LeadCurve]) -> Table:
    by_system = [{size.size: size for size in curve.sizes} for curve in curves]
    sizes = sorted({size for row in by_system for size in row})
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            _leads(size),
            *(row[size].score if size in row else "not evaluated" for row in by_system),
        )
        for size in sizes
    )
    caption = f"Mean {curves[0].metric} by number of leads, {curves[0].kind}"
    return Table(
        caption=caption, columns=("Leads", *(curve.system for curve in curves)), rows=rows, folded=True
    )


def _extremes_table(curves: Sequence[LeadCurve]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{curve.system}, {_leads(size.size)}", str(size.subsets), _subset(size.worst), _subset(size.best))
        for curve in curves
        for size in curve.sizes
    )
    caption = f"Worst and best subset of each size, {curves[0].kind}"
    return Table(caption=caption, columns=("System", "Subsets", "Worst", "Best"), rows=rows, folded=True)


def _maps(importance: LeadImportance) -> list[Figure]:
    falls = {worth.lead: worth.fall.value for worth in importance.leads}
    alone = {w.lead: w.alone.value for w in importance.leads if w.alone is not None}
    named = f"{importance.system}, {importance.kind}"
    figures = [
        lead_map_figure(
            falls,
            caption=f"{importance.system}: what is lost without a lead",
            meaning=f"Fall of {importance.metric} without each lead, {named}",
            palest=0.0,
        )
    ]
    if alone:
        figures.append(
            lead_map_figure(
                alone,
                caption=f"{importance.system}: what a lead says alone",
                meaning=f"{importance.metric} from each lead alone, {named}",
            )
        )
    return figures


def _worth_table(importances: Sequence[LeadImportance]) -> Table:
    names = list(dict.fromkeys(worth.lead for importance in importances for worth in importance.leads))
    by_system = [{worth.lead: worth for worth in importance.leads} for importance in importances]
    has_alone = any(worth.alone is not None for row in by_system for worth in row.values())
    rows: list[tuple[Cell, ...]] = []
    for lead in names:
        row: list[Cell] = [lead]
        for worths in by_system:
            worth = worths.get(lead)
            row.append("not evaluated" if worth is None else signed(worth.fall))
            if has_alone:
                row.append("not evaluated" if worth is None or worth.alone is None else worth.alone)
        rows.append(tuple(row))
    columns = ["Lead"]
    for importance in importances:
        columns.append(f"{importance.system}: lost without it")
        columns += [f"{importance.system}: alone"] if has_alone else []
    return Table(caption="What each lead is worth", columns=tuple(columns), rows=tuple(rows), folded=True)


def _falls_table(falls: Mapping[str, Mapping[str, Interval]]) -> Table:
    names = list(dict.fromkeys(name for row in falls.values() for name in row))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(signed(row[name]) if name in row else "not evaluated" for row in falls.values()))
        for name in names
    )
    caption = "Fall of macro AUROC with wrong leads (above zero: worse)"
    return Table(caption=caption, columns=("Fault", *falls), rows=rows, folded=True)


def _notes(
    curves: Sequence[LeadCurve],
    importances: Sequence[LeadImportance],
    faults: Mapping[str, Mapping[str, Interval]] | None,
) -> list[str]:
    notes = [question for kind, question in QUESTIONS.items() if any(c.kind == kind for c in curves)]
    if curves:
        notes.append(
            "Subsets of the twelve leads are a fixed sample, five of each size where there are as many "
            "(docs/lead_protocol.md); every number of leads weighs the same."
        )
    for curve in curves:
        if curve.missing:
            notes.append(_missing(curve))
    if importances:
        notes.append(
            "On the body: the darker, the larger the number; orange where the score is higher without the "
            "lead."
        )
    if faults:
        notes.append("Wrong leads: the probe was fitted on clean recordings and is not told of the fault.")
    return notes


def _missing(curve: LeadCurve) -> str:
    named = "; ".join(",".join(leads) for leads in curve.missing[:_MOST_MISSING_NAMED])
    more = len(curve.missing) - _MOST_MISSING_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return (
        f"{curve.system}, {curve.kind}: no number, because {len(curve.missing)} subsets were not judged: "
        f"{named}{rest}."
    )


def _leads(size: int) -> str:
    return "1 lead" if size == 1 else f"{size} leads"


def _subset(one: SubsetScore | None) -> str:
    return "undefined" if one is None else f"{one.score.value:.3f} ({_names(one.leads)})"


def _names(leads: Leads) -> str:
    return "all" if len(leads) == 12 else ",".join(leads)


def _fault(condition: str) -> str:
    """Returns what a condition is called in a table: ``wrong-flat-II`` is ``II flat``."""
    name = condition.removeprefix("wrong-")
    for what in ("flat", "noisy"):
        if name.startswith(f"{what}-"):
            return f"{name.removeprefix(f'{what}-')} {what}"
    return _FAULTS.get(name, condition)
