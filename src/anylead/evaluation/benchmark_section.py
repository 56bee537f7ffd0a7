"""The section that compares systems at one set of leads: one row a system, one column a number."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from anylead.evaluation.figures import Figure
from anylead.evaluation.forest_figure import forest_figure
from anylead.evaluation.reliability_figure import reliability_figure
from anylead.evaluation.report import Cell, Section, Table
from anylead.evaluation.results import ClassificationResult, Interval
from anylead.evaluation.sections import INTERVAL_NOTE

_MOST_DRAWN = 8
_READING = (
    INTERVAL_NOTE,
    "Clean: classes with at least 10 positives and 10 negatives. Thresholds of F1 and of the Challenge score "
    "were chosen on validation recordings. Micro: all decisions (a recording, a class) taken together. "
    "Calibration error: ten bins of equally many recordings.",
)


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
        notes=(*notes, *_sizes(results), *_READING),
        tables=(
            _systems_table(ordered),
            _calibration_table(ordered),
            _class_table(shown),
            *_judged_table(shown),
        ),
        figures=_figures(shown),
    )


def _systems_table(results: Sequence[ClassificationResult]) -> Table:
    picks: dict[str, Callable[[ClassificationResult], Interval | None]] = {
        "Macro AUROC": lambda one: one.macro_auroc,
        "Clean macro AUROC": lambda one: one.clean_macro_auroc,
        "Macro AUPRC": lambda one: one.macro_auprc,
        "Clean macro AUPRC": lambda one: one.clean_macro_auprc,
        "Micro AUROC": lambda one: one.micro_auroc,
        "Micro AUPRC": lambda one: one.micro_auprc,
        "Challenge score": lambda one: one.challenge_score,
    }
    return _table("All systems, the best macro AUROC first", results, picks)


def _calibration_table(results: Sequence[ClassificationResult]) -> Table:
    levels = dict.fromkeys(level for one in results for level in one.macro_sensitivity)
    picks: dict[str, Callable[[ClassificationResult], Interval | None]] = {
        f"Sensitivity at specificity {level}": partial(_sensitivity, level) for level in levels
    }
    picks |= {
        "Macro F1": lambda one: one.macro_f1,
        "Brier score": lambda one: one.macro_brier,
        "Calibration error": lambda one: None if one.macro_ece is None else Interval(value=one.macro_ece),
    }
    return _table("Operating points and calibration", results, picks, folded=True)


def _sensitivity(level: str, one: ClassificationResult) -> Interval | None:
    return one.macro_sensitivity.get(level)


def _table(
    caption: str,
    results: Sequence[ClassificationResult],
    picks: Mapping[str, Callable[[ClassificationResult], Interval | None]],
    *,
    folded: bool = False,
) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (one.system, *(pick(one) or Interval(value=None) for pick in picks.values())) for one in results
    ]
    return Table(caption=caption, columns=("System", *picks), rows=tuple(rows), folded=folded)


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


def _judged_table(results: Sequence[ClassificationResult]) -> tuple[Table, ...]:
    """Returns everything about each class for the first system."""
    if not results:
        return ()
    rows: list[tuple[Cell, ...]] = []
    for score in results[0].per_class:
        numbers = (score.auprc, *score.sensitivity.values(), score.f1 or Interval(value=None))
        share = "" if score.prevalence is None else f"{100.0 * score.prevalence:.1f} %"
        rows.append((score.name, str(score.positives), share, score.auroc, *numbers))
    levels = [f"Sensitivity at {level}" for level in results[0].per_class[0].sensitivity]
    columns = ("Class", "Positives", "Prevalence", "AUROC", "AUPRC", *levels, "F1")
    caption = f"Every class, {results[0].system}"
    return (Table(caption=caption, columns=columns, rows=tuple(rows), folded=True),)


def _figures(results: Sequence[ClassificationResult]) -> tuple[Figure, ...]:
    if not results:
        return ()
    values = {one.system: one.macro_auroc for one in results}
    forest = forest_figure(values, caption="Macro AUROC", axis="macro AUROC", reference=("chance", 0.5))
    told = {one.system: one.reliability for one in results if one.reliability}
    return (forest, reliability_figure(told)) if told else (forest,)


def _sizes(results: Sequence[ClassificationResult]) -> list[str]:
    if not results:
        return []
    first = results[0]
    told = [f"{first.records} recordings of {first.patients} patients, {len(first.per_class)} classes."]
    if first.undefined_classes:
        told.append(f"Left out of the means, having one outcome only: {', '.join(first.undefined_classes)}.")
    return told
