"""Identification by every protocol, for one system and one set of leads.

Closed set, verification and open set; by time since enrolment, by size of the gallery and by the number of
recordings enrolled. Under a resample the persons are weighted and the galleries stay whole: how hard it is
to be first depends on the size of the gallery, which resampling would shrink by a third. What the recordings
do not allow is named in the result, not estimated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from anylead.errors import InputError
from anylead.evaluation.bootstrap import PatientDraws, percentile_interval
from anylead.evaluation.identification import (
    Protocol,
    cosine_similarity,
    gallery_and_probes,
    pessimistic_ranks,
    rank_rate,
)
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
    IdentitySuite,
    OpenSet,
    RankCount,
)
from anylead.evaluation.open_set import SPLITS, enrolled_half, open_set_scores
from anylead.evaluation.results import Difference, Interval, Subset, TarAtFar
from anylead.evaluation.verification import (
    MINIMUM_FALSE_ACCEPTANCES,
    OperatingPoints,
    det_curve,
    is_resolved,
    operating_points,
)
from anylead.provenance import fingerprint

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

_RANK_BANDS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 1000))


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentityEvaluation:
    """A result, and what each resample gave: first the value from all persons, then one for each draw."""

    result: IdentitySuite
    values: Mapping[str, Float[np.ndarray, "draws1"]]
    """``rank1``, ``rank5``, ``rank10``, ``eer``; those of a kind of probe as ``rank1, cross_session``."""
    draws_key: str
    """Of the draws and of the recordings judged: equal keys make a pair."""


def evaluate_identity_suite(
    embeddings: Float[np.ndarray, "records features"],
    persons: Sequence[str],
    *,
    recorded_at: np.ndarray | None = None,
    hashes: Sequence[str] | None = None,
    draws: PatientDraws,
    system: str,
    lead_set: str,
    seed: int = 0,
) -> IdentityEvaluation:
    """Judges how well embeddings tell persons apart, by cosine similarity.

    Args:
        embeddings: One row a recording, whitened or not. A row with NaN or infinity takes no part and is
            counted; leave out the rows that any of several systems lacks to compare them.
        persons: Whose each recording is.
        recorded_at: When, as datetime64, NaT where unknown; None where no date is known.
        hashes: Hash of the samples of each recording; of equal ones the earliest stays.
        draws: From `patient_draws`, over these persons and possibly more.
        system: What to call the system in tables.
        lead_set: What to call the leads in tables.
        seed: Of the halves of the open set.

    Raises:
        InputError: If there is not one person for each embedding, no embedding is finite, all recordings are
            of one person, nobody has two different recordings, or a person is not among the draws.
    """
    if len(persons) != len(embeddings):
        raise InputError(
            f"identification: got {len(embeddings)} embeddings and {len(persons)} persons; "
            "name one person for each."
        )
    finite = np.isfinite(embeddings).all(axis=1)
    kept = np.flatnonzero(finite).tolist()
    if not kept:
        raise InputError(
            f"identification: none of the {len(embeddings)} embeddings is finite; "
            "give recordings that the system can embed."
        )
    vectors = embeddings[finite].astype(np.float64)
    protocol = gallery_and_probes(
        [persons[row] for row in kept],
        recorded_at=None if recorded_at is None else recorded_at[finite],
        hashes=None if hashes is None else [hashes[row] for row in kept],
    )
    _refuse_what_has_no_question(protocol)
    judge = _Judge(vectors, protocol, draws)
    missing: list[str] = []
    whole = judge.score(protocol)
    values = {"rank1": whole.rank(1), "rank5": whole.rank(5), "rank10": whole.rank(10)}
    values["eer"] = whole.points.equal_error_rate()
    gaps, by_gap = _by_gap(judge, missing)
    comparisons = whole.comparisons
    result = IdentitySuite(
        system=system,
        lead_set=lead_set,
        recordings=len(protocol.gallery) + len(protocol.probes),
        enrolled=len(protocol.persons),
        probes=len(protocol.probes),
        persons=whole.persons,
        impostor_comparisons=comparisons,
        duplicates_dropped=protocol.duplicates_dropped,
        not_embedded=len(embeddings) - len(kept),
        rank1=_interval(values["rank1"]),
        rank5=_interval(values["rank5"]),
        rank10=_interval(values["rank10"]),
        cmc=tuple(CurvePoint(at=k, rate=_interval(whole.rank(k))) for k in curve_counts(whole.enrolled)),
        ranks=_rank_counts(whole.ranks),
        median_rank=float(np.median(whole.ranks)),
        eer=_interval(values["eer"]),
        tar=_true_acceptance(whole.points, comparisons),
        det=tuple((float(far), float(frr)) for far, frr in det_curve(whole.points)),
        open_set=_open_set(judge, seed, missing),
        gaps=gaps,
        gallery_sizes=_gallery_sizes(whole, missing),
        enrolment=_enrolment(judge, missing),
        missing=tuple(missing),
    )
    judged = [draws.key, list(protocol.persons), kept]
    judged += [protocol.gallery.tolist(), protocol.probes.tolist()]
    return IdentityEvaluation(result=result, values=values | by_gap, draws_key=fingerprint(judged))


def identity_difference(
    a: IdentityEvaluation, b: IdentityEvaluation, metric: str, *, subset: Subset = "all"
) -> Difference:
    """Returns the first system minus the second, resample by resample.

    Args:
        a: A system.
        b: Another one, judged on the same recordings with the same draws.
        metric: ``rank1``, ``rank5``, ``rank10`` or ``eer``.
        subset: Which probes; of some only, there are ``rank1`` and ``eer``.

    Raises:
        InputError: If the two were not judged on the same recordings and draws, or there is no such metric.
    """
    if a.draws_key != b.draws_key:
        raise InputError(
            f"paired difference: {a.result.system} and {b.result.system} were not judged "
            "on the same recordings and draws; evaluate both on the recordings that both embed."
        )
    name = metric if subset == "all" else f"{metric}, {subset}"
    if name not in a.values or name not in b.values:
        raise InputError(
            f"paired difference: there is no metric {name!r} here; there are {'; '.join(a.values)}."
        )
    interval = _interval(a.values[name] - b.values[name])
    return Difference(
        a=a.result.system,
        b=b.result.system,
        metric=metric,
        interval=interval,
        excludes_zero=interval.excludes_zero,
        lead_set=" / ".join(dict.fromkeys([a.result.lead_set, b.result.lead_set])),
        subset=subset,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scored:
    """Some probes against a gallery."""

    ranks: Int[np.ndarray, "probes"]
    weights: Float[np.ndarray, "draws1 probes"]
    points: OperatingPoints
    persons: int
    enrolled: int

    @property
    def comparisons(self) -> int:
        return len(self.ranks) * (self.enrolled - 1)

    def rank(self, k: int) -> Float[np.ndarray, "draws1"]:
        return rank_rate(self.ranks, self.weights, k=k)


class _Judge:
    """Embeddings, who is enrolled, and how often each person is drawn: first everyone once."""

    def __init__(self, vectors: Float[np.ndarray, "n f"], protocol: Protocol, draws: PatientDraws) -> None:
        self.vectors, self.protocol = vectors, protocol
        drawn = draws.record_weights(protocol.persons)
        self.person_weights = np.concatenate([np.ones((1, drawn.shape[1])), drawn])

    def score(self, protocol: Protocol, gallery: Float[np.ndarray, "p f"] | None = None) -> _Scored:
        entries = self.vectors[protocol.gallery] if gallery is None else gallery
        similarity = cosine_similarity(self.vectors[protocol.probes], entries)
        right = protocol.probe_person
        weights = self.person_weights[:, right] * protocol.probe_weights
        return _Scored(
            ranks=pessimistic_ranks(similarity, right),
            weights=weights,
            points=operating_points(similarity, right, weights, self.person_weights),
            persons=len(np.unique(right)),
            enrolled=len(protocol.persons),
        )


def _refuse_what_has_no_question(protocol: Protocol) -> None:
    if len(protocol.persons) < 2:
        raise InputError(
            f"identification: all {1 + len(protocol.probes)} recordings are of one person; "
            "give recordings of two persons or more."
        )
    if not len(protocol.probes):
        raise InputError(
            f"identification: none of the {len(protocol.persons)} persons has two different recordings; "
            "give a later recording of some, to be recognised by."
        )


def _rank_counts(ranks: Int[np.ndarray, "probes"]) -> tuple[RankCount, ...]:
    worst = int(ranks.max())
    bands = [*_RANK_BANDS, (_RANK_BANDS[-1][1] + 1, max(worst, _RANK_BANDS[-1][1] + 1))]
    return tuple(
        RankCount(first=first, last=last, probes=int(((ranks >= first) & (ranks <= last)).sum()))
        for first, last in bands
        if first <= worst
    )


def _true_acceptance(points: OperatingPoints, comparisons: int) -> dict[str, TarAtFar]:
    tar = {}
    for rate in FALSE_ACCEPTANCE_RATES:
        if is_resolved(rate, comparisons):
            tar[f"{rate:g}"] = TarAtFar(rate=_interval(points.true_acceptance(rate)))
        else:
            reason = (
                f"{comparisons} impostor comparisons are {comparisons * rate:.2g} at this rate; "
                f"{MINIMUM_FALSE_ACCEPTANCES} are needed"
            )
            tar[f"{rate:g}"] = TarAtFar(rate=None, reason=reason)
    return tar


def _by_gap(
    judge: _Judge, missing: list[str]
) -> tuple[tuple[GapScore, ...], dict[str, Float[np.ndarray, "draws1"]]]:
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
            reason = f"{persons} persons; {MINIMUM_PERSONS} are needed"
            scores.append(GapScore(name=name, probes=probes, persons=persons, reason=reason))
            continue
        part = judge.score(protocol.where(chosen))
        rank1, eer = part.rank(1), part.points.equal_error_rate()
        if name in subsets:
            values |= {f"rank1, {subsets[name]}": rank1, f"eer, {subsets[name]}": eer}
        scores.append(
            GapScore(name=name, probes=probes, persons=persons, rank1=_interval(rank1), eer=_interval(eer))
        )
    return tuple(scores), values


def _gallery_sizes(whole: _Scored, missing: list[str]) -> tuple[CurvePoint, ...]:
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
        points.append(CurvePoint(at=size, rate=_interval(rate)))
    return tuple(points)


def _enrolment(judge: _Judge, missing: list[str]) -> EnrolmentCurve | None:
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
        rank1, eer = _interval(scored.rank(1)), _interval(scored.points.equal_error_rate())
        points.append(EnrolmentPoint(recordings=count, rank1=rank1, eer=eer))
    return EnrolmentCurve(persons=scored.persons, probes=len(later.probes), points=tuple(points))


def _open_set(judge: _Judge, seed: int, missing: list[str]) -> OpenSet | None:
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
    } | {f"{rate:g}": DirAtFar(rate=_interval(row)) for rate, row in zip(asked, rates, strict=True)}
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


def _interval(values: Float[np.ndarray, "draws1"]) -> Interval:
    return percentile_interval(float(values[0]), values[1:])
