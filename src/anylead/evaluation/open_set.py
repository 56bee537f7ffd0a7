"""Is this anybody we know, and who? Detection and identification rate at a false acceptance rate.

Half of the persons are enrolled, drawn by seed and apart for those who have a later recording and those who
do not; the other half is not in the gallery, and all their recordings are probes of strangers. The threshold
is the lowest at which strangers, by their most similar entry, are accepted no more often than the false
acceptance rate; a probe of an enrolled person counts where its own entry is the most similar one, alone, and
is accepted. This is done for several splits and averaged. Persons weigh the same.

Rule: a false acceptance rate is looked at only where it means 10 probes of strangers or more in every split.

Source: Phillips, Grother and Micheals 2011, "Evaluation methods in face recognition" (open-set
identification), in Handbook of Face Recognition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from anylead.evaluation.identification import Protocol, cosine_similarity
from anylead.seeding import generator

SPLITS = 10
"""Seeded halves of the persons."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenSetScores:
    """Scores of one split: what is needed at every threshold."""

    own: Float[np.ndarray, "probes"]
    """Similarity of each probe of an enrolled person to the own entry; -inf where another is as similar."""
    own_weights: Float[np.ndarray, "draws probes"]
    stranger: Float[np.ndarray, "strangers"]
    """Similarity of each recording of a person who is not enrolled to the most similar entry."""
    stranger_weights: Float[np.ndarray, "draws strangers"]

    def first_draw(self) -> "OpenSetScores":
        """Returns the scores without the resamples."""
        return replace(self, own_weights=self.own_weights[:1], stranger_weights=self.stranger_weights[:1])

    def identification_rates(
        self, false_acceptance_rates: Sequence[float]
    ) -> Float[np.ndarray, "rates draws"]:
        """Returns the detection and identification rate at each false acceptance rate, not interpolated.

        NaN in a resample without an enrolled person who has a probe, or without a stranger.
        """
        down = np.argsort(-self.stranger, kind="stable")
        stranger, accepted = self.stranger[down], np.cumsum(self.stranger_weights[:, down], axis=1)
        # Equal scores are accepted together.
        together = np.searchsorted(-stranger, -stranger, side="right") - 1
        accepted = accepted[:, together]
        up_to = np.argsort(-self.own, kind="stable")
        own = self.own[up_to]
        draws = len(accepted)
        found = np.concatenate([np.zeros((draws, 1)), np.cumsum(self.own_weights[:, up_to], axis=1)], axis=1)
        barrier = np.append(stranger, -np.inf)
        # How many probes lie above each stranger's score, or above nothing.
        above = np.searchsorted(-own, -barrier, side="left")
        total = self.own_weights.sum(axis=1)
        is_defined = (total > 0.0) & (accepted[:, -1] > 0.0)
        rates = np.full((len(false_acceptance_rates), draws), np.nan)
        for row, rate in enumerate(false_acceptance_rates):
            allowed = (accepted <= rate * accepted[:, -1:] * (1.0 + 1e-12)).sum(axis=1)
            hits = found[np.arange(draws), above[allowed]]
            rates[row, is_defined] = hits[is_defined] / total[is_defined]
        return rates


def enrolled_half(protocol: Protocol, *, seed: int, split: int) -> Bool[np.ndarray, "persons"]:
    """Draws who is enrolled: half, rounded up, of those with a probe, and half, rounded down, of the rest.

    Args:
        protocol: From `gallery_and_probes`.
        seed: Of the evaluation.
        split: Number of the split, from 0.
    """
    random = generator(seed, "open set", split)
    has_probe = np.bincount(protocol.probe_person, minlength=len(protocol.persons)) > 0
    enrolled = np.zeros(len(protocol.persons), dtype=bool)
    for group, more in ((has_probe, 1), (~has_probe, 0)):
        members = random.permutation(np.flatnonzero(group))
        enrolled[members[: (len(members) + more) // 2]] = True
    return enrolled


def open_set_scores(
    embeddings: Float[np.ndarray, "records features"],
    protocol: Protocol,
    person_weights: Float[np.ndarray, "draws persons"],
    enrolled: Bool[np.ndarray, "persons"],
) -> OpenSetScores:
    """Compares probes of enrolled persons and all recordings of the others with the enrolled ones.

    Args:
        embeddings: One row a recording.
        protocol: From `gallery_and_probes`, over the same rows.
        person_weights: How often each person is drawn.
        enrolled: From `enrolled_half`; at least one person on either side.

    Raises:
        InputError: If an embedding is not finite.
    """
    column = np.cumsum(enrolled) - 1
    gallery = embeddings[protocol.gallery[enrolled]]
    known = enrolled[protocol.probe_person]
    right = protocol.probe_person[known]
    similarity = cosine_similarity(embeddings[protocol.probes[known]], gallery)
    rows = np.arange(len(right))
    own = similarity[rows, column[right]].copy()
    similarity[rows, column[right]] = -np.inf
    own[similarity.max(axis=1) >= own] = -np.inf

    strangers = np.concatenate([protocol.gallery[~enrolled], protocol.probes[~known]])
    stranger_person = np.concatenate([np.flatnonzero(~enrolled), protocol.probe_person[~known]])
    best = cosine_similarity(embeddings[strangers], gallery).max(axis=1)
    return OpenSetScores(
        own=own,
        own_weights=person_weights[:, right] * _share(right),
        stranger=best,
        stranger_weights=person_weights[:, stranger_person] * _share(stranger_person),
    )


def _share(person: np.ndarray) -> np.ndarray:
    """Returns one over the number of rows of the same person."""
    return np.asarray(1.0 / np.bincount(person)[person])
