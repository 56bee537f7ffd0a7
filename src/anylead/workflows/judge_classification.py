"""Judging classification: heads of bundles, and probes on frozen embeddings. Scored per recording."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from anylead.bundle import Bundle
from anylead.errors import ConfigError
from anylead.evaluation.bootstrap import PatientDraws, patient_draws
from anylead.evaluation.evaluate import Credit, Evaluation, evaluate_classification, paired_difference
from anylead.evaluation.probe import ProbeConfig, fit_probe
from anylead.evaluation.results import ClassificationResult, Difference
from anylead.feed.targets import class_targets
from anylead.sources.challenge import SCORED_CLASSES, SINUS_RHYTHM_INDEX, WEIGHTS
from anylead.workflows.selection import Selection, embed_selection, predict_selection
from anylead.workflows.systems import EvaluateConfig, FrozenConfig, Judgement, System
from anylead.workflows.told_classes import seen_classes

CREDIT = Credit(weights=WEIGHTS, sinus=SINUS_RHYTHM_INDEX)
_NAMES = tuple(one.abbreviation for one in SCORED_CLASSES)
_METRICS = ("macro_auroc", "macro_auprc", "challenge_score")


@dataclass(frozen=True, kw_only=True)
class EvaluateClassifyConfig(EvaluateConfig):
    """Judging classification heads."""

    head: str | None = None
    """Name of the head in every bundle; not needed where each has one classification head."""
    minimum_positives: int = 5
    """Classes with fewer positives among all recordings judged are left out of AUROC and AUPRC."""


@dataclass(frozen=True, kw_only=True)
class EvaluateProbeConfig(FrozenConfig):
    """Judging frozen embeddings by a logistic probe, fitted for each lead set."""

    minimum_positives: int = 5
    """Classes with fewer positives, in training or among the recordings judged, are left out."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Answers:
    """What one system says of all recordings, in the columns of the 26 scored classes."""

    name: str
    probabilities: Float[np.ndarray, "n 26"]
    """0 for a class without an output."""
    outputs: Bool[np.ndarray, "26"]
    """Which classes have one."""
    thresholds: Float[np.ndarray, "26"] | None = None
    """Chosen on validation recordings; None where none were."""


def judge_classify(config: EvaluateClassifyConfig, systems: Sequence[System], test: Selection) -> Judgement:
    """Judges the heads of bundles on labelled recordings.

    Raises:
        ConfigError: If no recording is labelled, or no class has enough positives.
        InputError: If a bundle has no such head.
    """

    def answers(system: System, bundle: Bundle, name: str, chosen: Selection) -> _Answers:
        leads = config.leads[name]
        label = f"{system.name}, leads {name}" if config.progress else None
        found = predict_selection(
            bundle, chosen, head=config.head, lead_set=leads, batch_size=config.batch_size, progress=label
        )
        own = bundle.manifest.heads[bundle.classification_head(config.head)].thresholds
        columns = [_NAMES.index(one) for one in bundle.classes(config.head) if one in _NAMES]
        rows = [place for place, one in enumerate(bundle.classes(config.head)) if one in _NAMES]
        thresholds = np.full(len(_NAMES), 0.5)
        thresholds[columns] = np.array(bundle.thresholds(config.head))[rows]
        return _wide(system.name, found[:, rows], columns, thresholds if own else None)

    return _judge(config, systems, test, answers, minimum_positives=config.minimum_positives)


def judge_probe(
    config: EvaluateProbeConfig, systems: Sequence[System], training: Selection, test: Selection
) -> Judgement:
    """Fits a probe on frozen embeddings of training recordings for each system and lead set, and judges it.

    Raises:
        ConfigError: If no recording is labelled, or no class has enough positives.
    """

    def answers(system: System, bundle: Bundle, name: str, chosen: Selection) -> _Answers:
        seen = training.with_leads(config.leads[name])
        vectors = {}
        for which, part in (("training", seen), ("test", chosen)):
            vectors[which] = embed_selection(
                bundle,
                part,
                lead_set=config.leads[name],
                readout=system.readout(bundle, config),
                batch_size=config.batch_size,
                progress=f"{system.name}, leads {name}, {which}" if config.progress else None,
            )
        usable = np.isfinite(vectors["training"]).all(axis=1)
        seen, labels = seen.keep(usable), _labels(seen)[usable]
        columns = np.flatnonzero(labels.sum(axis=0) >= config.minimum_positives)
        # Hundreds of small regressions: threads of the linear algebra would only wait for each other.
        with threadpool_limits(1):
            probe = fit_probe(
                vectors["training"][usable].astype(np.float64),
                labels[:, columns],
                patients=seen.persons,
                config=config.probe,
            )
        finite = np.isfinite(vectors["test"]).all(axis=1)
        found = np.full((len(chosen), len(columns)), np.nan)
        found[finite] = probe.predict_proba(vectors["test"][finite].astype(np.float64))
        return _wide(system.name, found, columns.tolist(), None)

    if not len(training):
        raise ConfigError("evaluate probe: no training recording is labelled; give a store with labels.")
    return _judge(config, systems, test, answers, minimum_positives=config.minimum_positives)


def _judge(
    config: EvaluateConfig,
    systems: Sequence[System],
    test: Selection,
    answers: Callable[[System, Bundle, str, Selection], _Answers],
    *,
    minimum_positives: int,
) -> Judgement:
    if not len(test):
        raise ConfigError(
            f"evaluate: no recording of the {config.split} split is labelled; give a store with labels."
        )
    enough = _labels(test).sum(axis=0) >= minimum_positives
    draws = patient_draws(test.persons, resamples=config.resamples, seed=config.seed)
    results: list[ClassificationResult] = []
    differences: list[Difference] = []
    left_out: dict[str, int] = {}
    ranked = np.zeros(len(_NAMES), dtype=bool)
    for name, leads in config.leads.items():
        chosen = test.with_leads(leads)
        left_out[f"leads {name}: not all recorded"] = len(test) - len(chosen)
        given = [
            answers(system, system.bundles[name], name, chosen)
            for system in systems
            if name in system.bundles and len(chosen)
        ]
        if not given:
            continue
        whole = np.all([np.isfinite(one.probabilities).all(axis=1) for one in given], axis=0)
        left_out[f"leads {name}: gaps in every window"] = int((~whole).sum())
        judged = enough & np.all([one.outputs for one in given], axis=0)
        if not judged.any():
            raise ConfigError(
                f"evaluate: no class has an output in every system and {minimum_positives} positives among "
                f"{len(test)} recordings; lower minimum_positives or give more recordings."
            )
        ranked |= judged
        found, apart = _lead_set(given, chosen.keep(whole), whole, judged, name, draws)
        results += found
        differences += apart
    return Judgement(
        results=tuple(results),
        differences=tuple(differences),
        left_out={reason: count for reason, count in left_out.items() if count},
        notes=_untold(test, ranked),
        recordings=tuple(test.record_ids),
    )


def _untold(test: Selection, judged: Bool[np.ndarray, "26"]) -> tuple[str, ...]:
    """Says where a class counts as absent although the store, of another source, may not know of it."""
    used = [store for store, _, _ in test.per_store()]
    if len({store.manifest.source for store in used}) < 2:
        return ()
    unseen = [
        f"{store.manifest.source}: {', '.join(names)}"
        for store, seen in zip(used, seen_classes(used), strict=True)
        if (names := [_NAMES[k] for k in np.flatnonzero(judged & ~seen)])
    ]
    if not unseen:
        return ()
    return (
        "Judged as absent from every recording of a store none of whose recordings carries the class, where "
        f"it may be unknown instead: {'; '.join(unseen)}.",
    )


def _lead_set(
    given: Sequence[_Answers],
    chosen: Selection,
    whole: Bool[np.ndarray, "n"],
    judged: Bool[np.ndarray, "26"],
    name: str,
    draws: PatientDraws,
) -> tuple[list[ClassificationResult], list[Difference]]:
    labels, patients = _labels(chosen), chosen.persons
    fixed, tuned = {}, {}
    for one in given:
        answered = replace(one, probabilities=one.probabilities[whole])
        fixed[one.name] = _score(answered, labels, patients, judged, name, draws, None)
        if one.thresholds is not None:
            tuned[one.name] = _score(answered, labels, patients, judged, name, draws, one.thresholds)
    evaluations = [*fixed.values(), *tuned.values()]
    return [one.result for one in evaluations], [*_apart(fixed), *_apart(tuned, _METRICS[2:])]


def _apart(
    evaluations: Mapping[str, Evaluation[ClassificationResult]], metrics: Sequence[str] = _METRICS
) -> list[Difference]:
    first, *others = evaluations.values() if evaluations else (None,)
    if first is None:
        return []
    return [paired_difference(first, other, metric) for other in others for metric in metrics]


def _score(
    answers: _Answers,
    labels: Bool[np.ndarray, "n 26"],
    patients: Sequence[str],
    judged: Bool[np.ndarray, "26"],
    lead_set: str,
    draws: PatientDraws,
    thresholds: Float[np.ndarray, "26"] | None,
) -> Evaluation[ClassificationResult]:
    """Ranks by the judged classes; takes the Challenge score over all 26, as its organisers do."""
    system = answers.name if thresholds is None else f"{answers.name}, validation thresholds"
    ranked = evaluate_classification(
        labels[:, judged],
        answers.probabilities[:, judged],
        classes=[name for name, is_judged in zip(_NAMES, judged, strict=True) if is_judged],
        patients=patients,
        draws=draws,
        system=system,
        lead_set=lead_set,
    )
    scored = evaluate_classification(
        labels,
        answers.probabilities,
        classes=_NAMES,
        patients=patients,
        draws=draws,
        system=system,
        lead_set=lead_set,
        thresholds=0.5 if thresholds is None else thresholds,
        credit=CREDIT,
    )
    return Evaluation(
        result=replace(ranked.result, challenge_score=scored.result.challenge_score),
        values={**ranked.values, "challenge_score": scored.values["challenge_score"]},
        draws_key=ranked.draws_key,
    )


def _labels(selection: Selection) -> Bool[np.ndarray, "n 26"]:
    codes = [one.codes for one in SCORED_CLASSES]
    return class_targets(selection.stores, selection.recordings, codes) > 0.5


def _wide(
    name: str,
    probabilities: Float[np.ndarray, "n C"],
    columns: Sequence[int],
    thresholds: Float[np.ndarray, "26"] | None,
) -> _Answers:
    wide = np.zeros((len(probabilities), len(_NAMES)))
    wide[:, columns] = probabilities
    outputs = np.zeros(len(_NAMES), dtype=bool)
    outputs[list(columns)] = True
    return _Answers(name=name, probabilities=wide, outputs=outputs, thresholds=thresholds)
