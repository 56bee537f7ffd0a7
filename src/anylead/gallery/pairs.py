"""Pairs of templates: of one patient (genuine) and of two (impostor), with dates and lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.gallery.template import TemplateTable
from anylead.seeding import generator

MOST_GENUINE = 50
"""Pairs of one person: of more, as many are drawn."""
MOST_IMPOSTOR = 50_000
"""Pairs of two persons in one lead set: of more, as many are drawn."""
_BLOCK = 65_536
"""Pairs of vectors multiplied at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Comparisons of two different recordings through one lead set each."""

    persons: tuple[str, ...]
    """In sorted order."""
    lead_sets: tuple[str, ...]
    lead_set: Int[np.ndarray, "pairs"]
    """Place in `lead_sets`."""
    left: Int[np.ndarray, "pairs"]
    """Place of one recording's person in `persons`."""
    right: Int[np.ndarray, "pairs"]
    similarity: Float[np.ndarray, "pairs"]
    duration_s: Float[np.ndarray, "pairs"]
    """Of the shorter recording; NaN where unknown."""
    days_apart: Float[np.ndarray, "pairs"]
    """NaN where a date is unknown."""

    @property
    def is_genuine(self) -> Bool[np.ndarray, "pairs"]:
        """Whether both recordings are of one person."""
        return np.asarray(self.left == self.right)

    def genuine_persons(self) -> int:
        """Returns how many persons have a genuine pair."""
        return len(np.unique(self.left[self.is_genuine]))

    def keep(self, chosen: Bool[np.ndarray, "pairs"]) -> "Pairs":
        """Returns the chosen pairs."""
        return Pairs(
            persons=self.persons,
            lead_sets=self.lead_sets,
            lead_set=self.lead_set[chosen],
            left=self.left[chosen],
            right=self.right[chosen],
            similarity=self.similarity[chosen],
            duration_s=self.duration_s[chosen],
            days_apart=self.days_apart[chosen],
        )

    def of(self, lead_set: str) -> "Pairs":
        """Returns the pairs of one lead set."""
        return self.keep(self.lead_set == self.lead_sets.index(lead_set))


def gather_pairs(tables: Mapping[str, TemplateTable], *, seed: int = 0) -> Pairs:
    """Compares recordings of one person with each other, and of different persons, through every lead set.

    Two recordings with the same samples are no pair: their similarity says nothing. Where there are more
    than `MOST_GENUINE` of a person or `MOST_IMPOSTOR` of a lead set, some are drawn.

    Args:
        tables: Name of a lead set -> its templates.
        seed: Of the drawing.
    """
    persons = tuple(sorted({one for table in tables.values() for one in table.patient_ids}))
    place = {name: number for number, name in enumerate(persons)}
    parts = []
    for number, (name, table) in enumerate(tables.items()):
        person = np.array([place[one] for one in table.patient_ids], dtype=np.int64)
        pairs = np.concatenate(
            [_genuine(person, generator(seed, "genuine", name)), _impostor(person, seed, name)]
        )
        first, second = without_same_samples(table, pairs).T
        days, duration = days_between(table, first, second), shorter_duration(table, first, second)
        similarity = pair_similarity(table.vectors, first, second)
        lead_set = np.full(len(first), number, dtype=np.int64)
        parts.append((lead_set, person[first], person[second], similarity, duration, days))
    columns = [np.concatenate(one) for one in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 6
    whole = [one.astype(np.int64) for one in columns[:3]]
    return Pairs(
        persons=persons,
        lead_sets=tuple(tables),
        lead_set=whole[0],
        left=whole[1],
        right=whole[2],
        similarity=columns[3],
        duration_s=columns[4],
        days_apart=columns[5],
    )


def pair_similarity(
    vectors: Float[np.ndarray, "templates dimension"],
    first: Int[np.ndarray, "pairs"],
    second: Int[np.ndarray, "pairs"],
) -> Float[np.ndarray, "pairs"]:
    """Returns the cosine of pairs of vectors of length 1, a block at a time."""
    found = np.zeros(len(first))
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = np.einsum("ij,ij->i", vectors[first[part]], vectors[second[part]])
    return found


def days_between(
    table: TemplateTable, first: Int[np.ndarray, "pairs"], second: Int[np.ndarray, "pairs"]
) -> Float[np.ndarray, "pairs"]:
    """Returns days between two recordings, NaN where a date is unknown."""
    if not len(table.recorded_at):
        return np.full(len(first), np.nan)
    apart = table.recorded_at[first] - table.recorded_at[second]
    seconds = apart.astype("timedelta64[s]").astype(np.float64)
    return np.asarray(np.where(np.isnat(apart), np.nan, np.abs(seconds) / 86_400.0))


def shorter_duration(
    table: TemplateTable, first: Int[np.ndarray, "pairs"], second: Int[np.ndarray, "pairs"]
) -> Float[np.ndarray, "pairs"]:
    """Returns the duration of the shorter of two recordings in seconds, NaN where one is unknown."""
    if not len(table.duration_s):
        return np.full(len(first), np.nan)
    known = np.where(table.duration_s > 0.0, table.duration_s, np.nan)
    return np.asarray(np.minimum(known[first], known[second]), dtype=np.float64)


def without_same_samples(table: TemplateTable, pairs: Int[np.ndarray, "pairs 2"]) -> np.ndarray:
    """Returns the pairs whose recordings do not have one and the same hash."""
    if not table.hashes:
        return pairs
    code = hash_codes(table.hashes)
    return np.asarray(pairs[code[pairs[:, 0]] != code[pairs[:, 1]]])


def hash_codes(hashes: Sequence[str]) -> Int[np.ndarray, "templates"]:
    """Returns a number for each recording, the same for the same samples; an unknown hash equals no other."""
    _, code = np.unique(np.array(hashes, dtype=str), return_inverse=True)
    unknown = np.array([not one for one in hashes], dtype=bool)
    code = code.astype(np.int64)
    code[unknown] = -1 - np.arange(int(unknown.sum()))
    return np.asarray(code)


def _genuine(person: np.ndarray, random: np.random.Generator) -> np.ndarray:
    order = np.argsort(person, kind="stable")
    found = [np.zeros((0, 2), dtype=np.int64)]
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        if len(rows) < 2:
            continue
        pairs = np.stack(np.triu_indices(len(rows), 1), axis=1)
        if len(pairs) > MOST_GENUINE:
            pairs = pairs[random.choice(len(pairs), MOST_GENUINE, replace=False)]
        found.append(rows[pairs])
    return np.concatenate(found)


def _impostor(person: np.ndarray, seed: int, name: str) -> np.ndarray:
    count = len(person)
    if count < 2:
        return np.zeros((0, 2), dtype=np.int64)
    if count * (count - 1) // 2 <= MOST_IMPOSTOR:
        pairs = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        pairs = generator(seed, "impostor", name).integers(0, count, (MOST_IMPOSTOR, 2))
    return np.asarray(pairs[person[pairs[:, 0]] != person[pairs[:, 1]]])
