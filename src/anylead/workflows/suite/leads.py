"""The any-lead part (docs/lead_protocol.md): fixed lead sets, sampled subsets, dropped and wrong leads."""

from collections.abc import Mapping, Sequence

import numpy as np

from anylead.errors import ConfigError
from anylead.evaluation.conditions import Condition, conditions_of
from anylead.evaluation.evaluate import paired_difference
from anylead.evaluation.lead_importance import LeadImportance, falls_from, lead_importance
from anylead.evaluation.lead_protocol import Kind, LeadCurve, lead_curve, write_lead_csv
from anylead.evaluation.lead_section import PROBES, fixed_lead_section, lead_section
from anylead.evaluation.results import Interval
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.embedders import Embedder
from anylead.workflows.suite.parts import Answers, Part
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import (
    ASKED,
    FITTED,
    REFITTED,
    asked_of,
    fixed_lead_sets,
    lead_subsets,
    passes_over,
    single_leads,
)
from anylead.workflows.suite.scoring import block, macro_auroc_values, score
from anylead.workflows.suite.task import finite_rows

METRIC = "macro_auroc"
SHIFT: Kind = "shift"
INFORMATION: Kind = "information"
CSV_NAME = "leads.csv"


def lead_passes(contest: Contest) -> list[Pass]:
    """Returns the passes of this part: none without the twelve leads, on which its probes are fitted."""
    if not contest.judged.knows(_all_leads()[0]):
        return []
    passes = passes_over(contest.main, _all_leads(), FITTED)
    passes += passes_over(contest.main, asked_of(contest.judged, fixed_lead_sets()[1:]), REFITTED)
    if not contest.quick:
        asked = (*single_leads(), *conditions_of("drop_lead"), *conditions_of("wrong_lead"))
        passes += passes_over(contest.main, asked_of(contest.judged, lead_subsets()), REFITTED)
        passes += passes_over(contest.main, asked_of(contest.judged, asked), ASKED)
    return passes


def fixed_part(contest: Contest) -> Part:
    """Judges the named lead sets, with the twelve-lead probe and with a probe of their own.

    Raises:
        ConfigError: If no recording can be judged.
    """
    results, predictions, differences = [], [], []
    for condition in (*_all_leads(), *asked_of(contest.judged, fixed_lead_sets()[1:])):
        given = [
            _answers(contest, one, condition, kind) for one in contest.main for kind in (SHIFT, INFORMATION)
        ]
        name = condition.name.removeprefix("lead-set-")
        scored = score(given, contest.probes.task, lead_set=name)
        results += [one.evaluation.result for one in scored.values()]
        predictions += [block(one.answers, contest.probes.task, condition.name) for one in scored.values()]
        for kind in (SHIFT, INFORMATION):
            mine = scored[f"{contest.judged.name}, {_protocol(kind)}"]
            differences += [
                paired_difference(mine.evaluation, other.evaluation, METRIC)
                for other in scored.values()
                if other is not mine and other.answers.protocol == _protocol(kind)
            ]
    return Part(
        sections=(fixed_lead_section(results, differences),),
        results=tuple(results),
        predictions=tuple(predictions),
    )


def subset_part(contest: Contest) -> Part:
    """Judges the sampled subsets, dropped leads and wrong leads; writes every subset as CSV.

    Conditions under which the judged model gives nothing are left out; the section names missing subsets.

    Raises:
        ConfigError: If no recording has all twelve leads, or the judged model gives nothing with fewer.
        FileError: If the table cannot be written.
    """
    subsets, alone, dropped, wrong = (
        asked_of(contest.judged, conditions)
        for conditions in (
            lead_subsets(),
            single_leads(),
            conditions_of("drop_lead"),
            conditions_of("wrong_lead"),
        )
    )
    if not subsets:
        raise ConfigError(
            f"{contest.judged.name} has no embedding of any subset of the leads; give rows for "
            f"{lead_subsets()[0].name} and the others of the protocol."
        )
    curves: list[LeadCurve] = []
    importances: list[LeadImportance] = []
    faults: dict[str, Mapping[str, Interval]] = {}
    for kind in (SHIFT, INFORMATION):
        for one, found in _by_system(contest, subsets, kind).items():
            scores = {tuple(condition.leads): found[condition.name] for condition in subsets}
            curves.append(lead_curve(scores, system=one, kind=kind))
    without = _by_system(contest, (*dropped, *alone, *_all_leads()), SHIFT) if dropped else {}
    for system, found in without.items():
        importances.append(
            lead_importance(
                found[_all_leads()[0].name],
                {one.leads[0]: found[one.name] for one in dropped},
                {one.leads[0]: found[one.name] for one in alone},
                system=system,
            )
        )
    faulty = _by_system(contest, (*wrong, *_all_leads()), SHIFT) if wrong else {}
    for system, found in faulty.items():
        clean = found[_all_leads()[0].name]
        faults[system] = falls_from(clean, {one.name: found[one.name] for one in wrong})
    write_lead_csv(curves, contest.config.out / CSV_NAME)
    counts = _counts(contest)
    section = lead_section(curves, importances, faults, notes=(_counted(counts),))
    results = (*curves, *importances, {"wrong_leads": faults}, {"any_leads_recordings": counts})
    return Part(sections=(section,), results=results, headlines=_headlines(curves, contest))


def _counts(contest: Contest) -> dict[str, dict[str, int]]:
    """Returns how many labelled recordings take part, and how many are left out as a lead is missing.

    Test recordings take part where every system answers every subset; training recordings, of which each
    system has its own, where all have an embedding of twelve leads.
    """
    task = contest.probes.task
    asked = {"train": _all_leads(), "test": (*asked_of(contest.judged, lead_subsets()), *_all_leads())}
    counts = {}
    for part, conditions in asked.items():
        usable = finite_rows(
            *(contest.passes.vectors(one, each, part) for one in contest.main for each in conditions)
        )
        kept = task.parts[part].keep(usable)
        counts[part] = {
            "recordings": len(kept),
            "patients": len(set(kept.persons)),
            "left_out": int((~usable).sum()),
        }
    return counts


def _counted(counts: Mapping[str, Mapping[str, int]]) -> str:
    train, test = counts["train"], counts["test"]
    return (
        f"Judged on {test['recordings']} recordings of {test['patients']} patients, with probes fitted on "
        f"{train['recordings']}: those that have all twelve leads and an embedding of every system. Left "
        f"out: {test['left_out']} test and {train['left_out']} training recordings."
    )


def _answers(contest: Contest, embedder: Embedder, condition: Condition, kind: Kind) -> Answers:
    """Returns what the twelve-lead probe, or a probe fitted on the same leads, says of fewer leads."""
    fitted_on = contest.probes.fit(embedder, _all_leads()[0])
    probe = fitted_on
    if kind == INFORMATION:
        probe = contest.probes.fit(embedder, condition, strength_from=fitted_on)
    return Answers(
        system=embedder.name,
        protocol=_protocol(kind),
        test=contest.probes.ask(embedder, probe, condition, "test"),
    )


def _protocol(kind: Kind) -> str:
    return PROBES[kind]


def _by_system(
    contest: Contest, conditions: Sequence[Condition], kind: Kind
) -> dict[str, dict[str, np.ndarray]]:
    """Returns system to condition to macro AUROC on all patients and on each resample.

    All conditions are judged on the same recordings: those that every system answers under each of them.
    """
    given = {
        (one.name, condition.name): _answers(contest, one, condition, kind)
        for one in contest.main
        for condition in conditions
    }
    common = macro_auroc_values(list(given.values()), contest.probes.task)
    found: dict[str, dict[str, np.ndarray]] = {}
    for (system, condition), scored in zip(given, common, strict=True):
        found.setdefault(system, {})[condition] = scored
    return found


def _all_leads() -> tuple[Condition, ...]:
    return fixed_lead_sets()[:1]


def _headlines(curves: Sequence[LeadCurve], contest: Contest) -> tuple[str, ...]:
    mine = {curve.kind: curve for curve in curves if curve.system == contest.judged.name}
    return (
        f"Any leads: the mean over 1 to 12 leads is {mine[INFORMATION].number} with a probe of these leads "
        f"(information) and {mine[SHIFT].number} with the twelve-lead probe (shift).",
    )
