"""Thresholds chosen on validation recordings, one for each class; an answer is a probability above it."""

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.errors import InputError
from anylead.evaluation.challenge_score import record_credit

DEFAULT_THRESHOLD = 0.5
_MAXIMUM_SWEEPS = 20


def best_f1_thresholds(
    labels: Bool[np.ndarray, "records classes"], probabilities: Float[np.ndarray, "records classes"]
) -> Float[np.ndarray, "classes"]:
    """Returns the threshold with the highest F1 for each class, 0.5 for a class without a positive.

    Raises:
        InputError: If there is no recording, or a probability is not finite.
    """
    _check(labels, probabilities)
    result = np.full(labels.shape[1], DEFAULT_THRESHOLD)
    for k in np.flatnonzero(labels.any(axis=0)):
        order, cuts = _cuts(probabilities[:, k])
        true_positive = np.concatenate([[0], np.cumsum(labels[order, k])])[cuts]
        f1 = 2.0 * true_positive / (cuts + labels[:, k].sum())
        result[k] = _threshold(probabilities[order, k], int(cuts[np.argmax(f1)]))
    return result


def best_challenge_thresholds(
    labels: Bool[np.ndarray, "records classes"],
    probabilities: Float[np.ndarray, "records classes"],
    credit: Float[np.ndarray, "classes classes"],
    told: Bool[np.ndarray, "records classes"] | None = None,
) -> Float[np.ndarray, "classes"]:
    """Returns thresholds that raise the Challenge score: each class in turn takes its best until none moves.

    The best for one class given the others is exact; the whole is a local optimum that starts from 0.5.

    Args:
        labels: What is true.
        probabilities: Of the same recordings.
        credit: The organisers' weights, in the order of the classes.
        told: Where it is known whether a recording has a class; elsewhere the class is neither true nor
            answered. None knows all.

    Raises:
        InputError: If there is no recording, or a probability is not finite.
    """
    _check(labels, probabilities)
    thresholds = np.full(labels.shape[1], DEFAULT_THRESHOLD)
    told = np.ones_like(labels) if told is None else told
    labels = labels & told
    outputs = (probabilities > thresholds) & told
    earned = record_credit(labels, outputs, credit).sum()
    for _ in range(_MAXIMUM_SWEEPS):
        before = earned
        for k in range(labels.shape[1]):
            answered, silent = outputs.copy(), outputs.copy()
            answered[:, k], silent[:, k] = told[:, k], False
            without = record_credit(labels, silent, credit)
            order, cuts = _cuts(probabilities[:, k])
            gain = (record_credit(labels, answered, credit) - without)[order]
            totals = without.sum() + np.concatenate([[0.0], np.cumsum(gain)])[cuts]
            best = int(np.argmax(totals))
            if totals[best] > earned + 1e-9:
                earned = totals[best]
                thresholds[k] = _threshold(probabilities[order, k], int(cuts[best]))
                outputs[:, k] = (probabilities[:, k] > thresholds[k]) & told[:, k]
        if earned == before:
            break
    return thresholds


def _check(labels: np.ndarray, probabilities: np.ndarray) -> None:
    if not len(labels) or not np.isfinite(probabilities).all():
        raise InputError(
            f"thresholds: got {len(labels)} recordings; give at least one, and finite probabilities for each."
        )


def _cuts(
    probabilities: Float[np.ndarray, "records"],
) -> tuple[Int[np.ndarray, "records"], Int[np.ndarray, "cuts"]]:
    """Returns the falling order and after how many recordings it can be cut: between unequal ones only."""
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    inside = np.flatnonzero(falling[1:] < falling[:-1]) + 1
    return order, np.concatenate([[0], inside, [len(falling)]])


def _threshold(falling: Float[np.ndarray, "records"], answered: int) -> float:
    """Returns a threshold that the first `answered` probabilities exceed and the next one does not."""
    upper = float(falling[answered - 1]) if answered else max(1.0, float(falling[0]))
    lower = float(falling[answered]) if answered < len(falling) else min(0.0, upper - 1e-6)
    middle = 0.5 * (upper + lower)
    return middle if lower <= middle < upper else lower
