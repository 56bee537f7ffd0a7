"""The parts of the full evaluation of identification.

A part that these recordings do not allow appends a sentence that says so to ``missing``.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from anylead.evaluation.bootstrap import PatientDraws, percentile_interval
from anylead.evaluation.identification import Protocol, cosine_similarity, pessimistic_ranks, rank_rate
from anylead.evaluation.identity_curves import (
    GAP_BINS,
    averaged_gallery,
    curve_counts,
    most_enrolled,
    rank_in_random_gallery,
    recording_numbers,
)
from anylead.evaluation.identity_results import (
    CurvePoint,
    DirAtFar,
    EnrolmentCurve,
    EnrolmentPoint,
    GapScore,
    OpenSet,
    RankCount,
)
from anylead.evaluation.open_set import SPLITS, enrolled_half, open_set_scores
from anylead.evaluation.results import Interval, TarAtFar
from anylead.evaluation.verification import (
    MINIMUM_FALSE_ACCEPTANCES,
    OperatingPoints,
    is_resolved,
    operating_points,
)

FALSE_ACCEPTANCE_RATES = (0.01, 0.001, 0.0001)
"""Of verification."""
FALSE_IDENTIFICATION_RATES = (0.1, 0.01, 0.001)
"""Of the open set, where comparisons are far fewer."""
MINIMUM_PERSONS = 10
"""Fewer persons than these are named and not scored."""
MOST_ENROLLED = 5
"""Recordings of a person that are enrolled at most."""
SMALLEST_GALLERY = 10
"""Galleries of fewer persons are not drawn from the whole one."""
ANOTHER_DAY = "any other day"
"""Name of the gap that takes all days but the one of enrolment together."""

_BAND_ENDS = (1, 2, 5, 10, 20, 50, 100, 1000)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Some probes against a gallery."""

    ranks: Int[np.ndarray, "probes"]
    weights: Float[np.ndarray, "draws1 probes"]
    points: OperatingPoints
    persons: int
    enrolled: int

    @property
    def comparisons(self) -> int:
        """Pairs of a probe and another person's entry."""
        return len(self.ranks) * (self.enrolled - 1)

    def rank(self, k: int) -> Float[np.ndarray, "draws1"]:
        """Returns the part of the probes whose person is among the first k."""
        return rank_rate(self.ranks, self.weights, k=k)


class Judge:
    """Embeddings, who is enrolled, and how often each person is drawn: first everyone once."""

    def __init__(self, vectors: Float[np.ndarray, "n f"], protocol: Protocol, draws: PatientDraws) -> None:
        self.vectors, self.protocol = vectors, protocol
        drawn = draws.record_weights(protocol.persons)
        self.person_weights = np.concatenate([np.ones((1, drawn.shape[1])), drawn])

    def score(self, protocol: Protocol, gallery: Float[np.ndarray, "p f"] | None = None) -> Scored:
        """Compares probes with the protocol's gallery, or with other entries for the same persons."""
        entries = self.vectors[protocol.gallery] if gallery is None else gallery
        similarity = cosine_similarity(self.vectors[protocol.probes], entries)
        right = protocol.probe_person
        weights = self.person_weights[:, right] * protocol.probe_weights
        return Scored(
            ranks=pessimistic_ranks(similarity, right),
            weights=weights,
            points=operating_points(similarity, right, weights, self.person_weights),
            persons=len(np.unique(right)),
            enrolled=len(protocol.persons),
        )


def rank_counts(ranks: Int[np.ndarray, "probes"], *, enrolled: int) -> tuple[RankCount, ...]:
    """Returns how many probes found their person at which places, in bands that cover the gallery."""
    ends = [end for end in _BAND_ENDS if end < enrolled] + [enrolled]
    starts = [1, *(end + 1 for end in ends[:-1])]
    return tuple(
        RankCount(first=first, last=last, probes=int(((ranks >= first) & (ranks <= last)).sum()))
        for first, last in zip(starts, ends, strict=True)
    )


def true_acceptance(points: OperatingPoints, comparisons: int) -> dict[str, TarAtFar]:
    """Returns the true acceptance rate at each false acceptance rate, or why it has none."""
    tar = {}
    for rate in FALSE_ACCEPTANCE_RATES:
        if is_resolved(rate, comparisons):
            tar[f"{rate:g}"] = TarAtFar(rate=interval_of(points.true_acceptance(rate)))
        else:
            reason = (
                f"{comparisons} impostor comparisons are {comparisons * rate:.2g} at this rate; "
                f"{MINIMUM_FALSE_ACCEPTANCES} are needed"
            )
            tar[f"{rate:g}"] = TarAtFar(rate=None, reason=reason)
    return tar


def by_gap(
    judge: Judge, missing: list[str]
) -> tuple[tuple[GapScore, ...], dict[str, Float[np.ndarray, "draws1"]]]:
    """Scores the probes at each distance in time, and all of other days together.

    Returns:
        The scores, and the values of Rank-1 and EER of the same day and of other days in each draw.
    """
    protocol = judge.protocol
    gap = protocol.gap_days
    if np.isnan(gap).all():
        missing.append("By time since enrolment: no dates; the order given was taken as the order in time.")
        return (), {}
    if np.isnan(gap).any():
        missing.append(
            f"By time since enrolment: {int(np.isnan(gap).sum())} of {len(gap)} probes are left out, "
            "theirs or the enrolled recording has no date."
        )
    scores: list[GapScore] = []
    values: dict[str, Float[np.ndarray, "draws1"]] = {}
    subsets = {GAP_BINS[0].name: "same_day", ANOTHER_DAY: "cross_session"}
    for name, chosen in [(part.name, part.holds(gap)) for part in GAP_BINS] + [(ANOTHER_DAY, gap > 0.0)]:
        persons, probes = len(np.unique(protocol.probe_person[chosen])), int(chosen.sum())
        if persons < MINIMUM_PERSONS:
            reason = f"persons: {persons}; {MINIMUM_PERSONS} are needed"
            scores.append(GapScore(name=name, probes=probes, persons=persons, reason=reason))
            continue
        part = judge.score(protocol.where(chosen))
        rank1, eer = part.rank(1), part.points.equal_error_rate()
        if name in subsets:
            values |= {f"rank1, {subsets[name]}": rank1, f"eer, {subsets[name]}": eer}
        scores.append(
            GapScore(
                name=name, probes=probes, persons=persons, rank1=interval_of(rank1), eer=interval_of(eer)
            )
        )
    return tuple(scores), values


def by_gallery_size(whole: Scored, missing: list[str]) -> tuple[CurvePoint, ...]:
    """Returns Rank-1 expected in random galleries, from the smallest that is looked at to the whole one."""
    if whole.enrolled <= SMALLEST_GALLERY:
        missing.append(
            f"By size of the gallery: {whole.enrolled} persons are enrolled; "
            f"more than {SMALLEST_GALLERY} are needed."
        )
        return ()
    total = whole.weights.sum(axis=1)
    points = []
    for size in curve_counts(whole.enrolled):
        if size < SMALLEST_GALLERY:
            continue
        chance = rank_in_random_gallery(whole.ranks, enrolled=whole.enrolled, size=size)
        rate = np.full(len(total), np.nan)
        np.divide(whole.weights @ chance, total, out=rate, where=total > 0.0)
        points.append(CurvePoint(at=size, rate=interval_of(rate)))
    return tuple(points)


def by_enrolment(judge: Judge, missing: list[str]) -> EnrolmentCurve | None:
    """Scores the same late probes against galleries of 1, 2, ... recordings of each person."""
    most = most_enrolled(judge.protocol, at_most=MOST_ENROLLED, minimum_persons=MINIMUM_PERSONS)
    if most < 2:
        missing.append(
            f"By recordings enrolled: fewer than {MINIMUM_PERSONS} persons have three recordings or more."
        )
        return None
    later = judge.protocol.where(recording_numbers(judge.protocol) > most)
    points = []
    for count in range(1, most + 1):
        scored = judge.score(later, averaged_gallery(judge.vectors, judge.protocol, recordings=count))
        rank1, eer = interval_of(scored.rank(1)), interval_of(scored.points.equal_error_rate())
        points.append(EnrolmentPoint(recordings=count, rank1=rank1, eer=eer))
    return EnrolmentCurve(persons=scored.persons, probes=len(later.probes), points=tuple(points))


def in_open_set(judge: Judge, seed: int, missing: list[str]) -> OpenSet | None:
    """Returns the detection and identification rates, mean over the seeded halves."""
    protocol = judge.protocol
    known = len(np.unique(protocol.probe_person))
    if known < 2 * MINIMUM_PERSONS:
        missing.append(
            f"Open set: {known} persons have a later recording; {2 * MINIMUM_PERSONS} are needed, "
            "half of them to be enrolled."
        )
        return None
    halves = [enrolled_half(protocol, seed=seed, split=split) for split in range(SPLITS)]
    scores = [open_set_scores(judge.vectors, protocol, judge.person_weights, half) for half in halves]
    fewest = min(len(score.stranger) for score in scores)
    asked = [rate for rate in FALSE_IDENTIFICATION_RATES if is_resolved(rate, fewest)]
    rates = np.mean([score.identification_rates(asked) for score in scores], axis=0)
    dir_at_far = {
        f"{rate:g}": DirAtFar(
            rate=None,
            reason=f"{fewest} probes of persons who are not enrolled are {fewest * rate:.2g} at this rate; "
            f"{MINIMUM_FALSE_ACCEPTANCES} are needed",
        )
        for rate in FALSE_IDENTIFICATION_RATES
    } | {f"{rate:g}": DirAtFar(rate=interval_of(row)) for rate, row in zip(asked, rates, strict=True)}
    along = np.geomspace(min(MINIMUM_FALSE_ACCEPTANCES / fewest, 1.0), 1.0, 25).tolist()
    curve = np.mean([score.first_draw().identification_rates(along)[:, 0] for score in scores], axis=0)
    return OpenSet(
        splits=SPLITS,
        enrolled=int(halves[0].sum()),
        probes=float(np.mean([len(score.own) for score in scores])),
        others=int((~halves[0]).sum()),
        other_probes=fewest,
        dir=dir_at_far,
        curve=tuple(zip(along, curve.tolist(), strict=True)),
    )


def interval_of(values: Float[np.ndarray, "draws1"]) -> Interval:
    """Returns the first value with the interval of the others."""
    return percentile_interval(float(values[0]), values[1:])
