"""The linear probe: what a logistic regression on frozen embeddings can read from them.

One regression a class on standardised features, all with one L2 strength. The strength is chosen by macro
AUROC on validation recordings or, without them, by cross-validation in which no patient is on both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.errors import InputError
from anylead.evaluation.bootstrap import own_names
from anylead.evaluation.classification import auroc, macro
from anylead.evaluation.logistic import logistic_paths
from anylead.seeding import generator


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How a probe is fitted."""

    l2_strengths: tuple[float, ...] = (1e4, 1e3, 1e2, 1e1, 1.0, 1e-1)
    """Tried in falling order; of equally good ones the strongest is taken."""
    folds: int = 4
    """Of the cross-validation, where there are no validation recordings."""
    maximum_iterations: int = 1000
    seed: int = 0
    """Of the folds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """A fitted probe."""

    mean: Float[np.ndarray, "features"]
    scale: Float[np.ndarray, "features"]
    weight: Float[np.ndarray, "classes features"]
    """Zero for a class that had one outcome in training: it is given its smoothed prevalence."""
    bias: Float[np.ndarray, "classes"]
    l2_strength: float
    macro_auroc_by_strength: tuple[tuple[float, float], ...] = ()
    """Each strength tried and its macro AUROC on what was kept back; empty where there was no choice."""

    def predict_proba(
        self, embeddings: Float[np.ndarray, "records features"]
    ) -> Float[np.ndarray, "records classes"]:
        """Returns the probability of every class."""
        logits = (embeddings - self.mean) / self.scale @ self.weight.T + self.bias
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float64)


def fit_probe(
    embeddings: Float[np.ndarray, "records features"],
    labels: Bool[np.ndarray, "records classes"],
    *,
    patients: Sequence[str | None],
    valid: tuple[Float[np.ndarray, "valid features"], Bool[np.ndarray, "valid classes"]] | None = None,
    config: ProbeConfig | None = None,
) -> Probe:
    """Fits a probe on training recordings.

    Args:
        embeddings: One row a recording.
        labels: What is true of them.
        patients: Whose they are; None where nobody knows. Cross-validation keeps a patient on one side.
        valid: Embeddings and labels of other patients' recordings on which to choose the strength.
        config: None is the default.

    Raises:
        InputError: If there is not one patient for each recording, an embedding is not finite, or the
            cross-validation has fewer patients than folds.
    """
    config = config or ProbeConfig()
    if len(patients) != len(embeddings):
        raise InputError(
            f"probe: got {len(embeddings)} recordings and {len(patients)} patients; give one each."
        )
    if not np.isfinite(embeddings).all():
        raise InputError("probe: an embedding holds NaN or infinity; leave that recording out.")
    strengths = sorted(config.l2_strengths, reverse=True)
    if len(strengths) == 1:
        return next(_paths(embeddings, labels, strengths, config))
    if valid is not None:
        splits = [(embeddings, labels, *valid)]
    else:
        fold = patient_folds(patients, folds=config.folds, seed=config.seed)
        splits = [
            (embeddings[fold != k], labels[fold != k], embeddings[fold == k], labels[fold == k])
            for k in range(config.folds)
        ]
    tried = tuple(zip(strengths, _kept_back_auroc(splits, strengths, config), strict=True))
    best = max(tried, key=lambda pair: -np.inf if np.isnan(pair[1]) else pair[1])[0]
    # Alone, so that what was tried beside it changes nothing.
    return replace(next(_paths(embeddings, labels, [best], config)), macro_auroc_by_strength=tried)


def patient_folds(
    patients: Sequence[str | None], *, folds: int = 4, seed: int = 0
) -> Int[np.ndarray, "records"]:
    """Returns the fold of each recording; patients are spread evenly, in an order of their own.

    Args:
        patients: Whose each recording is; None is a patient of its own.
        folds: How many.
        seed: Of the order.

    Raises:
        InputError: If there are fewer patients than folds.
    """
    names = own_names(patients)
    unique = sorted(set(names))
    if len(unique) < folds:
        raise InputError(
            f"probe: got {len(unique)} patients for {folds} folds; "
            "give more patients, or validation recordings."
        )
    order = generator(seed, "probe folds").permutation(len(unique))
    fold = {unique[place]: number % folds for number, place in enumerate(order)}
    return np.array([fold[name] for name in names], dtype=np.int64)


def _kept_back_auroc(
    splits: Sequence[tuple[np.ndarray, ...]], strengths: Sequence[float], config: ProbeConfig
) -> list[float]:
    """Returns the macro AUROC of each strength, classes averaged over the folds that have both outcomes."""
    per_class = [
        [auroc(kept_labels, probe.predict_proba(kept)) for probe in _paths(x, y, strengths, config)]
        for x, y, kept, kept_labels in splits
    ]
    return [float(value) for value in macro(macro(np.moveaxis(np.array(per_class), 0, -1)))]


def _paths(
    embeddings: Float[np.ndarray, "records features"],
    labels: Bool[np.ndarray, "records classes"],
    strengths: Sequence[float],
    config: ProbeConfig,
) -> Iterator[Probe]:
    """Yields the probe of each strength."""
    wide = embeddings.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    # A feature that is constant in training is switched off, not blown up.
    scale = np.where(deviation > 1e-9 * (1.0 + np.abs(mean)), deviation, np.inf)
    prevalence = (labels.sum(axis=0) + 0.5) / (len(labels) + 1.0)
    has_both = labels.any(axis=0) & ~labels.all(axis=0)
    path = logistic_paths(
        (wide - mean) / scale, labels[:, has_both], strengths, maximum_iterations=config.maximum_iterations
    )
    for strength, (found, found_bias) in zip(strengths, path, strict=True):
        weight = np.zeros((labels.shape[1], wide.shape[1]))
        bias = np.log(prevalence / (1.0 - prevalence))
        weight[has_both], bias[has_both] = found, found_bias
        yield Probe(mean=mean, scale=scale, weight=weight, bias=bias, l2_strength=strength)
