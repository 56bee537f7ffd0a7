"""The section that compares systems at one set of leads: one row a system, one column a number."""

from collections.abc import Callable, Sequence

from anylead.evaluation.figures import Figure, interval_figure
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import ClassificationResult, Interval
from anylead.evaluation.sections import INTERVAL_NOTE

_MOST_DRAWN = 8


def benchmark_section(
    results: Sequence[ClassificationResult],
    *,
    drawn: Sequence[str] = (),
    title: str = "Classification",
    notes: Sequence[str] = (),
) -> Section:
    """Returns one table of all systems, one of every class, and a figure.

    Args:
        results: Of any systems at one set of leads.
        drawn: Systems in the figure and in the table of classes; the first eight where none is named.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    names = list(drawn) or [one.system for one in results[:_MOST_DRAWN]]
    shown = [one for name in names for one in results if one.system == name]
    ordered = sorted(results, key=lambda one: -(one.macro_auroc.value or 0.0))
    return Section(
        title=title,
        notes=(*notes, *_sizes(results), INTERVAL_NOTE),
        tables=(_systems_table(ordered), _class_table(shown)),
        figures=_figures(shown),
    )


def _systems_table(results: Sequence[ClassificationResult]) -> Table:
    picks: dict[str, Callable[[ClassificationResult], Interval]] = {
        "Macro AUROC": lambda one: one.macro_auroc,
        "Macro AUPRC": lambda one: one.macro_auprc,
        "Challenge score": lambda one: one.challenge_score,
    }
    rows: list[tuple[Cell, ...]] = [(one.system, *(pick(one) for pick in picks.values())) for one in results]
    return Table(
        caption="All systems, the best macro AUROC first", columns=("System", *picks), rows=tuple(rows)
    )


def _class_table(results: Sequence[ClassificationResult]) -> Table:
    if not results:
        return Table(caption="AUROC of each class", columns=("Class",), rows=())
    scores = [{score.name: score for score in one.per_class} for one in results]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (score.name, str(score.positives), *(by_name[score.name].auroc for by_name in scores))
        for score in results[0].per_class
    )
    columns = ("Class", "Positives", *(one.system for one in results))
    return Table(caption="AUROC of each class", columns=columns, rows=rows, folded=True)


def _figures(results: Sequence[ClassificationResult]) -> tuple[Figure, ...]:
    if not results:
        return ()
    values = {one.system: {"macro AUROC": one.macro_auroc} for one in results}
    return (
        interval_figure(
            values, caption="Macro AUROC", axis="macro AUROC", columns_axis="", references={"chance": 0.5}
        ),
    )


def _sizes(results: Sequence[ClassificationResult]) -> list[str]:
    if not results:
        return []
    first = results[0]
    told = [f"{first.records} recordings of {first.patients} patients, {len(first.per_class)} classes."]
    if first.undefined_classes:
        told.append(f"Left out of the means, having one outcome only: {', '.join(first.undefined_classes)}.")
    return told
