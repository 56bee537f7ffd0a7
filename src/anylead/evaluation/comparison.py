"""Two reports compared on the recordings both judged: paired differences, resample by resample.

The resamples are drawn once, of all patients both judged, so that a difference can also be averaged over
conditions. The differences of one table are corrected together by Holm's procedure, and so are the means.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from anylead.errors import InputError
from anylead.evaluation.bootstrap import own_names, patient_draws, percentile_interval
from anylead.evaluation.multiplicity import SIGNIFICANCE, bootstrap_p_value, holm
from anylead.evaluation.paired_blocks import BothValues, PairedValues, pair_blocks
from anylead.evaluation.predictions import BlockKey, Task
from anylead.evaluation.predictions_file import Predictions
from anylead.evaluation.results import Interval, defined

METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("macro_auroc", "macro_auprc"),
    "identification": ("rank1", "rank1_cross_session"),
}
"""Of each task; the first decides. More is better in all of them."""

Verdict = Literal["A better", "B better", "not shown", "identical", "undefined"]
Blocks = tuple[BlockKey, BlockKey]


@dataclass(frozen=True, kw_only=True, order=True)
class Pair:
    """A system of the first report and one of the second."""

    a: str
    b: str


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A minus B in one metric."""

    task: Task
    protocol: str
    condition: str
    """Empty for a mean over conditions."""
    pair: Pair
    metric: str
    a: float | None
    b: float | None
    difference: Interval
    records: int
    """Judged by both; of a mean, under the condition with most."""
    patients: int
    conditions: int = 1
    """Averaged over."""
    p_value: float | None = None
    """Two-sided, from the resamples."""
    p_holm: float | None = None
    """Corrected over the family: the conditions of one table, or all means."""
    verdict: Verdict = "undefined"


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """A minus B in the AUROC of one class; not corrected for how many classes there are."""

    protocol: str
    condition: str
    pair: Pair
    name: str
    positives: int
    a: float | None
    b: float | None
    difference: Interval


@dataclass(frozen=True, kw_only=True)
class OneSided:
    """Recordings that only one of two blocks has; they are left out."""

    a: BlockKey
    b: BlockKey
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Two blocks that cannot be paired, and why."""

    a: BlockKey
    b: BlockKey
    reason: str


@dataclass(frozen=True, kw_only=True)
class PairedPart:
    """What two files of predictions say against each other."""

    differences: tuple[PairedDifference, ...] = ()
    means: tuple[PairedDifference, ...] = ()
    """Over the conditions of a task and protocol, in the metric that decides first."""
    classes: tuple[ClassDifference, ...] = ()
    one_sided: tuple[OneSided, ...] = ()
    refused: tuple[Refused, ...] = ()
    records: int = 0
    """In both files."""
    patients: int = 0


def compare_predictions(
    a: Predictions,
    b: Predictions,
    pairs: Sequence[Pair],
    *,
    resamples: int = 1000,
    seed: int = 0,
    wrap: Callable[[Sequence[Blocks]], Iterable[Blocks]] = iter,
) -> PairedPart:
    """Compares systems on the recordings, classes and probes that both files have.

    Args:
        a: Of the first report.
        b: Of the second.
        pairs: Which systems; each is compared wherever both were judged in the same way.
        resamples: Of the patients.
        seed: Of the resamples.
        wrap: Wraps the pairs of blocks, to show progress.

    Raises:
        InputError: If the files are of different stores, have no recording in common, or disagree on whose
            the recordings are: then no difference would be paired.
        FileError: If a block cannot be read.
    """
    if a.stores != b.stores:
        raise InputError(
            f"the reports are of different stores, {', '.join(a.stores) or 'none'} and "
            f"{', '.join(b.stores) or 'none'}; evaluate both on the same ones."
        )
    persons = _persons(a.patients(), b.patients())
    draws = patient_draws([persons[name] for name in sorted(persons)], resamples=resamples, seed=seed)
    found: list[tuple[BlockKey, Pair, PairedValues]] = []
    one_sided: list[OneSided] = []
    refused: list[Refused] = []
    for one, other in wrap(shared_blocks(a.keys, b.keys, pairs)):
        left, right = a.block(one), b.block(other)
        only = [
            tuple(sorted(set(x.record_ids) - set(y.record_ids))) for x, y in ((left, right), (right, left))
        ]
        if any(only):
            one_sided.append(OneSided(a=one, b=other, only_a=only[0], only_b=only[1]))
        try:
            values = pair_blocks(left, right, classes=(a.classes, b.classes), persons=persons, draws=draws)
        except InputError as error:
            refused.append(Refused(a=one, b=other, reason=str(error)))
        else:
            found.append((one, Pair(a=one.system, b=other.system), values))
    means = _corrected(_means(found), lambda one: one.pair)
    return PairedPart(
        differences=tuple(_as_in_means(_corrected(_differences(found), by_table), means)),
        means=tuple(means),
        classes=tuple(_class_differences(found)),
        one_sided=tuple(one_sided),
        refused=tuple(refused),
        records=len(persons),
        patients=len(draws.patients),
    )


def shared_blocks(a: Sequence[BlockKey], b: Sequence[BlockKey], pairs: Sequence[Pair]) -> list[Blocks]:
    """Returns the blocks of each pair that were judged in the same way, in the order of the first."""
    there = set(b)
    both = [(key, replace(key, system=pair.b)) for pair in pairs for key in a if key.system == pair.a]
    return [(key, other) for key, other in both if other in there]


def by_table(one: PairedDifference) -> tuple[Pair, str, str, str]:
    """Returns what the differences of a table, corrected together, have in common."""
    return one.pair, one.task, one.protocol, one.metric


def _persons(a: Mapping[str, str | None], b: Mapping[str, str | None]) -> dict[str, str]:
    """Returns whose each recording in both files is, named by the person's first recording.

    So named, the resamples do not depend on what a report calls its patients.
    """
    names = sorted(set(a) & set(b))
    if not names:
        raise InputError(
            "the reports have no recording in common; evaluate both on the same split of the same store."
        )
    of_a, of_b = (_first_recordings(names, patients) for patients in (a, b))
    apart = [name for name in names if of_a[name] != of_b[name]]
    if apart:
        raise InputError(
            f"the reports disagree on whose {len(apart)} recordings are, such as {apart[0]}; "
            "evaluate both on the same store."
        )
    return of_a


def _first_recordings(names: Sequence[str], patients: Mapping[str, str | None]) -> dict[str, str]:
    first: dict[str, str] = {}
    persons = own_names([patients[name] for name in names])
    return {name: first.setdefault(person, name) for name, person in zip(names, persons, strict=True)}


def _differences(found: Sequence[tuple[BlockKey, Pair, PairedValues]]) -> list[PairedDifference]:
    return [
        _difference(
            both,
            task=key.task,
            protocol=key.protocol,
            condition=key.condition,
            pair=pair,
            metric=metric,
            records=values.records,
            patients=values.patients,
        )
        for key, pair, values in found
        for metric, both in values.metrics.items()
    ]


def _means(found: Sequence[tuple[BlockKey, Pair, PairedValues]]) -> list[PairedDifference]:
    """Returns the means over conditions; of one condition, the difference itself."""
    groups: dict[tuple[Pair, Task, str], list[tuple[str, PairedValues]]] = {}
    for key, pair, values in found:
        both = values.metrics[METRICS[key.task][0]]
        if not any(np.isnan(one[0]) for one in both):
            groups.setdefault((pair, key.task, key.protocol), []).append((key.condition, values))
    means = []
    for (pair, task, protocol), members in groups.items():
        metric = METRICS[task][0]
        # Everybody is drawn together, so a resample of one condition is that of every other.
        left, right = (
            np.mean([values.metrics[metric][side] for _, values in members], axis=0) for side in (0, 1)
        )
        means.append(
            _difference(
                (left, right),
                task=task,
                protocol=protocol,
                condition=members[0][0] if len(members) == 1 else "",
                pair=pair,
                metric=metric,
                records=max(values.records for _, values in members),
                patients=max(values.patients for _, values in members),
                conditions=len(members),
            )
        )
    return means


def _difference(both: BothValues, **where: Any) -> PairedDifference:
    left, right = both
    apart = left - right
    interval = percentile_interval(float(apart[0]), apart[1:])
    is_identical = bool((apart == 0.0).any() and not (apart[~np.isnan(apart)] != 0.0).any())
    return PairedDifference(
        a=defined(float(left[0])),
        b=defined(float(right[0])),
        difference=interval,
        p_value=bootstrap_p_value(apart[1:]) if interval.low is not None else None,
        verdict="identical" if is_identical else "undefined",
        **where,
    )


def _class_differences(found: Sequence[tuple[BlockKey, Pair, PairedValues]]) -> list[ClassDifference]:
    return [
        ClassDifference(
            protocol=key.protocol,
            condition=key.condition,
            pair=pair,
            name=name,
            positives=values.positives[name],
            a=defined(float(left[0])),
            b=defined(float(right[0])),
            difference=percentile_interval(float(left[0] - right[0]), (left - right)[1:]),
        )
        for key, pair, values in found
        for name, (left, right) in values.class_auroc.items()
    ]


def _corrected(
    differences: Sequence[PairedDifference], family: Callable[[PairedDifference], Hashable]
) -> list[PairedDifference]:
    """Corrects the differences of each family, and says what each then shows."""
    families: dict[Hashable, list[int]] = {}
    for place, one in enumerate(differences):
        if one.p_value is not None:
            families.setdefault(family(one), []).append(place)
    corrected = list(differences)
    for places in families.values():
        adjusted = holm([differences[place].p_value or 0.0 for place in places])
        for place, p_holm in zip(places, adjusted, strict=True):
            one = differences[place]
            corrected[place] = replace(one, p_holm=float(p_holm), verdict=_verdict(one, float(p_holm)))
    return corrected


def _as_in_means(
    differences: Sequence[PairedDifference], means: Sequence[PairedDifference]
) -> list[PairedDifference]:
    """Lets a difference that is its own mean show what the mean shows: one question has one answer."""
    told = {(*by_table(one), one.condition): one for one in means if one.conditions == 1}
    found = []
    for one in differences:
        same = told.get((*by_table(one), one.condition))
        found.append(one if same is None else replace(one, p_holm=same.p_holm, verdict=same.verdict))
    return found


def _verdict(one: PairedDifference, p_holm: float) -> Verdict:
    if one.verdict == "identical" or one.difference.value is None:
        return one.verdict
    if p_holm >= SIGNIFICANCE or not one.difference.excludes_zero:
        return "not shown"
    return "A better" if one.difference.value > 0.0 else "B better"
