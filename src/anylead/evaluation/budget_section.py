"""Sections of what was fitted with few labels, and of the read-out that was chosen."""

from collections.abc import Mapping, Sequence

from anylead.evaluation.figures import line_figure
from anylead.evaluation.label_budgets import BudgetResult
from anylead.evaluation.readout_choice import ReadoutChoice, ReadoutTrial
from anylead.evaluation.report import Cell, Section, Table


def budget_section(
    results: Sequence[BudgetResult],
    *,
    title: str = "Label budgets",
    notes: Sequence[str] = (),
) -> Section:
    """Returns a table and a curve of the macro AUROC over the number of training recordings.

    Args:
        results: Of any systems, from `evaluate_label_budgets`.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    run = [result for result in results if not result.too_small]
    tables, figures = [], []
    if run:
        tables.append(_budget_table(results))
        tables.append(_draws_table(run))
        figures.append(
            line_figure(
                {
                    system: [(one.recordings, one.macro_auroc_common) for one in run if one.system == system]
                    for system in dict.fromkeys(one.system for one in run)
                },
                caption="Macro AUROC by training recordings",
                axis="macro AUROC",
                x_axis="training recordings",
                log_x=True,
                references={"chance": 0.5},
            )
        )
    return Section(
        title=title, notes=(*notes, *_budget_notes(results)), tables=tuple(tables), figures=tuple(figures)
    )


def readout_section(
    choices: Mapping[str, ReadoutChoice],
    *,
    title: str = "Read-out",
    notes: Sequence[str] = (),
) -> Section:
    """Returns which layer, pooling and whitening were chosen, and all that was tried.

    Args:
        choices: What was chosen for (a system and a task) to the choice.
        title: Of the section.
        notes: Sentences of the caller, put first.
    """
    told = [
        f"{name}: {_place(choice.chosen)}, by {choice.metric} on {choice.judged_on}."
        for name, choice in choices.items()
    ]
    rule = (
        "Layer and pooling are chosen without a look at the test, from the same candidates for every encoder."
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{name}: {_place(trial)}",
            _number(trial.score),
            _number(trial.equal_error_rate) if trial.equal_error_rate is not None else "",
            "chosen" if trial == choice.chosen else "",
        )
        for name, choice in choices.items()
        for trial in choice.tried
    )
    columns: tuple[str, ...] = ("Candidate", "Score", "Equal error rate", "Choice")
    if not any(row[2] for row in rows):
        columns, rows = columns[:2] + columns[3:], tuple(row[:2] + row[3:] for row in rows)
    table = Table(caption="Read-outs tried", columns=columns, rows=rows, folded=True)
    return Section(title=title, notes=(*notes, *told, rule), tables=(table,) if rows else ())


def _budget_table(results: Sequence[BudgetResult]) -> Table:
    fractions = sorted({result.fraction for result in results})
    systems = dict.fromkeys(result.system for result in results)
    found = {(result.system, result.fraction): result for result in results}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (system, *(_cell(found.get((system, fraction))) for fraction in fractions)) for system in systems
    )
    columns = ("System", *(_budget(fraction, results) for fraction in fractions))
    return Table(caption="Macro AUROC by label budget, mean over draws", columns=columns, rows=rows)


def _cell(result: BudgetResult | None) -> Cell:
    if result is None:
        return "not evaluated"
    return "too small" if result.too_small else result.macro_auroc_common


def _draws_table(run: Sequence[BudgetResult]) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{one.system}, {one.fraction:.0%}",
            str(one.recordings),
            str(one.patients),
            "one draw" if one.spread is None else f"{one.spread[0]:.3f} to {one.spread[1]:.3f}",
            one.macro_auroc,
            str(one.classes),
            ", ".join(one.left_out) or "none",
        )
        for one in run
    )
    columns = (
        "System and budget",
        "Recordings",
        "Patients",
        "Range over draws",
        "Over this budget's classes",
        "Classes",
        "Classes left out",
    )
    return Table(caption="Draws and classes of each budget", columns=columns, rows=rows, folded=True)


def _budget(fraction: float, results: Sequence[BudgetResult]) -> str:
    sizes = sorted({result.recordings for result in results if result.fraction == fraction})
    told = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{fraction:.0%} ({told})"


def _budget_notes(results: Sequence[BudgetResult]) -> list[str]:
    run = [result for result in results if not result.too_small]
    notes = []
    if run:
        most = max(len(result.per_draw) for result in run)
        notes.append(
            "The linear probe, fitted on a part of the training patients with all their recordings; a small "
            f"budget is a part of each larger one. Mean over {most} draws (the whole has one); in brackets "
            "the 95 % interval over resampled test patients, which does not cover the choice of the draws: "
            "their range stands in the second table."
        )
        notes.append(
            "The strength of the penalty is chosen inside each budget, by cross-validation by patient, so at "
            "100 % it may differ a little from the probe that uses the validation recordings."
        )
        common = sorted({result.common_classes for result in run})
        told = f"{common[0]}" if len(common) == 1 else f"{common[0]} to {common[-1]}"
        notes.append(
            f"Budgets of a system are compared on the {told} classes that all of its budgets can learn."
        )
    small = {
        f"{result.fraction:.0%} ({result.recordings} recordings of {result.patients} patients)": None
        for result in results
        if result.too_small
    }
    if small:
        notes.append(f"Too small to run: {', '.join(small)}.")
    return notes


def _place(trial: ReadoutTrial) -> str:
    layer = "last layer" if trial.layer is None else f"layer {trial.layer}"
    pooling = trial.pooling.replace("mean_std_max", "mean, deviation and maximum")
    pooling = pooling.replace("mean_std", "mean and deviation")
    whitened = {None: "", True: ", whitened", False: ", not whitened"}[trial.is_whitened]
    return f"{layer}, {pooling} over time{whitened}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
