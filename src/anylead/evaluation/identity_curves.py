"""What identification depends on: the time since enrolment, the size of the gallery, how much is enrolled."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import hypergeom

from anylead.evaluation.identification import Protocol, unit_length


@dataclass(frozen=True, kw_only=True)
class GapBin:
    """A range of whole days between the dates of enrolment and probe, both ends included."""

    name: str
    first_day: int
    last_day: int | None = None

    def holds(self, gap_days: Float[np.ndarray, "probes"]) -> Bool[np.ndarray, "probes"]:
        """Says which gaps lie inside; unknown ones (NaN) do not."""
        last = np.inf if self.last_day is None else self.last_day
        return np.asarray((gap_days >= self.first_day) & (gap_days <= last))


GAP_BINS = (
    GapBin(name="same day", first_day=0, last_day=0),
    GapBin(name="1-30 days", first_day=1, last_day=30),
    GapBin(name="31-182 days", first_day=31, last_day=182),
    GapBin(name="183-365 days", first_day=183, last_day=365),
    GapBin(name="over a year", first_day=366),
)


def curve_counts(largest: int) -> tuple[int, ...]:
    """Returns 1, 2, 5, 10, 20, 50, ... up to and with the largest."""
    counts = [step * 10**power for power in range(len(str(largest))) for step in (1, 2, 5)]
    return (*(count for count in counts if count < largest), largest)


def rank_in_random_gallery(
    ranks: Int[np.ndarray, "probes"], *, enrolled: int, size: int, k: int = 1
) -> Float[np.ndarray, "probes"]:
    """Returns the chance of each probe to be among the first k in a random gallery of fewer persons.

    The gallery holds the right person and ``size - 1`` of the others, all choices alike; of the others,
    ``rank - 1`` come before the right person. How many of them are drawn is hypergeometric, so nothing is
    sampled; for k = 1 this is C(enrolled - rank, size - 1) / C(enrolled - 1, size - 1).

    Args:
        ranks: Places in the whole gallery, from 1, see `pessimistic_ranks`.
        enrolled: Persons in the whole gallery.
        size: Persons in the random gallery, from 1 to ``enrolled``.
        k: Places that count.
    """
    if enrolled == 1:
        return np.ones(len(ranks))
    return np.asarray(hypergeom.cdf(k - 1, enrolled - 1, ranks - 1, size - 1), dtype=np.float64)


def recording_numbers(protocol: Protocol) -> Int[np.ndarray, "probes"]:
    """Returns the how manieth recording of its person each probe is; the enrolled one is the first."""
    seen = np.ones(len(protocol.persons), dtype=np.int64)
    numbers = np.zeros(len(protocol.probes), dtype=np.int64)
    for place, person in enumerate(protocol.probe_person):
        seen[person] += 1
        numbers[place] = seen[person]
    return numbers


def averaged_gallery(
    embeddings: Float[np.ndarray, "records features"], protocol: Protocol, *, recordings: int
) -> Float[np.ndarray, "persons features"]:
    """Returns one entry a person: the mean of the first recordings, each at unit length.

    Args:
        embeddings: One row a recording.
        protocol: From `gallery_and_probes`, over the same rows.
        recordings: Of each person; who has fewer is enrolled by all of them.
    """
    early = recording_numbers(protocol) <= recordings
    entries = unit_length(embeddings[protocol.gallery])
    np.add.at(entries, protocol.probe_person[early], unit_length(embeddings[protocol.probes[early]]))
    used = 1 + np.bincount(protocol.probe_person[early], minlength=len(protocol.persons))
    return np.asarray(entries / used[:, None])


def most_enrolled(protocol: Protocol, *, at_most: int, minimum_persons: int) -> int:
    """Returns the largest number of recordings after which enough persons still have a probe; 0 if none.

    Args:
        protocol: From `gallery_and_probes`.
        at_most: Not looked beyond.
        minimum_persons: Persons who must have a later recording.
    """
    counts = 1 + np.bincount(protocol.probe_person, minlength=len(protocol.persons))
    enough = [n for n in range(1, at_most + 1) if int((counts > n).sum()) >= minimum_persons]
    return max(enough, default=0)
