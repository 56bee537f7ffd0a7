"""Predictions: what each system said of each recording, kept so that any later comparison can be paired.

A block is what one system said under one condition by one protocol. See `anylead.evaluation.predictions_file`
for the file they are kept in.
"""

from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32

from anylead.errors import InputError

Task = Literal["classification", "identification"]
SESSIONS = ("same_day", "cross_session", "unknown")
"""Whether a probe is of the day of enrolment."""


@dataclass(frozen=True, kw_only=True, order=True)
class BlockKey:
    """Which block: one for each key in a file."""

    task: Task
    protocol: str
    """How the answers were made: ``probe``, ``knn``, ``fine-tuned``, ``cosine, whitened``..."""
    condition: str
    """On what: a lead set or a perturbation, such as ``leads-12``."""
    system: str

    def __str__(self) -> str:
        """Returns ``classification / probe / leads-12 / mine``."""
        return f"{self.task} / {self.protocol} / {self.condition} / {self.system}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassificationBlock:
    """Scores of every class for every recording.

    Raises:
        InputError: If the parts do not fit together, a recording is twice in it, or a score is missing.
    """

    key: BlockKey
    record_ids: tuple[str, ...]
    """Unique over all stores, as source/record."""
    patients: tuple[str | None, ...]
    """None where nobody knows: such a recording is taken to be of a patient of its own."""
    labels: Bool[np.ndarray, "records classes"]
    scores: Float32[np.ndarray, "records classes"]
    """Higher means more likely. A class that the system does not score is NaN for every recording."""

    def __post_init__(self) -> None:
        _require_rows(self.key, self.record_ids, self.patients, self.labels, self.scores)
        unusable = np.isinf(self.scores) | (np.isnan(self.scores) & self.scored)
        if unusable.any():
            row, column = np.argwhere(unusable)[0]
            raise InputError(
                f"predictions {self.key}: the score of class {column} for {self.record_ids[row]} is "
                f"{self.scores[row, column]}; give a finite score, or NaN for every recording of a class "
                "that the system does not score."
            )

    @property
    def scored(self) -> Bool[np.ndarray, "classes"]:
        """Which classes the system scores."""
        return np.asarray(~np.isnan(self.scores).all(axis=0))


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentificationBlock:
    """Where the right person stood among the enrolled, for every probe.

    Raises:
        InputError: If the parts do not fit together, a recording is twice in it, a rank is not a place among
            the enrolled, or a similarity is not finite.
    """

    key: BlockKey
    record_ids: tuple[str, ...]
    """Of the probes."""
    patients: tuple[str | None, ...]
    ranks: Int32[np.ndarray, "records"]
    """Place of the right person, 1 being the best; ties count against the system."""
    enrolled: Int32[np.ndarray, "records"]
    """Persons in the gallery."""
    own_similarity: Float32[np.ndarray, "records"]
    """To the right person's enrolment."""
    best_other_similarity: Float32[np.ndarray, "records"]
    """To the most similar other person's; -inf where nobody else is enrolled."""
    sessions: tuple[str, ...]
    """One of `SESSIONS` a probe."""

    def __post_init__(self) -> None:
        parts = (self.ranks, self.enrolled, self.own_similarity, self.best_other_similarity, self.sessions)
        _require_rows(self.key, self.record_ids, self.patients, *parts)
        misplaced = (self.ranks < 1) | (self.ranks > self.enrolled)
        unusable = (
            misplaced
            | ~np.isfinite(self.own_similarity)
            | np.isnan(self.best_other_similarity)
            | np.isposinf(self.best_other_similarity)
        )
        if unusable.any():
            row = int(np.argmax(unusable))
            raise InputError(
                f"predictions {self.key}: {self.record_ids[row]} has rank {self.ranks[row]} of "
                f"{self.enrolled[row]} and similarities {self.own_similarity[row]:g} and "
                f"{self.best_other_similarity[row]:g}; give a rank from 1 to the number enrolled and "
                "similarities that are numbers."
            )
        unknown = sorted(set(self.sessions) - set(SESSIONS))
        if unknown:
            raise InputError(
                f"predictions {self.key}: got the session {unknown[0]!r}; accepted are {', '.join(SESSIONS)}."
            )


Block = ClassificationBlock | IdentificationBlock


def _require_rows(
    key: BlockKey, record_ids: Sequence[str], patients: Sequence[str | None], *columns: Sized
) -> None:
    lengths = {len(record_ids), len(patients), *map(len, columns)}
    if lengths == {0} or len(lengths) != 1:
        raise InputError(
            f"predictions {key}: got columns of {', '.join(map(str, sorted(lengths)))} rows; "
            "give one row a recording in each, and at least one."
        )
    if len(set(record_ids)) != len(record_ids):
        twice = Counter(record_ids).most_common(1)[0][0]
        raise InputError(f"predictions {key}: {twice} is in it twice; give each recording once.")
