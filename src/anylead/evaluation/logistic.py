"""L2-regularised logistic regressions of many classes on one set of features, for many strengths.

Every class and strength sees the same features, so their principal axes are found once. Along them the
Hessian is nearly diagonal: scaled by what it is at the prevalence, all classes are solved together by L-BFGS
in some tens of steps, each two matrix products. The minimum is the one that scikit-learn's
``LogisticRegression`` approaches for one class and one strength at a time.

Source: Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization".
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit

_NO_SPREAD = 1e-10
"""Of the widest axis' variance: an axis with less has none, and its weight is zero."""
_GRADIENT = 1e-5
"""At the minimum, where one unit of a scaled weight changes the log-likelihood by one."""


def logistic_paths(
    features: Float[np.ndarray, "records features"],
    labels: Bool[np.ndarray, "records classes"],
    strengths: Sequence[float],
    *,
    maximum_iterations: int = 1000,
) -> Iterator[tuple[Float[np.ndarray, "classes features"], Float[np.ndarray, "classes"]]]:
    """Yields weights and biases of all classes for one strength after the other.

    Each strength starts where the one before ended: give them in falling order.

    Args:
        features: With mean zero.
        labels: Every class has both outcomes.
        strengths: The loss is the sum of the recordings' cross-entropies plus half of this times the sum of
            the squared weights; the bias is free.
        maximum_iterations: Of each strength.
    """
    axes, along = _principal_axes(features)
    count, width, classes = len(features), along.shape[1], labels.shape[1]
    spread = np.square(along).sum(axis=0)
    prevalence = labels.mean(axis=0)
    certainty = prevalence * (1.0 - prevalence)
    truth = labels.astype(np.float64)
    bias_scale = 1.0 / np.sqrt(count * certainty)
    weight, bias = np.zeros((width, classes)), np.log(prevalence / (1.0 - prevalence))
    for strength in strengths:
        scale = 1.0 / np.sqrt(np.outer(spread, certainty) + strength)

        def loss(
            scaled: np.ndarray, scale: np.ndarray = scale, strength: float = strength
        ) -> tuple[float, np.ndarray]:
            parts = scaled.reshape(width + 1, classes)
            weight = parts[:-1] * scale
            logits = along @ weight + parts[-1] * bias_scale
            wrong = expit(logits) - truth
            value = np.logaddexp(0.0, logits).sum() - (truth * logits).sum()
            value += 0.5 * strength * np.square(weight).sum()
            to_weight = (along.T @ wrong + strength * weight) * scale
            gradient = np.concatenate([to_weight, (wrong.sum(axis=0) * bias_scale)[None, :]])
            return float(value), gradient.ravel()

        start = np.concatenate([weight / scale, (bias / bias_scale)[None, :]])
        options = {"maxiter": maximum_iterations, "gtol": _GRADIENT, "ftol": 0.0, "maxcor": 10}
        found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        parts = found.x.reshape(width + 1, classes)
        weight, bias = parts[:-1] * scale, parts[-1] * bias_scale
        yield (axes @ weight).T, bias.copy()


def _principal_axes(
    features: Float[np.ndarray, "records features"],
) -> tuple[Float[np.ndarray, "features axes"], Float[np.ndarray, "records axes"]]:
    """Returns the axes along which the features vary, and the features along them."""
    records, width = features.shape
    if records < width:
        spread, left = eigh(features @ features.T)
        kept = spread > _NO_SPREAD * max(spread[-1], 0.0)
        axes = features.T @ (left[:, kept] / np.sqrt(spread[kept]))
        return axes, left[:, kept] * np.sqrt(spread[kept])
    spread, axes = eigh(features.T @ features)
    axes = axes[:, spread > _NO_SPREAD * max(spread[-1], 0.0)]
    return axes, features @ axes
