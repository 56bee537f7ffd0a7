"""Identification by every protocol, for one system and one set of leads.

Closed set, verification and open set; by time since enrolment, by size of the gallery and by the number of
recordings enrolled. Under a resample the persons are weighted and the galleries stay whole: how hard it is
to be first depends on the size of the gallery, which resampling would shrink by a third. What the recordings
do not allow is named in the result, not estimated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from anylead.errors import InputError
from anylead.evaluation.bootstrap import PatientDraws
from anylead.evaluation.identification import Protocol, gallery_and_probes
from anylead.evaluation.identity_curves import curve_counts
from anylead.evaluation.identity_parts import (
    Judge,
    by_enrolment,
    by_gallery_size,
    by_gap,
    in_open_set,
    interval_of,
    rank_counts,
    true_acceptance,
)
from anylead.evaluation.identity_results import CurvePoint, IdentitySuite
from anylead.evaluation.multiplicity import bootstrap_p_value
from anylead.evaluation.results import Difference, Subset, defined
from anylead.evaluation.verification import det_curve
from anylead.provenance import fingerprint


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
    judge = Judge(vectors, protocol, draws)
    missing: list[str] = []
    whole = judge.score(protocol)
    values = {"rank1": whole.rank(1), "rank5": whole.rank(5), "rank10": whole.rank(10)}
    values["eer"] = whole.points.equal_error_rate()
    gaps, of_gaps = by_gap(judge, missing)
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
        rank1=interval_of(values["rank1"]),
        rank5=interval_of(values["rank5"]),
        rank10=interval_of(values["rank10"]),
        cmc=tuple(CurvePoint(at=k, rate=interval_of(whole.rank(k))) for k in curve_counts(whole.enrolled)),
        ranks=rank_counts(whole.ranks, enrolled=whole.enrolled),
        median_rank=float(np.median(whole.ranks)),
        eer=interval_of(values["eer"]),
        tar=true_acceptance(whole.points, comparisons),
        det=tuple((float(far), float(frr)) for far, frr in det_curve(whole.points)),
        open_set=in_open_set(judge, seed, missing),
        gaps=gaps,
        gallery_sizes=by_gallery_size(whole, missing),
        enrolment=by_enrolment(judge, missing),
        missing=tuple(missing),
    )
    judged = [draws.key, list(protocol.persons), kept]
    judged += [protocol.gallery.tolist(), protocol.probes.tolist()]
    return IdentityEvaluation(result=result, values=values | of_gaps, draws_key=fingerprint(judged))


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
    apart = a.values[name] - b.values[name]
    interval = interval_of(apart)
    return Difference(
        a=a.result.system,
        b=b.result.system,
        metric=metric,
        interval=interval,
        excludes_zero=interval.excludes_zero,
        lead_set=" / ".join(dict.fromkeys([a.result.lead_set, b.result.lead_set])),
        subset=subset,
        p_value=defined(bootstrap_p_value(apart[1:])) if interval.value is not None else None,
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
