"""Whose heart is this? Galleries, probes, and ranks.

A gallery holds the earliest recording of each person, also of persons without another; later recordings are
probes. A recording that occurs twice counts once. Ties count against us.

Source: METHOD 6.2 (gallery and probe; cosine similarity).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.errors import InputError
from anylead.evaluation.results import Subset

_DECIMALS = 12
"""Of similarities: beyond them stands what rounding makes of equal ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Protocol:
    """Which recordings are enrolled and which are probes; numbers are rows of the embeddings."""

    persons: tuple[str, ...]
    """In sorted order; the gallery has one recording for each."""
    gallery: Int[np.ndarray, "persons"]
    probes: Int[np.ndarray, "probes"]
    probe_person: Int[np.ndarray, "probes"]
    """Column of the gallery that is right."""
    same_day: Bool[np.ndarray, "probes"]
    """Known to be of the date of enrolment."""
    cross_session: Bool[np.ndarray, "probes"]
    """Known to be of another date than the enrolment."""
    gap_days: Float[np.ndarray, "probes"]
    """Whole days from the date of enrolment to the date of the probe; NaN where one is not known."""
    duplicates_dropped: int = 0

    @property
    def probe_weights(self) -> Float[np.ndarray, "probes"]:
        """One over the number of probes of the person, so that persons weigh the same."""
        counts = np.bincount(self.probe_person, minlength=len(self.persons))
        return np.asarray(1.0 / counts[self.probe_person], dtype=np.float64)

    def subset(self, subset: Subset) -> "Protocol":
        """Returns the protocol with the probes of one kind only; the gallery stays whole."""
        if subset == "all":
            return self
        return self.where(self.same_day if subset == "same_day" else self.cross_session)

    def where(self, chosen: Bool[np.ndarray, "probes"]) -> "Protocol":
        """Returns the protocol with the chosen probes only; the gallery stays whole."""
        return replace(
            self,
            probes=self.probes[chosen],
            probe_person=self.probe_person[chosen],
            same_day=self.same_day[chosen],
            cross_session=self.cross_session[chosen],
            gap_days=self.gap_days[chosen],
        )


def gallery_and_probes(
    persons: Sequence[str],
    *,
    recorded_at: np.ndarray | None = None,
    order: Sequence[int] | None = None,
    hashes: Sequence[str] | None = None,
) -> Protocol:
    """Splits recordings into a gallery and probes.

    Args:
        persons: Whose each recording is.
        recorded_at: When, as datetime64, NaT where unknown. A dated recording comes before an undated one,
            and only dated ones can be told to be of the same day or of another.
        order: Which of two recordings with the same or no date comes first; None is the order given.
        hashes: Hash of the samples of each recording; of equal ones the earliest stays.

    Raises:
        InputError: If there is no recording, or not one person, date, place and hash for each.
    """
    count = len(persons)
    given = {"recorded_at": recorded_at, "order": order, "hashes": hashes}
    lengths = {name: len(values) for name, values in given.items() if values is not None}
    if not count or any(length != count for length in lengths.values()):
        raise InputError(f"identification: got {count} persons and {lengths}; give one of each a recording.")
    dates = (
        np.full(count, "NaT", "datetime64[s]") if recorded_at is None else recorded_at.astype("datetime64[s]")
    )
    places = np.arange(count) if order is None else np.asarray(order)
    by_time = np.lexsort((places, dates, np.isnat(dates)))
    kept = _without_duplicates(by_time, hashes)

    names = tuple(sorted({persons[row] for row in kept}))
    column = {name: number for number, name in enumerate(names)}
    gallery = np.full(len(names), -1)
    probes = []
    for row in kept:
        if gallery[column[persons[row]]] < 0:
            gallery[column[persons[row]]] = row
        else:
            probes.append(row)
    rows = np.array(probes, dtype=np.int64)
    right = np.array([column[persons[row]] for row in probes], dtype=np.int64)
    day, enrolled = dates[rows].astype("datetime64[D]"), dates[gallery[right]].astype("datetime64[D]")
    known = ~np.isnat(day) & ~np.isnat(enrolled)
    return Protocol(
        persons=names,
        gallery=gallery,
        probes=rows,
        probe_person=right,
        same_day=known & (day == enrolled),
        cross_session=known & (day != enrolled),
        gap_days=np.where(known, (day - enrolled).astype(np.float64), np.nan),
        duplicates_dropped=count - len(kept),
    )


def cosine_similarity(
    probes: Float[np.ndarray, "probes features"], gallery: Float[np.ndarray, "persons features"]
) -> Float[np.ndarray, "probes persons"]:
    """Returns the cosine of the angle between every probe and every gallery entry; 0 for a vector of zeros.

    Raises:
        InputError: If a number is NaN or infinite.
    """
    if not (np.isfinite(probes).all() and np.isfinite(gallery).all()):
        raise InputError("identification: an embedding holds NaN or infinity; leave that recording out.")
    # Equal entries must tie: the order of summation of a matrix product depends on the column.
    return np.asarray(np.round(unit_length(probes) @ unit_length(gallery).T, _DECIMALS), dtype=np.float64)


def unit_length(vectors: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows features"]:
    """Returns every vector divided by its Euclidean length; a vector of zeros stays one."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, length, out=np.zeros_like(wide), where=length > 0.0))


def pessimistic_ranks(
    similarity: Float[np.ndarray, "probes persons"], right: Int[np.ndarray, "probes"]
) -> Int[np.ndarray, "probes"]:
    """Returns the place of the right person for each probe, 1 being the best.

    Everyone who is as similar as the right person comes before them: an encoder that gives every recording
    the same embedding is never right.
    """
    own = similarity[np.arange(len(right)), right][:, None]
    return np.asarray((similarity >= own).sum(axis=1), dtype=np.int64)


def rank_rate(
    ranks: Int[np.ndarray, "probes"], weights: Float[np.ndarray, "draws probes"], *, k: int
) -> Float[np.ndarray, "draws"]:
    """Returns the part of the probes whose right person is among the first k, NaN where none has weight."""
    total = weights.sum(axis=1)
    right = weights @ (ranks <= k).astype(np.float64)
    return np.asarray(np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0.0))


def _without_duplicates(rows: np.ndarray, hashes: Sequence[str] | None) -> list[int]:
    if hashes is None:
        return [int(row) for row in rows]
    first = {hashes[row]: int(row) for row in reversed(rows)}
    return [int(row) for row in rows if first[hashes[row]] == row]
