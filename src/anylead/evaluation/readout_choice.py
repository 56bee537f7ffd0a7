"""Which layer of a frozen encoder is read and how it is pooled: chosen on validation recordings, and told.

The read-out is worth as much as the objective of pre-training, so every encoder, the untrained ones included,
gets the same choice from the same candidates, and no test recording is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from anylead.errors import InputError
from anylead.evaluation.identification import (
    Protocol,
    cosine_similarity,
    pessimistic_ranks,
    rank_rate,
)
from anylead.evaluation.probe import ProbeConfig, fit_probe
from anylead.evaluation.results import defined
from anylead.evaluation.verification import operating_points
from anylead.evaluation.whitening import Whitening

Place = tuple[int | None, str]
"""Layer (None is the encoder's own output) and pooling."""
POOLINGS: tuple[str, ...] = ("mean", "mean_std", "mean_std_max")
"""Each appends a part as wide as the encoder to the one before it."""


def pooling_columns(pooling: str, dimension: int) -> slice:
    """Returns which columns of ``mean|std|max`` vectors a pooling keeps.

    Args:
        pooling: One of `POOLINGS`.
        dimension: Width of the encoder: a third of the vectors'.

    Raises:
        InputError: If there is no such pooling.
    """
    if pooling not in POOLINGS:
        raise InputError(f"read-out: there is no pooling {pooling!r}; there are {', '.join(POOLINGS)}.")
    return slice(0, dimension * (POOLINGS.index(pooling) + 1))


@dataclass(frozen=True, kw_only=True)
class ReadoutTrial:
    """One candidate."""

    layer: int | None
    pooling: str
    score: float | None
    """What was chosen by; None where it is undefined."""
    is_whitened: bool | None = None
    """None where whitening was no question."""
    equal_error_rate: float | None = None
    """Decides between equal scores, in identification."""


@dataclass(frozen=True, kw_only=True)
class ReadoutChoice:
    """What was chosen, and from what."""

    chosen: ReadoutTrial
    metric: str
    judged_on: str
    """In words, for the report."""
    tried: tuple[ReadoutTrial, ...]


def choose_readout(
    candidates: Mapping[Place, tuple[Float[np.ndarray, "records _"], Float[np.ndarray, "valid _"] | None]],
    labels: Bool[np.ndarray, "records classes"],
    valid_labels: Bool[np.ndarray, "valid classes"] | None = None,
    *,
    patients: Sequence[str | None],
    config: ProbeConfig | None = None,
) -> ReadoutChoice:
    """Chooses for classification: by the macro AUROC of a linear probe with its best strength.

    Args:
        candidates: Layer and pooling to embeddings of the training and of the validation recordings; None in
            place of the latter is cross-validation on the former that keeps a patient on one side. Of
            equally good candidates the first is taken.
        labels: Of the training recordings.
        valid_labels: Of the validation recordings.
        patients: Whose the training recordings are.
        config: Of the probe.

    Raises:
        InputError: If there is no candidate, or no score is defined.
    """
    trials = []
    for (layer, pooling), (train, valid) in candidates.items():
        held = None if valid is None or valid_labels is None else (valid, valid_labels)
        probe = fit_probe(train, labels, patients=patients, valid=held, config=config)
        scores = [score for _, score in probe.macro_auroc_by_strength if not np.isnan(score)]
        trials.append(ReadoutTrial(layer=layer, pooling=pooling, score=max(scores, default=None)))
    has_valid = valid_labels is not None and all(valid is not None for _, valid in candidates.values())
    where = "validation recordings" if has_valid else "training recordings, in cross-validation by patient"
    return _choice(trials, metric="macro AUROC of the linear probe", judged_on=where)


def choose_identity_readout(
    candidates: Mapping[Place, tuple[Float[np.ndarray, "records _"], Whitening | None]],
    protocol: Protocol,
) -> ReadoutChoice:
    """Chooses for identification: by Rank-1, of equal ones by the equal error rate.

    Args:
        candidates: Layer and pooling to embeddings of the validation persons' recordings and a whitening
            fitted on training recordings; each is tried with and without, None only without.
        protocol: Gallery and probes among these recordings.

    Raises:
        InputError: If there is no candidate, or the protocol has no probe.
    """
    trials = []
    for (layer, pooling), (embeddings, whitening) in candidates.items():
        for whiten in (None, whitening) if whitening is not None else (None,):
            used = embeddings if whiten is None else whiten(embeddings)
            rank1, equal_error = _identification(used, protocol)
            trials.append(
                ReadoutTrial(
                    layer=layer,
                    pooling=pooling,
                    score=rank1,
                    is_whitened=whiten is not None,
                    equal_error_rate=equal_error,
                )
            )
    return _choice(trials, metric="Rank-1", judged_on="validation persons")


def _identification(
    embeddings: Float[np.ndarray, "records features"], protocol: Protocol
) -> tuple[float | None, float | None]:
    """Returns Rank-1 and equal error rate."""
    similarity = cosine_similarity(embeddings[protocol.probes], embeddings[protocol.gallery])
    weights = protocol.probe_weights[None, :]
    ranks = pessimistic_ranks(similarity, protocol.probe_person)
    rank1 = defined(float(rank_rate(ranks, weights, k=1)[0]))
    if not len(ranks) or len(protocol.persons) < 2:
        return rank1, None
    everyone = np.ones((1, len(protocol.persons)))
    points = operating_points(similarity, protocol.probe_person, weights, everyone)
    return rank1, defined(float(points.equal_error_rate()[0]))


def _choice(trials: Sequence[ReadoutTrial], *, metric: str, judged_on: str) -> ReadoutChoice:
    known = [(trial.score, trial) for trial in trials if trial.score is not None]
    if not known:
        raise InputError(
            f"read-out: {metric} is undefined for all of {len(trials)} candidates on {judged_on}; "
            "give validation recordings on which it is defined."
        )
    chosen = max(known, key=lambda pair: (pair[0], -(pair[1].equal_error_rate or 0.0)))[1]
    return ReadoutChoice(chosen=chosen, metric=metric, judged_on=judged_on, tried=tuple(trials))
