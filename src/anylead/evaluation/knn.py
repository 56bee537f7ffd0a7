"""Nearest neighbours: what frozen embeddings say without anything being fitted to them.

The score of a class is the mean label of the most similar training recordings, each weighing as much as it
is similar. Features are standardised on the training recordings, as for the linear probe: otherwise the unit
in which a hand-made feature is measured would decide who is near.

Source: Wu et al. 2018, "Unsupervised feature learning via non-parametric instance discrimination", section
3.4, with the cosine itself as weight and labels that do not exclude each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from anylead.errors import InputError
from anylead.evaluation.classification import auroc, macro
from anylead.evaluation.probe import patient_folds

_ROWS_AT_ONCE = 1024
"""Recordings compared together with all training recordings: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class NeighbourConfig:
    """How many neighbours are asked."""

    neighbours: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Tried in falling order; of equally good ones the most is taken. More than there are recordings are
    not tried."""
    folds: int = 4
    """Of the cross-validation, where there are no validation recordings."""
    seed: int = 0
    """Of the folds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """Training recordings that can be asked."""

    mean: Float[np.ndarray, "features"]
    scale: Float[np.ndarray, "features"]
    training: Float[np.ndarray, "records features"]
    """Standardised and of unit length."""
    labels: Bool[np.ndarray, "records classes"]
    neighbours: int
    """How many are asked."""
    macro_auroc_by_neighbours: tuple[tuple[int, float], ...] = ()
    """Each number tried and its macro AUROC on what was kept back; empty where there was no choice."""

    def scores(
        self, embeddings: Float[np.ndarray, "records features"]
    ) -> Float[np.ndarray, "records classes"]:
        """Returns the score of every class, from 0 to 1."""
        return self._scores(embeddings, (self.neighbours,))[0]

    def _scores(self, embeddings: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
        """Returns the scores for each number of neighbours."""
        rows = [embeddings[k : k + _ROWS_AT_ONCE] for k in range(0, len(embeddings), _ROWS_AT_ONCE)]
        parts = [self._scores_of(part, counts) for part in rows]
        nothing = np.zeros((0, self.labels.shape[1]))
        return [np.concatenate([nothing, *(part[place] for part in parts)]) for place in range(len(counts))]

    def _scores_of(self, embeddings: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
        asked = _unit_length((embeddings.astype(np.float64) - self.mean) / self.scale)
        similarity = asked @ self.training.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : max(counts)]
        # What points away is no witness. Where nothing else is there, all are heard alike.
        weight = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 0.0)
        weight[weight[:, 0] <= 0.0] = 1.0
        said = np.cumsum(weight[:, :, None] * self.labels[nearest], axis=1)
        heard = np.cumsum(weight, axis=1)
        return [said[:, k - 1] / heard[:, k - 1, None] for k in counts]


def fit_neighbours(
    embeddings: Float[np.ndarray, "records features"],
    labels: Bool[np.ndarray, "records classes"],
    *,
    patients: Sequence[str | None],
    valid: tuple[Float[np.ndarray, "valid features"], Bool[np.ndarray, "valid classes"]] | None = None,
    config: NeighbourConfig | None = None,
) -> Neighbours:
    """Chooses how many neighbours to ask, by macro AUROC.

    Args:
        embeddings: One row a training recording.
        labels: What is true of them.
        patients: Whose they are; None where nobody knows. Cross-validation keeps a patient on one side.
        valid: Embeddings and labels of other patients' recordings on which to choose; None is
            cross-validation.
        config: None is the default.

    Raises:
        InputError: If there is not one patient for each recording, an embedding is not finite, there are
            fewer recordings than neighbours, or the cross-validation has fewer patients than folds.
    """
    config = config or NeighbourConfig()
    if len(patients) != len(embeddings):
        raise InputError(
            f"nearest neighbours: got {len(embeddings)} recordings and {len(patients)} patients; "
            "give one each."
        )
    if not np.isfinite(embeddings).all():
        raise InputError("nearest neighbours: an embedding holds NaN or infinity; leave that recording out.")
    if len(config.neighbours) == 1:
        return _known(embeddings, labels, config.neighbours, len(embeddings))
    if valid is not None:
        splits = [(embeddings, labels, *valid)]
    else:
        fold = patient_folds(patients, folds=config.folds, seed=config.seed)
        splits = [
            (embeddings[fold != k], labels[fold != k], embeddings[fold == k], labels[fold == k])
            for k in range(config.folds)
        ]
    fewest = min(len(x) for x, _, _, _ in splits)
    known = [(_known(x, y, config.neighbours, fewest), kept, truth) for x, y, kept, truth in splits]
    counts = sorted((k for k in config.neighbours if k <= fewest), reverse=True)
    per_class = [
        [auroc(truth, scores) for scores in asked._scores(kept, counts)] for asked, kept, truth in known
    ]
    kept_back = macro(macro(np.moveaxis(np.array(per_class), 0, -1)))
    best = counts[int(np.argmax(np.where(np.isnan(kept_back), -np.inf, kept_back)))]
    return _known(
        embeddings,
        labels,
        (best,),
        len(embeddings),
        tuple((count, float(value)) for count, value in zip(counts, kept_back, strict=True)),
    )


def _known(
    embeddings: np.ndarray,
    labels: np.ndarray,
    neighbours: Sequence[int],
    available: int,
    tried: tuple[tuple[int, float], ...] = (),
) -> Neighbours:
    if min(neighbours) > available:
        raise InputError(
            f"nearest neighbours: got {available} recordings for {min(neighbours)} neighbours; "
            "give more recordings, or ask fewer neighbours."
        )
    wide = embeddings.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    scale = np.where(deviation > 1e-9 * (1.0 + np.abs(mean)), deviation, np.inf)
    return Neighbours(
        mean=mean,
        scale=scale,
        training=_unit_length((wide - mean) / scale),
        labels=labels,
        neighbours=min(neighbours),
        macro_auroc_by_neighbours=tried,
    )


def _unit_length(vectors: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows features"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0.0))
