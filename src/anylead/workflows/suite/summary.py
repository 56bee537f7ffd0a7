"""What stands first in the report: what is claimed, against whom, and what is missing."""

from collections.abc import Mapping, Sequence

from anylead.evaluation.multiplicity import beats_all, resamples_needed
from anylead.evaluation.report import Section, Table
from anylead.evaluation.results import Difference
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.parts import Part

_SHOWN = 3
_WHAT = {"Classification": "finding classes (macro AUROC)", "Identification": "finding the person (Rank-1)"}


def summary(contest: Contest, parts: Sequence[Part], claims: Mapping[str, Sequence[Difference]]) -> list[str]:
    """Returns the sentences of the summary."""
    sentences = []
    if contest.task is not None:
        test = contest.task.parts["test"]
        sentences.append(
            f"{contest.judged.name} was judged on {len(test)} labelled recordings of "
            f"{len(set(test.persons))} patients nobody trained on, {len(contest.task.classes)} classes."
        )
    sentences += [claim_sentence(what, found) for what, found in claims.items()]
    sentences += [line for part in parts for line in part.headlines]
    sentences += contest.notes
    missing = [*contest.missing, *(line for part in parts for line in part.missing)]
    if missing:
        sentences.append("Missing from this report. " + " ".join(missing))
    return sentences


def claim_sentence(what: str, differences: Sequence[Difference]) -> str:
    """Says whether the judged model beats every baseline, and against whom it does not."""
    task = _WHAT.get(what, what.lower())
    model, count = differences[0].a, len(differences)
    if beats_all(differences):
        return f"{model} is better than all {count} baselines at {task}, corrected for {count} comparisons."
    lost = [one for one in differences if not beats_all([one])]
    named = "; ".join(f"{one.b}: {one.interval}" for one in _hardest(lost)[:_SHOWN])
    return (
        f"That pre-training helps at {task} is not shown: {model} is better than {count - len(lost)} of "
        f"{count} baselines. Hardest, with the difference: {named}."
    )


def claims_section(contest: Contest, claims: Mapping[str, Sequence[Difference]]) -> Section:
    """Returns every comparison that the claims rest on."""
    tables = []
    for what, differences in claims.items():
        rows = tuple(
            (one.b, one.interval, _p(one.p_value), _p(one.p_holm), "yes" if beats_all([one]) else "no")
            for one in _hardest(differences)
        )
        columns = ("Baseline", "Difference", "p", "p, corrected", f"{contest.judged.name} is better")
        tables.append(
            Table(
                caption=f"Difference: {differences[0].a} minus each baseline, {_WHAT.get(what, what)}",
                columns=columns,
                rows=rows,
            )
        )
    return Section(
        title="Does pre-training help?",
        notes=(
            "It is said to help only where it beats every baseline: untrained encoders, hand-made "
            "features, networks trained with labels. Differences are taken on the same resamples of the "
            "patients; p is two-sided, from these, and corrected within each table by Holm's method. The "
            "hardest stand first.",
            *_too_few_resamples(contest, claims),
        ),
        tables=tuple(tables),
    )


def _too_few_resamples(contest: Contest, claims: Mapping[str, Sequence[Difference]]) -> list[str]:
    """Says where no difference could have been significant, however large."""
    needed = max(resamples_needed(len(differences)) for differences in claims.values())
    if contest.config.resamples >= needed:
        return []
    return [
        f"With {contest.config.resamples} resamples no difference can be shown among so many baselines; "
        f"{needed} are needed."
    ]


def _hardest(differences: Sequence[Difference]) -> list[Difference]:
    """Returns the smallest differences first."""
    return sorted(
        differences, key=lambda one: float("inf") if one.interval.value is None else one.interval.value
    )


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
