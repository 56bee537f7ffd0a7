"""Whitening by the scatter within recordings: what varies inside one does not say whose it is.

Needs segments and the recordings they are of, no identities and no labels.

Source: Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization for SVM-based speaker
recognition", with recordings in the place of speakers; shrinkage: Ledoit and Wolf 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from anylead.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """A linear map after which unlabelled recordings scatter alike in every direction."""

    mean: Float[np.ndarray, "features"]
    matrix: Float[np.ndarray, "features features"]
    """Symmetric: the inverse square root of the shrunk scatter."""
    shrinkage: float
    """Part of the scatter that was replaced by a multiple of the identity."""

    def __call__(self, embeddings: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows features"]:
        """Returns the embeddings less the mean, whitened."""
        return np.asarray((embeddings.astype(np.float64) - self.mean) @ self.matrix)


def fit_whitening(
    embeddings: Float[np.ndarray, "segments features"],
    recordings: Sequence[str | int],
    *,
    shrinkage: float | None = None,
) -> Whitening:
    """Fits a whitening.

    Args:
        embeddings: One row a segment.
        recordings: Which recording each segment is of; one with a single segment tells nothing.
        shrinkage: From 0 (the scatter as it is) to 1 (no whitening but a scale); None estimates it.

    Raises:
        InputError: If there is not one recording for each segment, none has two segments that differ, or the
            shrinkage is not from 0 to 1.
    """
    if len(recordings) != len(embeddings):
        raise InputError(
            f"whitening: got {len(embeddings)} segments and {len(recordings)} recordings; name one for each."
        )
    if shrinkage is not None and not 0.0 <= shrinkage <= 1.0:
        raise InputError(f"whitening: shrinkage is {shrinkage:g}; give a number from 0 to 1.")
    wide = embeddings.astype(np.float64)
    _, place = np.unique([str(recording) for recording in recordings], return_inverse=True)
    counts = np.bincount(place)
    means = np.zeros((len(counts), wide.shape[1]))
    np.add.at(means, place, wide)
    within = (wide - (means / counts[:, None])[place])[counts[place] > 1]
    freedom = int((counts - 1).sum())
    scatter = within.T @ within / max(freedom, 1)
    level = float(np.trace(scatter)) / wide.shape[1]
    if level <= 0.0:
        raise InputError(
            "whitening: no recording has two segments that differ; give several segments of each recording."
        )
    part = _ledoit_wolf(within, scatter, freedom) if shrinkage is None else shrinkage
    shrunk = (1.0 - part) * scatter + part * level * np.eye(len(scatter))
    values, vectors = np.linalg.eigh(shrunk)
    # Without shrinkage there may be directions in which nothing varies: they get the smallest scale.
    smallest = values[values > 1e-10 * values[-1]].min()
    matrix = (vectors / np.sqrt(np.maximum(values, smallest))) @ vectors.T
    return Whitening(mean=wide.mean(axis=0), matrix=matrix, shrinkage=part)


def _ledoit_wolf(
    within: Float[np.ndarray, "segments features"],
    scatter: Float[np.ndarray, "features features"],
    freedom: int,
) -> float:
    """Returns the shrinkage that minimises the expected squared error of the scatter."""
    features = len(scatter)
    level = np.trace(scatter) / features
    distance = np.square(scatter).sum() - features * level**2
    if distance <= 0.0:
        return 1.0
    error = (np.square(np.square(within).sum(axis=1)).sum() / freedom - np.square(scatter).sum()) / freedom
    return float(np.clip(error / distance, 0.0, 1.0))
