"""Scores of one system with intervals over patients, and paired differences between two.

The draws of patients are made once for an evaluation and given to every system: a difference is then taken
resample by resample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from anylead.errors import InputError
from anylead.evaluation.bootstrap import PatientDraws, logit_interval, own_names, percentile_interval
from anylead.evaluation.calibration import reliability_points
from anylead.evaluation.challenge_score import challenge_credits
from anylead.evaluation.class_scores import class_measures, class_scores, errors_if_calibrated
from anylead.evaluation.classification import macro, micro
from anylead.evaluation.identification import Protocol, cosine_similarity, pessimistic_ranks, rank_rate
from anylead.evaluation.multiplicity import bootstrap_p_value
from anylead.evaluation.results import (
    ClassificationResult,
    Difference,
    IdentificationResult,
    Interval,
    Subset,
    TarAtFar,
    defined,
)
from anylead.evaluation.verification import MINIMUM_FALSE_ACCEPTANCES, OperatingPoints, operating_points
from anylead.provenance import fingerprint

Result = TypeVar("Result", ClassificationResult, IdentificationResult)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation(Generic[Result]):
    """A result, and what each resample gave: first the value from all patients, then one for each draw."""

    result: Result
    values: Mapping[str, Float[np.ndarray, "draws1"]]
    """Metric to values; NaN where undefined."""
    draws_key: str
    """Of the draws and of the recordings judged: equal keys make a pair."""


@dataclass(frozen=True, kw_only=True)
class Credit:
    """What the Challenge score needs to know."""

    weights: Float[np.ndarray, "classes classes"]
    """In the order of the classes judged."""
    sinus: int
    """Column of sinus rhythm."""


def evaluate_classification(
    labels: Bool[np.ndarray, "records classes"],
    probabilities: Float[np.ndarray, "records classes"],
    *,
    classes: Sequence[str],
    patients: Sequence[str | None],
    draws: PatientDraws,
    system: str,
    lead_set: str,
    thresholds: float | Float[np.ndarray, "classes"] = 0.5,
    f1_thresholds: Float[np.ndarray, "classes"] | None = None,
    credit: Credit | None = None,
) -> Evaluation[ClassificationResult]:
    """Judges the probabilities of recordings.

    Args:
        labels: What is true.
        probabilities: One row a recording, see `mean_per_record`.
        classes: Names of the columns.
        patients: Whose each recording is; None where nobody knows.
        draws: From `patient_draws`, over these patients and possibly more.
        system: What to call the system in tables.
        lead_set: What to call the leads in tables.
        thresholds: A probability above it is an answer, for the Challenge score.
        f1_thresholds: The same for F1, chosen on validation recordings; None leaves F1 out.
        credit: None leaves the Challenge score undefined.

    Raises:
        InputError: If the arrays do not fit together, or a patient is not among the draws.
    """
    if len(patients) != len(labels) or len(classes) != labels.shape[-1]:
        raise InputError(
            f"evaluation: got {len(patients)} patients and {len(classes)} class names "
            f"for labels {labels.shape}; give one patient a recording and one name a class."
        )
    weights = _with_everyone_once(draws.record_weights(patients))
    measures = class_measures(labels, probabilities, weights, patients=patients, f1_thresholds=f1_thresholds)
    heap = micro(labels, probabilities, weights)
    values = measures.means() | {"micro_auroc": heap.auroc[:, 0], "micro_auprc": heap.auprc[:, 0]}
    values["challenge_score"] = np.full(len(weights), np.nan)
    if credit is not None:
        answers = probabilities > thresholds
        values["challenge_score"] = challenge_credits(
            labels, answers, credit.weights, sinus=credit.sinus
        ).scores(weights)
    told = {name: _interval(one) for name, one in values.items()}
    for name, chosen in (("macro_auroc", measures.has_both), ("clean_macro_auroc", measures.is_clean)):
        freedom = measures.bounds.mean_freedom(chosen)
        told[name] = logit_interval(float(values[name][0]), values[name][1:], freedom=freedom)
    calibrated = np.where(measures.has_both, errors_if_calibrated(probabilities), np.nan)
    result = ClassificationResult(
        system=system,
        lead_set=lead_set,
        macro_auroc=told["macro_auroc"],
        macro_auprc=told["macro_auprc"],
        challenge_score=told["challenge_score"],
        per_class=class_scores(
            measures,
            labels,
            probabilities,
            classes=classes,
            f1_thresholds=f1_thresholds,
        ),
        records=len(labels),
        patients=len(set(own_names(patients))),
        undefined_classes=_where(classes, ~measures.has_both),
        clean_classes=_where(classes, measures.is_clean),
        clean_macro_auroc=told["clean_macro_auroc"],
        clean_macro_auprc=told["clean_macro_auprc"],
        micro_auroc=told["micro_auroc"],
        micro_auprc=told["micro_auprc"],
        macro_sensitivity={level: told[f"macro_sensitivity_{level}"] for level in measures.sensitivity},
        macro_f1=told.get("macro_f1"),
        macro_brier=told["macro_brier"] if told["macro_brier"].value is not None else None,
        macro_ece=told["macro_ece"].value,
        macro_ece_if_calibrated=defined(float(macro(calibrated))),
        reliability=reliability_points(labels.reshape(-1), probabilities.reshape(-1)),
    )
    judged = [draws.key, own_names(patients), list(classes), np.packbits(labels).tobytes().hex()]
    return Evaluation(result=result, values=values, draws_key=fingerprint(judged))


def evaluate_identification(
    embeddings: Float[np.ndarray, "records features"],
    protocol: Protocol,
    *,
    draws: PatientDraws,
    system: str,
    lead_set: str,
    subset: Subset = "all",
    false_acceptance_rates: Sequence[float] = (0.01, 0.001, 0.0001),
) -> Evaluation[IdentificationResult]:
    """Judges how well embeddings tell persons apart, by cosine similarity.

    Rank-k under a resample weighs the probes and leaves the gallery whole: how hard it is to be first depends
    on the size of the gallery, which resampling would shrink by a third.

    Args:
        embeddings: One row a recording, whitened or not.
        protocol: From `gallery_and_probes`, over the same rows.
        draws: From `patient_draws`, over these persons and possibly more.
        system: What to call the system in tables.
        lead_set: What to call the leads in tables.
        subset: Which probes.
        false_acceptance_rates: Where to give the true acceptance rate, if there are enough comparisons.

    Raises:
        InputError: If an embedding is not finite, or a person is not among the draws.
    """
    chosen = protocol.subset(subset)
    similarity = cosine_similarity(embeddings[chosen.probes], embeddings[chosen.gallery])
    persons = _with_everyone_once(draws.record_weights(chosen.persons))
    probes = persons[:, chosen.probe_person] * chosen.probe_weights
    ranks = pessimistic_ranks(similarity, chosen.probe_person)
    values = {f"rank{k}": rank_rate(ranks, probes, k=k) for k in (1, 5)}
    comparisons = len(ranks) * (len(chosen.persons) - 1)
    tar: dict[str, TarAtFar] = {f"{rate:g}": _too_few(rate, comparisons) for rate in false_acceptance_rates}
    if comparisons:
        points = operating_points(similarity, chosen.probe_person, probes, persons)
        values["eer"] = points.equal_error_rate()
        tar |= _true_acceptance(points, false_acceptance_rates, comparisons)
    else:
        values["eer"] = np.full(len(persons), np.nan)
    result = IdentificationResult(
        system=system,
        lead_set=lead_set,
        subset=subset,
        rank1=_interval(values["rank1"]),
        rank5=_interval(values["rank5"]),
        eer=_interval(values["eer"]),
        tar=tar,
        probes=len(ranks),
        persons=len(set(chosen.probe_person.tolist())),
        enrolled=len(chosen.persons),
        impostor_comparisons=comparisons,
        duplicates_dropped=protocol.duplicates_dropped,
    )
    judged = [draws.key, list(chosen.persons), chosen.gallery.tolist(), chosen.probes.tolist()]
    return Evaluation(result=result, values=values, draws_key=fingerprint(judged))


def paired_difference(a: Evaluation[Result], b: Evaluation[Result], metric: str) -> Difference:
    """Returns the first system minus the second, resample by resample.

    Args:
        a: A system.
        b: Another one, judged on the same recordings with the same draws.
        metric: One of `Evaluation.values`: ``macro_auroc``, ``clean_macro_auroc``, ``micro_auprc``,
            ``macro_brier``, ``challenge_score``, ``rank1``, ``eer``...

    Raises:
        InputError: If the two were not judged on the same recordings and draws, or there is no such metric.
    """
    if a.draws_key != b.draws_key:
        raise InputError(
            f"paired difference: {a.result.system} and {b.result.system} were not judged "
            "on the same recordings and draws; evaluate both on the same ones."
        )
    if metric not in a.values or metric not in b.values:
        raise InputError(
            f"paired difference: there is no metric {metric!r}; there are {', '.join(a.values)}."
        )
    apart = a.values[metric] - b.values[metric]
    interval = _interval(apart)
    return Difference(
        a=a.result.system,
        b=b.result.system,
        metric=metric,
        interval=interval,
        excludes_zero=interval.excludes_zero,
        lead_set=" / ".join(dict.fromkeys([a.result.lead_set, b.result.lead_set])),
        subset=a.result.subset if isinstance(a.result, IdentificationResult) else None,
        p_value=defined(bootstrap_p_value(apart[1:])) if interval.value is not None else None,
    )


def _with_everyone_once(weights: Float[np.ndarray, "draws items"]) -> Float[np.ndarray, "draws1 items"]:
    """Puts the weighting that gives the value itself in front of the resamples."""
    return np.concatenate([np.ones((1, weights.shape[1])), weights])


def _where(names: Sequence[str], chosen: Bool[np.ndarray, "names"]) -> tuple[str, ...]:
    return tuple(name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen)


def _interval(values: Float[np.ndarray, "draws1"]) -> Interval:
    return percentile_interval(float(values[0]), values[1:])


def _too_few(rate: float, comparisons: int) -> TarAtFar:
    return TarAtFar(
        rate=None,
        reason=f"{comparisons} impostor comparisons are {comparisons * rate:.2g} at this rate; "
        f"{MINIMUM_FALSE_ACCEPTANCES} are needed",
    )


def _true_acceptance(
    points: OperatingPoints, rates: Sequence[float], comparisons: int
) -> dict[str, TarAtFar]:
    # A product such as 1000 * 0.01 may fall short of 10 by rounding.
    enough = [rate for rate in rates if comparisons * rate >= MINIMUM_FALSE_ACCEPTANCES * (1.0 - 1e-12)]
    return {f"{rate:g}": TarAtFar(rate=_interval(points.true_acceptance(rate))) for rate in enough}
