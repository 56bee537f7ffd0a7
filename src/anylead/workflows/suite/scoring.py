"""Answers become scores: on the recordings that all systems answer, with the same resamples for all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from anylead.errors import ConfigError
from anylead.evaluation.bootstrap import percentile_interval
from anylead.evaluation.challenge_score import challenge_credits
from anylead.evaluation.classification import macro, rank_scores
from anylead.evaluation.evaluate import Evaluation, evaluate_classification
from anylead.evaluation.predictions import BlockKey, ClassificationBlock
from anylead.evaluation.results import ClassificationResult
from anylead.evaluation.thresholds import best_challenge_thresholds, best_f1_thresholds
from anylead.sources.challenge import WEIGHTS
from anylead.workflows.judge_classification import CREDIT
from anylead.workflows.suite.parts import Answers
from anylead.workflows.suite.task import Task, finite_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What one system's answers are worth."""

    answers: Answers
    evaluation: Evaluation[ClassificationResult]


def score(given: Sequence[Answers], task: Task, *, lead_set: str) -> dict[str, Scored]:
    """Scores answers on the recordings that all of them answer.

    Args:
        given: Of any systems.
        task: Labels, patients and resamples.
        lead_set: What to call the leads in tables.

    Raises:
        ConfigError: If no recording is answered by all.
    """
    whole = answered_by_all(given)
    return {one.name: Scored(answers=one, evaluation=_score(one, task, whole, lead_set)) for one in given}


def macro_auroc_values(given: Sequence[Answers], task: Task) -> list[Float[np.ndarray, "draws1"]]:
    """Returns the macro AUROC of each, from all patients and then from each resample.

    Args:
        given: Of any systems and conditions; they are judged on the recordings that all of them answer.
        task: Labels, patients and resamples.

    Raises:
        ConfigError: If no recording is answered by all.
    """
    whole = answered_by_all(given)
    weights, labels = _weights(task, whole), task.labels["test"][whole]
    return [np.asarray(macro(rank_scores(labels, one.test[whole], weights).auroc)) for one in given]


def answered_by_all(given: Sequence[Answers]) -> Bool[np.ndarray, "records"]:
    """Returns which test recordings all of them answer.

    Raises:
        ConfigError: If there is none.
    """
    whole = finite_rows(*(one.test for one in given))
    if not whole.any():
        names = ", ".join(dict.fromkeys(one.name for one in given))
        raise ConfigError(
            f"no test recording has an answer of each of {names}; give embeddings of the same recordings."
        )
    return whole


def _score(
    answers: Answers, task: Task, whole: np.ndarray, lead_set: str
) -> Evaluation[ClassificationResult]:
    labels, patients = task.labels["test"][whole], task.parts["test"].keep(whole).persons
    thresholds = _thresholds(answers, task)
    ranked = evaluate_classification(
        labels,
        answers.test[whole],
        classes=task.classes,
        patients=patients,
        draws=task.draws,
        system=answers.name,
        lead_set=lead_set,
        f1_thresholds=thresholds[0],
    )
    credited = _challenge_scores(answers, task, whole, thresholds[1])
    return Evaluation(
        result=replace(ranked.result, challenge_score=percentile_interval(float(credited[0]), credited[1:])),
        values={**ranked.values, "challenge_score": credited},
        draws_key=ranked.draws_key,
    )


def _challenge_scores(
    answers: Answers, task: Task, whole: np.ndarray, thresholds: np.ndarray
) -> Float[np.ndarray, "draws1"]:
    """Returns the Challenge score over all 26 classes, as its organisers take it."""
    said = np.zeros((int(whole.sum()), len(WEIGHTS)), dtype=bool)
    said[:, task.columns] = answers.test[whole] > thresholds
    credits = challenge_credits(task.all_labels[whole], said, CREDIT.weights, sinus=CREDIT.sinus)
    return np.asarray(credits.scores(_weights(task, whole)))


def _weights(task: Task, whole: np.ndarray) -> Float[np.ndarray, "draws1 records"]:
    """Returns everyone once, then the resamples."""
    weights = task.draws.record_weights(task.parts["test"].keep(whole).persons)
    return np.concatenate([np.ones((1, weights.shape[1])), weights])


def _thresholds(answers: Answers, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns thresholds for F1 and for the Challenge score, from validation recordings; 0.5 without any."""
    plain = np.full(len(task.classes), 0.5)
    if answers.valid is None:
        return plain, plain
    usable = finite_rows(answers.valid)
    labels, said = task.labels["valid"][usable], answers.valid[usable]
    if not usable.any():
        return plain, plain
    credit = WEIGHTS[np.ix_(task.columns, task.columns)]
    challenge = best_challenge_thresholds(labels, said, credit)
    challenge[~labels.any(axis=0)] = 0.5
    return best_f1_thresholds(labels, said), challenge


def block(answers: Answers, task: Task, condition: str) -> ClassificationBlock:
    """Returns answers as they are kept for later comparisons."""
    usable = finite_rows(answers.test)
    chosen = task.parts["test"].keep(usable)
    return ClassificationBlock(
        key=BlockKey(
            task="classification", protocol=answers.protocol, condition=condition, system=answers.system
        ),
        record_ids=tuple(chosen.record_ids),
        patients=tuple(chosen.persons),
        labels=task.labels["test"][usable],
        scores=answers.test[usable].astype(np.float32),
    )
