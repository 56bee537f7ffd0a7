"""The label budget part: how few labels a probe needs."""

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from anylead.evaluation.budget_section import budget_section
from anylead.evaluation.label_budgets import BudgetConfig, BudgetResult, evaluate_label_budgets
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.parts import Part
from anylead.workflows.suite.plan import CLEAN
from anylead.workflows.suite.task import finite_rows


def budget_part(contest: Contest) -> Part:
    """Fits the probe on 1, 5, 10 and 100 % of the training patients.

    Raises:
        ConfigError: If nothing can be classified.
    """
    task, config = contest.probes.task, contest.config
    vectors = {
        one.name: {part: contest.passes.vectors(one, CLEAN, part) for part in ("train", "test")}
        for one in contest.main
    }
    rows = {part: finite_rows(*(found[part] for found in vectors.values())) for part in ("train", "test")}
    results: list[BudgetResult] = []
    with threadpool_limits(1):
        for name, found in vectors.items():
            results += evaluate_label_budgets(
                found["train"][rows["train"]].astype(np.float64),
                task.labels["train"][rows["train"]],
                found["test"][rows["test"]].astype(np.float64),
                task.labels["test"][rows["test"]],
                patients=task.parts["train"].keep(rows["train"]).persons,
                test_patients=task.parts["test"].keep(rows["test"]).persons,
                draws=task.draws,
                classes=task.classes,
                system=name,
                config=BudgetConfig(draws=config.label_draws, seed=config.seed),
            )
    return Part(sections=(budget_section(results),), results=tuple(results))
