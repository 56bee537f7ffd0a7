"""The any-lead protocol: one number, one curve and one table for what a model does with any leads there are.

Written so that others can follow it without this code: docs/lead_protocol.md.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from anylead.errors import InputError
from anylead.evaluation.bootstrap import percentile_interval
from anylead.evaluation.results import Interval
from anylead.leads import STANDARD_12
from anylead.provenance import atomic_path

Leads = tuple[str, ...]
Kind = Literal["shift", "information"]
"""Whether the probe was trained on twelve leads (shift) or anew on the subset (information)."""


@cache
def sample_subsets(seed: int = 0, per_size: int = 5) -> tuple[Leads, ...]:
    """Returns the subsets of the twelve leads on which a model is judged, small ones first.

    Of each size those whose text ``seed/I,II,V2`` has the lowest SHA-256: a draw that needs no random number
    generator, so that it is the same in any language.

    Args:
        seed: Published results use 0.
        per_size: How many of each size from 1 to 12; all of them where there are fewer.

    Returns:
        Leads in their canonical order; within a size in the order of `STANDARD_12`.

    Raises:
        InputError: If there is less than one a size.
    """
    if per_size < 1:
        raise InputError(f"lead subsets: got {per_size} of each size; give at least 1.")
    chosen: list[Leads] = []
    for size in range(1, len(STANDARD_12) + 1):
        drawn = sorted(combinations(STANDARD_12, size), key=lambda leads: _lot(seed, leads))[:per_size]
        chosen += sorted(drawn, key=lambda leads: [STANDARD_12.index(lead) for lead in leads])
    return tuple(chosen)


@dataclass(frozen=True, kw_only=True)
class SubsetScore:
    """One subset."""

    leads: Leads
    score: Interval


@dataclass(frozen=True, kw_only=True)
class SizeScore:
    """All sampled subsets of one size."""

    size: int
    score: Interval
    """Mean over the subsets; undefined where one of them was not judged."""
    subsets: int
    """How many belong to the sample."""
    worst: SubsetScore | None
    best: SubsetScore | None


@dataclass(frozen=True, kw_only=True)
class LeadCurve:
    """How one system does by the number of leads."""

    system: str
    kind: Kind
    metric: str
    number: Interval
    """Mean over the sizes of the mean over the subsets; undefined where a subset was not judged."""
    sizes: tuple[SizeScore, ...]
    subsets: tuple[SubsetScore, ...]
    missing: tuple[Leads, ...] = ()
    """Subsets of the sample that were not judged."""


def lead_curve(
    scores: Mapping[Leads, Float[np.ndarray, "draws1"]],
    *,
    system: str,
    kind: Kind,
    metric: str = "macro AUROC",
    sample: Sequence[Leads] | None = None,
) -> LeadCurve:
    """Returns the curve and the number.

    Args:
        scores: Subset to its score from all patients, then from each resample; the same resamples for all.
            Leads in canonical order.
        system: What to call the system.
        kind: On what the probe was trained.
        metric: What the scores are.
        sample: The subsets that have to be judged; None is `sample_subsets`.

    Raises:
        InputError: If there is no score, one is of a subset that is not in the sample, or the numbers of
            resamples differ.
    """
    sample = sample_subsets() if sample is None else tuple(sample)
    unknown = [leads for leads in scores if leads not in sample]
    if unknown:
        raise InputError(
            f"lead curve: the subset {_text(unknown[0])} is not among the {len(sample)} of the protocol; "
            "take the subsets of sample_subsets."
        )
    by_size = _size_values(scores, sample)
    judged = {leads: score_interval(scores[leads]) for leads in sample if leads in scores}
    return LeadCurve(
        system=system,
        kind=kind,
        metric=metric,
        number=score_interval(np.mean(list(by_size.values()), axis=0)),
        sizes=tuple(_size_score(size, values, judged, sample) for size, values in by_size.items()),
        subsets=tuple(SubsetScore(leads=leads, score=score) for leads, score in judged.items()),
        missing=tuple(leads for leads in sample if leads not in scores),
    )


def lead_number(
    scores: Mapping[Leads, Float[np.ndarray, "draws1"]], *, sample: Sequence[Leads] | None = None
) -> Float[np.ndarray, "draws1"]:
    """Returns the one number from all patients, then from each resample, for differences between systems.

    Args:
        scores: As in `lead_curve`.
        sample: The subsets that have to be judged; None is `sample_subsets`.

    Raises:
        InputError: If there is no score, or the numbers of resamples differ.
    """
    sample = sample_subsets() if sample is None else tuple(sample)
    return np.asarray(np.mean(list(_size_values(scores, sample).values()), axis=0))


def write_lead_csv(curves: Sequence[LeadCurve], path: Path) -> Path:
    """Writes every subset, size and number of some curves as one table.

    Columns: system, kind, metric, row (``subset``, ``size`` or ``number``), size, leads (separated by
    spaces), value, low, high; empty where undefined.

    Args:
        curves: Of any systems and kinds.
        path: Replaced whole or not at all.

    Raises:
        FileError: If the disk refuses.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["system", "kind", "metric", "row", "size", "leads", "value", "low", "high"])
    for curve in curves:
        first = [curve.system, curve.kind, curve.metric]
        undefined = [SubsetScore(leads=leads, score=Interval(value=None)) for leads in curve.missing]
        for one in (*curve.subsets, *undefined):
            table.writerow([*first, "subset", len(one.leads), " ".join(one.leads), *_cells(one.score)])
        for size in curve.sizes:
            table.writerow([*first, "size", size.size, "", *_cells(size.score)])
        table.writerow([*first, "number", "", "", *_cells(curve.number)])
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def score_interval(values: Float[np.ndarray, "draws1"]) -> Interval:
    """Returns a score with its interval.

    Args:
        values: From all patients, then from each resample.
    """
    return percentile_interval(float(values[0]), values[1:])


def check_draws(values: Sequence[np.ndarray]) -> None:
    """Refuses scores that cannot have been taken on the same resamples.

    Raises:
        InputError: If their numbers differ.
    """
    lengths = sorted({len(one) for one in values})
    if len(lengths) > 1:
        raise InputError(
            f"lead protocol: scores come with {lengths[0] - 1} and with {lengths[-1] - 1} resamples; "
            "judge all conditions on the same draws."
        )


def _size_values(
    scores: Mapping[Leads, Float[np.ndarray, "draws1"]], sample: Sequence[Leads]
) -> dict[int, Float[np.ndarray, "draws1"]]:
    """Returns the mean over the subsets of each size, NaN where one of them was not judged."""
    if not scores:
        raise InputError("lead curve: got no score; judge at least one subset of the leads.")
    check_draws(list(scores.values()))
    nothing = np.full_like(next(iter(scores.values())), np.nan)
    by_size: dict[int, list[np.ndarray]] = {}
    for leads in sample:
        by_size.setdefault(len(leads), []).append(scores.get(leads, nothing))
    return {size: np.mean(values, axis=0) for size, values in sorted(by_size.items())}


def _size_score(
    size: int, values: np.ndarray, judged: Mapping[Leads, Interval], sample: Sequence[Leads]
) -> SizeScore:
    known = [
        (score.value, SubsetScore(leads=leads, score=score))
        for leads, score in judged.items()
        if len(leads) == size and score.value is not None
    ]
    return SizeScore(
        size=size,
        score=score_interval(values),
        subsets=sum(len(leads) == size for leads in sample),
        worst=min(known, key=lambda pair: pair[0])[1] if known else None,
        best=max(known, key=lambda pair: pair[0])[1] if known else None,
    )


def _lot(seed: int, leads: Leads) -> str:
    return hashlib.sha256(f"{seed}/{','.join(leads)}".encode()).hexdigest()


def _text(leads: Leads) -> str:
    return ",".join(leads)


def _cells(score: Interval) -> list[str]:
    return ["" if number is None else repr(number) for number in (score.value, score.low, score.high)]
