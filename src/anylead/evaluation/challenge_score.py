"""The PhysioNet/CinC Challenge 2021 score: credit for clinically close answers.

The numerator is a sum over recordings, so a weighted sum of each recording's credit scores any resample of
them; nothing is counted again.

Source: Reyna et al. 2021, "Will two do? Varying dimensions in electrocardiography"; METHOD 6.1.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from anylead.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ChallengeScore:
    """The score and the three credits it is made of."""

    score: float
    """(observed - inactive) / (correct - inactive): 1 for the truth, 0 for always answering sinus rhythm."""
    observed: float
    """Credit of the outputs."""
    correct: float
    """Credit of the true labels."""
    inactive: float
    """Credit of answering sinus rhythm and nothing else."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChallengeCredits:
    """The three credits of every recording."""

    observed: Float[np.ndarray, "records"]
    correct: Float[np.ndarray, "records"]
    inactive: Float[np.ndarray, "records"]

    def scores(self, weights: Float[np.ndarray, "draws records"]) -> Float[np.ndarray, "draws"]:
        """Returns the score of each weighting of the recordings; 0 where the denominator is 0."""
        observed, correct, inactive = weights @ self.observed, weights @ self.correct, weights @ self.inactive
        room = correct - inactive
        return np.asarray(np.divide(observed - inactive, room, out=np.zeros_like(room), where=room != 0.0))


def record_credit(
    labels: Bool[np.ndarray, "records classes"],
    outputs: Bool[np.ndarray, "records classes"],
    credit: Float[np.ndarray, "classes classes"],
) -> Float[np.ndarray, "records"]:
    """Returns what each recording earns: the credit of every pair of a label and an output, over their union.

    Args:
        labels: What is true.
        outputs: What was answered.
        credit: Row: true class; column: answered class.
    """
    union = np.maximum((labels | outputs).sum(axis=1), 1)
    earned = ((labels.astype(np.float64) @ credit) * outputs).sum(axis=1)
    return np.asarray(earned / union, dtype=np.float64)


def challenge_credits(
    labels: Bool[np.ndarray, "records classes"],
    outputs: Bool[np.ndarray, "records classes"],
    credit: Float[np.ndarray, "classes classes"],
    *,
    sinus: int,
) -> ChallengeCredits:
    """Returns the credits of every recording.

    Args:
        labels: What is true.
        outputs: What was answered.
        credit: The organisers' weights, in the order of the classes.
        sinus: Column of sinus rhythm.

    Raises:
        InputError: If there is no such column.
    """
    classes = labels.shape[1]
    if not 0 <= sinus < classes:
        raise InputError(f"challenge score: sinus is column {sinus}; there are columns 0 to {classes - 1}.")
    only_sinus = np.zeros_like(outputs)
    only_sinus[:, sinus] = True
    return ChallengeCredits(
        observed=record_credit(labels, outputs, credit),
        correct=record_credit(labels, labels, credit),
        inactive=record_credit(labels, only_sinus, credit),
    )


def challenge_score(
    labels: Bool[np.ndarray, "records classes"],
    outputs: Bool[np.ndarray, "records classes"],
    credit: Float[np.ndarray, "classes classes"],
    *,
    sinus: int,
) -> ChallengeScore:
    """Returns the score of binary outputs; arguments and errors as `challenge_credits`.

    Raises:
        InputError: If there is no such column.
    """
    credits = challenge_credits(labels, outputs, credit, sinus=sinus)
    return ChallengeScore(
        score=float(credits.scores(np.ones((1, len(labels))))[0]),
        observed=float(credits.observed.sum()),
        correct=float(credits.correct.sum()),
        inactive=float(credits.inactive.sum()),
    )
