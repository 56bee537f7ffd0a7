"""AUROC, AUPRC and other scores per class, weighted, with exact ties; means over classes and recordings.

Scores are sorted once per class; a resample of the recordings is then only another weighting, so a thousand
of them cost a thousand cumulative sums and no sort.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.errors import InputError

_DRAWS_AT_ONCE = 256
"""Weightings worked on together, at most."""
_NUMBERS_AT_ONCE = 2**24
"""Decisions times weightings worked on together, at most: bounds memory where there are very many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """One class: positives and negatives in falling order of score, and where they fall among each other."""

    positives: Int[np.ndarray, "positives"]
    negatives: Int[np.ndarray, "negatives"]
    negatives_above: Int[np.ndarray, "positives"]
    """Negatives that score higher than each positive."""
    negatives_not_below: Int[np.ndarray, "positives"]
    """Negatives that score as high or higher."""
    positives_not_below: Int[np.ndarray, "positives"]

    def __len__(self) -> int:
        """Returns the number of positives and negatives."""
        return len(self.positives) + len(self.negatives)

    @classmethod
    def of(cls, labels: Bool[np.ndarray, "records"], scores: Float[np.ndarray, "records"]) -> "Ranking":
        """Sorts one class."""
        order = np.argsort(-scores, kind="stable")
        positives, negatives = order[labels[order]], order[~labels[order]]
        falling_positives, falling_negatives = -scores[positives], -scores[negatives]
        return cls(
            positives=positives,
            negatives=negatives,
            negatives_above=np.searchsorted(falling_negatives, falling_positives, side="left"),
            negatives_not_below=np.searchsorted(falling_negatives, falling_positives, side="right"),
            positives_not_below=np.searchsorted(falling_positives, falling_positives, side="right"),
        )

    def measure(
        self, weights: Float[np.ndarray, "records draws"], specificities: Sequence[float] = ()
    ) -> Float[np.ndarray, "scores draws"]:
        """Returns AUROC, AUPRC and sensitivities of each weighting, NaN where either outcome has no weight.

        AUROC is the probability that a positive outscores a negative, a tie counting half. AUPRC is average
        precision: the precision at each distinct score, weighted by the recall gained there. A sensitivity is
        the highest that some threshold reaches at no less than the specificity; nothing is interpolated.
        """
        positive = weights[self.positives]
        negatives = _running_sum(weights[self.negatives])
        all_positive, all_negative = positive.sum(axis=0), negatives[-1]
        is_defined = (all_positive > 0.0) & (all_negative > 0.0)

        false_positive = negatives[self.negatives_not_below]
        outscored_by = 0.5 * (negatives[self.negatives_above] + false_positive)
        lost = np.einsum("pd,pd->d", positive, outscored_by)

        true_positive = _running_sum(positive)[self.positives_not_below]
        answered = true_positive + false_positive
        precision = np.divide(true_positive, answered, out=np.zeros_like(answered), where=answered > 0.0)
        gained = np.einsum("pd,pd->d", positive, precision)

        found = [1.0 - _ratio(lost, all_positive * all_negative, is_defined)]
        found.append(_ratio(gained, all_positive, is_defined))
        for specificity in specificities:
            # A product such as 0.1 * 30 may fall short of 3 by rounding.
            allowed = (1.0 - specificity) * all_negative * (1.0 + 1e-9)
            reached = np.where(false_positive <= allowed, true_positive, 0.0).max(axis=0, initial=0.0)
            found.append(_ratio(reached, all_positive, is_defined))
        return np.stack(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class RankScores:
    """AUROC, AUPRC and sensitivities; NaN where a class has one outcome only."""

    auroc: Float[np.ndarray, "draws classes"]
    auprc: Float[np.ndarray, "draws classes"]
    sensitivity: Float[np.ndarray, "specificities draws classes"]
    """The highest at no less than each specificity asked for."""


def rank_scores(
    labels: Bool[np.ndarray, "records classes"],
    scores: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws records"] | None = None,
    *,
    specificities: Sequence[float] = (),
) -> RankScores:
    """Returns AUROC and AUPRC of every class under every weighting of the recordings.

    Args:
        labels: Whether a recording has a class.
        scores: Any monotone score, a probability for instance; higher means more likely.
        weights: One row a weighting, not negative; None is a single row of ones.
        specificities: At which to give the sensitivity, such as 0.95.

    Raises:
        InputError: If a score is not finite or a weight is negative.
    """
    weights = _checked(labels, scores, weights)
    rankings = [Ranking.of(labels[:, k], scores[:, k]) for k in range(labels.shape[1])]
    return _measured(rankings, weights, specificities)


def micro(
    labels: Bool[np.ndarray, "records classes"],
    scores: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws records"] | None = None,
) -> RankScores:
    """Returns AUROC and AUPRC of all decisions (recording, class) put in one heap, as one class.

    Arguments and errors are those of `rank_scores`.

    Raises:
        InputError: If a score is not finite or a weight is negative.
    """
    weights = _checked(labels, scores, weights)
    classes = labels.shape[1]
    heap = Ranking.of(labels.reshape(-1), scores.reshape(-1))
    # Every decision has the weight of its recording.
    heap = replace(heap, positives=heap.positives // classes, negatives=heap.negatives // classes)
    return _measured([heap], weights, ())


def f1_scores(
    labels: Bool[np.ndarray, "records classes"],
    answers: Bool[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws records"],
) -> Float[np.ndarray, "draws classes"]:
    """Returns 2 TP / (2 TP + FP + FN) of every class under every weighting, NaN where no positive has weight.

    Args:
        labels: Whether a recording has a class.
        answers: Whether it was said to have.
        weights: One row a weighting, not negative.
    """
    true, positive, answered = (weights @ one.astype(float) for one in (labels & answers, labels, answers))
    return _ratio(2.0 * true, positive + answered, positive > 0.0)


def _checked(
    labels: Bool[np.ndarray, "records classes"],
    scores: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws records"] | None,
) -> Float[np.ndarray, "draws records"]:
    if not np.isfinite(scores).all():
        raise InputError(
            "classification: a score is NaN or infinite; give a finite score for every recording and class."
        )
    if weights is None:
        weights = np.ones((1, len(labels)))
    if (weights < 0.0).any():
        raise InputError("classification: a weight is below zero; give how often each recording counts.")
    return weights


def _measured(
    rankings: Sequence[Ranking], weights: Float[np.ndarray, "draws records"], specificities: Sequence[float]
) -> RankScores:
    result = np.full((2 + len(specificities), len(weights), len(rankings)), np.nan)
    together = max(1, min(_DRAWS_AT_ONCE, _NUMBERS_AT_ONCE // max((len(one) for one in rankings), default=1)))
    for start in range(0, len(weights), together):
        rows = slice(start, start + together)
        by_record = np.ascontiguousarray(weights[rows].T)
        for k, ranking in enumerate(rankings):
            result[:, rows, k] = ranking.measure(by_record, specificities)
    return RankScores(auroc=result[0], auprc=result[1], sensitivity=result[2:])


def _ratio(
    part: Float[np.ndarray, "*shape"],
    whole: Float[np.ndarray, "*shape"],
    is_defined: Bool[np.ndarray, "*shape"],
) -> Float[np.ndarray, "*shape"]:
    """Returns part / whole where it is defined, and NaN elsewhere."""
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=is_defined))


def auroc(
    labels: Bool[np.ndarray, "records classes"],
    scores: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "records"] | None = None,
) -> Float[np.ndarray, "classes"]:
    """Returns the area under the ROC curve of every class, NaN where it has one outcome only."""
    return np.asarray(rank_scores(labels, scores, None if weights is None else weights[None, :]).auroc[0])


def auprc(
    labels: Bool[np.ndarray, "records classes"],
    scores: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "records"] | None = None,
) -> Float[np.ndarray, "classes"]:
    """Returns the average precision of every class, NaN where it has one outcome only."""
    return np.asarray(rank_scores(labels, scores, None if weights is None else weights[None, :]).auprc[0])


def macro(per_class: Float[np.ndarray, "*draws classes"]) -> Float[np.ndarray, "*draws"]:
    """Returns the mean over the classes that are defined, NaN where none is."""
    is_defined = ~np.isnan(per_class)
    count = is_defined.sum(axis=-1)
    total = np.where(is_defined, per_class, 0.0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def mean_per_record(
    values: Float[np.ndarray, "windows classes"], records: Sequence[str | int]
) -> tuple[list[str | int], Float[np.ndarray, "records classes"]]:
    """Averages what was said of the windows of each recording.

    Args:
        values: One row a window, probabilities for instance.
        records: Which recording each window is of.

    Returns:
        The recordings in the order in which they first appear, and their means.

    Raises:
        InputError: If there is not one recording for each window.
    """
    if len(records) != len(values):
        raise InputError(
            f"mean per record: got {len(values)} windows and {len(records)} recordings; "
            "name one for each window."
        )
    place = {record: row for row, record in enumerate(dict.fromkeys(records))}
    rows = np.array([place[record] for record in records], dtype=np.int64)
    totals = np.zeros((len(place), values.shape[1]))
    np.add.at(totals, rows, values)
    return list(place), totals / np.bincount(rows, minlength=len(place))[:, None]


def _running_sum(values: Float[np.ndarray, "items draws"]) -> Float[np.ndarray, "items1 draws"]:
    """Returns the sums of the first 0, 1, ... rows."""
    result = np.zeros((values.shape[0] + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=result[1:])
    return result
