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
from anylead.workflows.suite.plan import ASKED, CLEAN, ROBUSTNESS, asked_of, passes_over
from anylead.workflows.suite.scoring import answered_by_all, macro_auroc_values

Curves = Mapping[str, Mapping[str, list[tuple[float, Interval]]]]
"""System to kind of disturbance to (level, score)."""


def robustness_passes(contest: Contest) -> list[Pass]:
    """Returns the passes of this part."""
    return [
        one
        for family in ROBUSTNESS
        for one in passes_over(contest.main, asked_of(contest.judged, conditions_of(family)), ASKED)
    ]


def robustness_part(contest: Contest) -> Part:
    """Judges every graded disturbance, on the recordings to which it applies.

    Raises:
        ConfigError: If nothing can be judged.
    """
    curves: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    recordings: dict[str, dict[float, int]] = {}
    missing = []
    found, undisturbed = _values(contest, CLEAN)
    clean = {one.name: _interval(values) for one, values in zip(contest.main, found, strict=True)}
    for family in ROBUSTNESS:
        for condition in conditions_of(family):
            if not contest.judged.knows(condition):
                missing.append(condition.name)
                continue
            try:
                found, count = _values(contest, condition)
            except ConfigError:
                missing.append(condition.name)
                continue
            kind = condition.kind if family == "noise" else family
            recordings.setdefault(kind, {})[float(condition.level or 0.0)] = count
            for one, values in zip(contest.main, found, strict=True):
                points = curves.setdefault(one.name, {}).setdefault(kind, [])
                points.append((float(condition.level or 0.0), _interval(values)))
    if not curves:
        raise ConfigError("no recording has an embedding under any disturbance; give embeddings of some.")
    notes = [f"No recording for {', '.join(missing)}."] if missing else []
    section = robustness_section(
        curves, clean=clean, recordings=recordings, clean_recordings=undisturbed, notes=notes
    )
    counts = {"clean": undisturbed, **recordings}
    return Part(sections=(section,), results=({"robustness": curves, "clean": clean, "recordings": counts},))


def _values(contest: Contest, condition: Condition) -> tuple[list[np.ndarray], int]:
    """Returns the macro AUROC of each system, and on how many recordings."""
    given = [
        Answers(
            system=one.name,
            protocol="probe",
            test=contest.probes.ask(one, contest.probes.fit(one, CLEAN), condition, "test"),
        )
        for one in contest.main
    ]
    return macro_auroc_values(given, contest.probes.task), int(answered_by_all(given).sum())


def _interval(values: np.ndarray) -> Interval:
    return percentile_interval(float(values[0]), values[1:])
