"""What stands first in the report: what is claimed, against whom, and what is missing."""

from collections.abc import Mapping, Sequence

from anylead.evaluation.multiplicity import beats_all, reads_as, resamples_needed
from anylead.evaluation.report import Section, Table
from anylead.evaluation.results import Difference
from anylead.evaluation.sections import INTERVAL_NOTE
from anylead.workflows.selection import unknown_patients
from anylead.workflows.suite.config import EmbeddingsConfig
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
    sentences += unknown_patients(contest.stores)
    sentences += [claim_sentence(what, found) for what, found in claims.items()]
    sentences += absent_baselines(contest) if claims else []
    sentences += [line for part in parts for line in part.headlines]
    sentences += contest.notes
    missing = _by_reason([line for part in parts for line in part.missing])
    if missing:
        sentences.append("Missing from this report. " + " ".join(missing))
    return sentences


def _by_reason(missing: Sequence[str]) -> list[str]:
    """Returns what is missing, parts that lack the same thing in one sentence."""
    named: dict[str, list[str]] = {}
    for line in missing:
        what, _, reason = line.partition(": ")
        named.setdefault(reason.removeprefix("classification: "), []).append(what)
    return [f"{'; '.join(parts)}: {reason}" for reason, parts in named.items()]


def claim_sentence(what: str, differences: Sequence[Difference]) -> str:
    """Says whether the judged model beats every baseline, and against whom it does not."""
    task = _WHAT.get(what, what.lower())
    model, count = differences[0].a, len(differences)
    if beats_all(differences):
        return f"{model} is better than all {count} baselines at {task}, corrected for {count} comparisons."
    lost = [one for one in differences if not beats_all([one])]
    worse = sum(reads_as(one) == "worse" for one in lost)
    named = "; ".join(f"{one.b}: {one.interval}" for one in _hardest(lost)[:_SHOWN])
    return (
        f"That pre-training helps at {task} is not shown: {model} is better than {count - len(lost)} of "
        f"{count} baselines and worse than {worse}. Hardest, with the difference: {named}."
    )


def absent_baselines(contest: Contest) -> list[str]:
    """Says which baselines a claim of this report was not made against."""
    absent = []
    if isinstance(contest.config, EmbeddingsConfig):
        own = (
            f"Not among the baselines: the architecture of {contest.judged.name}, untrained or trained from "
            "scratch, which embeddings do not tell how to build"
        )
        if contest.ours is None:
            return [f"{own}, nor any other network."]
        absent.append(f"{own}; the untrained encoders are ours ({contest.config.untrained_encoder}).")
    if contest.quick:
        absent.append(
            "Not among the baselines of a quick report: networks trained with labels, and untrained encoders "
            "of other preparations and initial weights."
        )
    return absent


def reading_section(contest: Contest) -> Section:
    """Returns what the names and brackets of the whole page mean."""
    names = [f"{contest.judged.name}: the model that is judged."]
    if contest.beside:
        told = ", ".join(one.name for one in contest.beside)
        names.append(f"{told}: given beside it, judged in the same way.")
    if contest.untrained and isinstance(contest.config, EmbeddingsConfig):
        names.append(
            f"untrained 0, 1, ...: an encoder of ours ({contest.config.untrained_encoder}) with random "
            "weights of that seed, never trained; prepared as the store is, unless the name says more."
        )
    elif contest.untrained:
        names.append(
            "untrained 0, 1, ...: the judged architecture with random weights of that seed, never trained; "
            "otherwise prepared and read alike, unless the name says more."
        )
    names.append(
        "hand-made features: rate and regularity, axis, waves and the median beat of a recording; median "
        "beat: that alone, to recognise persons by. Neither is learnt."
    )
    ways = "probe: a logistic regression on frozen embeddings; k-NN: the nearest training recordings"
    if contest.networks and isinstance(contest.config, EmbeddingsConfig):
        ways += "; supervised: all weights trained with labels"
    elif contest.networks:
        ways += (
            "; attentive probe: one learned query over a frozen encoder's tokens; fine-tuned, from scratch "
            "and supervised: all weights trained with labels"
        )
    return Section(title="How to read this page", notes=(*names, f"{ways}.", INTERVAL_NOTE))


def claims_section(contest: Contest, claims: Mapping[str, Sequence[Difference]]) -> Section:
    """Returns every comparison that the claims rest on."""
    tables = []
    for what, differences in claims.items():
        rows = tuple(
            (one.b, one.interval, _p(one.p_value), _p(one.p_holm), reads_as(one))
            for one in _hardest(differences)
        )
        columns = ("Baseline", "Difference", "p", "p, corrected", f"{contest.judged.name} is")
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
            "patients; p is two-sided, from these, and corrected within each table by Holm's method. Better "
            "or worse: corrected p below 0.05 and an interval without zero. The hardest stand first.",
            *absent_baselines(contest),
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
