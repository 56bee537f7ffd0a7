"""The robustness part: the twelve-lead probe of clean recordings, asked about disturbed ones."""

from collections.abc import Mapping

import numpy as np

from anylead.errors import ConfigError
from anylead.evaluation.bootstrap import percentile_interval
from anylead.evaluation.conditions import Condition, conditions_of
from anylead.evaluation.results import Interval
from anylead.evaluation.robustness_section import robustness_section
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.parts import Answers, Part
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import ASKED, CLEAN, ROBUSTNESS, passes_over
from anylead.workflows.suite.scoring import macro_auroc_values
from anylead.workflows.suite.task import finite_rows

Curves = Mapping[str, Mapping[str, list[tuple[float, Interval]]]]
"""System to kind of disturbance to (level, score)."""


def robustness_passes(contest: Contest) -> list[Pass]:
    """Returns the passes of this part."""
    return [one for family in ROBUSTNESS for one in passes_over(contest.main, conditions_of(family), ASKED)]


def robustness_part(contest: Contest) -> Part:
    """Judges every graded disturbance, on the recordings to which it applies.

    Raises:
        ConfigError: If nothing can be judged.
    """
    curves: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    clean: dict[str, Interval] = {}
    missing = []
    for one, values in zip(contest.main, _values(contest, CLEAN), strict=True):
        clean[one.name] = _interval(values)
    for family in ROBUSTNESS:
        for condition in conditions_of(family):
            try:
                found = _values(contest, condition)
            except ConfigError:
                missing.append(condition.name)
                continue
            kind = condition.kind if family == "noise" else family
            for one, values in zip(contest.main, found, strict=True):
                points = curves.setdefault(one.name, {}).setdefault(kind, [])
                points.append((float(condition.level or 0.0), _interval(values)))
    if not curves:
        raise ConfigError("no recording has an embedding under any disturbance; give embeddings of some.")
    notes = [f"No recording for {', '.join(missing)}."] if missing else []
    section = robustness_section(curves, clean=clean, notes=notes)
    return Part(sections=(section,), results=({"robustness": curves, "clean": clean},))


def _values(contest: Contest, condition: Condition) -> list[np.ndarray]:
    given = [
        Answers(
            system=one.name,
            protocol="probe",
            test=contest.probes.ask(one, contest.probes.fit(one, CLEAN), condition, "test"),
        )
        for one in contest.main
    ]
    if not finite_rows(*(one.test for one in given)).any():
        raise ConfigError(f"{condition.name}: it applies to no recording.")
    return macro_auroc_values(given, contest.probes.task)


def _interval(values: np.ndarray) -> Interval:
    return percentile_interval(float(values[0]), values[1:])
