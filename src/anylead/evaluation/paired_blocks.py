"""Two systems' answers to the same recordings, measured under the same resamples of the patients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from anylead.errors import InputError
from anylead.evaluation.bootstrap import PatientDraws
from anylead.evaluation.classification import macro, rank_scores
from anylead.evaluation.identification import rank_rate
from anylead.evaluation.predictions import Block, ClassificationBlock, IdentificationBlock

BothValues = tuple[Float[np.ndarray, "draws1"], Float[np.ndarray, "draws1"]]
"""Of the first system and of the second: from all patients once, then from each resample."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedValues:
    """One metric after the other, for both systems."""

    metrics: Mapping[str, BothValues]
    class_auroc: Mapping[str, BothValues]
    """Class to values; none for identification."""
    positives: Mapping[str, int]
    """Class to recordings that have it."""
    records: int
    patients: int


def pair_blocks(
    a: Block,
    b: Block,
    *,
    classes: tuple[Sequence[str], Sequence[str]],
    persons: Mapping[str, str],
    draws: PatientDraws,
) -> PairedValues:
    """Measures two blocks on the recordings, and the classes or probes, that both have.

    Args:
        a: Of one system.
        b: Of the other, of the same task.
        classes: Names of the columns of both, for classification.
        persons: Whose each recording is.
        draws: Of these persons, and possibly more.

    Raises:
        InputError: If they have no recording or no class in common, or disagree on labels or galleries.
    """
    names = sorted(set(a.record_ids) & set(b.record_ids))
    if not names:
        raise InputError("no recording was judged by both; evaluate both on the same split.")
    of_records = [persons[name] for name in names]
    weights = np.concatenate([np.ones((1, len(names))), draws.record_weights(of_records)])
    metrics: dict[str, BothValues] = {}
    auroc: dict[str, BothValues] = {}
    positives: dict[str, int] = {}
    if isinstance(a, ClassificationBlock) and isinstance(b, ClassificationBlock):
        metrics, auroc, positives = _classification(a, b, names, classes, weights)
    elif isinstance(a, IdentificationBlock) and isinstance(b, IdentificationBlock):
        metrics = _identification(a, b, names, of_records, weights)
    return PairedValues(
        metrics=metrics,
        class_auroc=auroc,
        positives=positives,
        records=len(names),
        patients=len(set(of_records)),
    )


def _classification(
    a: ClassificationBlock,
    b: ClassificationBlock,
    names: Sequence[str],
    classes: tuple[Sequence[str], Sequence[str]],
    weights: Float[np.ndarray, "draws1 records"],
) -> tuple[dict[str, BothValues], dict[str, BothValues], dict[str, int]]:
    scored = [
        [name for name, is_scored in zip(own, block.scored, strict=True) if is_scored]
        for own, block in zip(classes, (a, b), strict=True)
    ]
    shared = [name for name in scored[0] if name in scored[1]]
    if not shared:
        raise InputError("no class was scored by both; evaluate both with the same classes.")
    places = [
        np.ix_(_rows(block, names), [list(own).index(name) for name in shared])
        for own, block in zip(classes, (a, b), strict=True)
    ]
    labels = a.labels[places[0]]
    apart = (labels != b.labels[places[1]]).any(axis=1)
    if apart.any():
        raise InputError(
            f"the labels of {int(apart.sum())} recordings differ, such as those of "
            f"{names[int(np.argmax(apart))]}; evaluate both with the same labels."
        )
    scores = [block.scores[place] for block, place in zip((a, b), places, strict=True)]
    one = rank_scores(labels, scores[0], weights)
    two = one if np.array_equal(scores[0], scores[1]) else rank_scores(labels, scores[1], weights)
    metrics = {
        "macro_auroc": (macro(one.auroc), macro(two.auroc)),
        "macro_auprc": (macro(one.auprc), macro(two.auprc)),
    }
    by_class = {name: (one.auroc[:, k], two.auroc[:, k]) for k, name in enumerate(shared)}
    return metrics, by_class, dict(zip(shared, labels.sum(axis=0).tolist(), strict=True))


def _identification(
    a: IdentificationBlock,
    b: IdentificationBlock,
    names: Sequence[str],
    persons: Sequence[str],
    weights: Float[np.ndarray, "draws1 records"],
) -> dict[str, BothValues]:
    rows = _rows(a, names), _rows(b, names)
    galleries = a.enrolled[rows[0]], b.enrolled[rows[1]]
    if (galleries[0] != galleries[1]).any():
        raise InputError(
            f"the galleries are of {galleries[0].max()} and {galleries[1].max()} persons, which the ranks "
            "depend on; evaluate both on the same split."
        )
    later = np.array(
        [a.sessions[i] == b.sessions[j] == "cross_session" for i, j in zip(*rows, strict=True)], dtype=bool
    )
    number = np.unique(persons, return_inverse=True)[1]
    metrics: dict[str, BothValues] = {}
    for metric, chosen in (("rank1", np.ones(len(names), dtype=bool)), ("rank1_cross_session", later)):
        if chosen.any():
            # Persons weigh the same, however many probes they have.
            shared = weights[:, chosen] / np.bincount(number[chosen])[number[chosen]]
            metrics[metric] = (
                rank_rate(a.ranks[rows[0]][chosen], shared, k=1),
                rank_rate(b.ranks[rows[1]][chosen], shared, k=1),
            )
    return metrics


def _rows(block: Block, names: Sequence[str]) -> list[int]:
    place = {name: row for row, name in enumerate(block.record_ids)}
    return [place[name] for name in names]
