"""Exact search among vectors of length 1, in blocks: what is kept in memory does not grow with the pairs.

A false first place is a wrong patient, so nothing here is approximate. The work is a matrix product;
selecting costs little beside it, because only the largest similarity of each group of rows is looked at
first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt16

from anylead.errors import InputError

Vectors = Float32[np.ndarray, "templates dimension"] | UInt16[np.ndarray, "templates dimension"]
"""Rows of length 1: float32, or the upper halves of it as `to_bfloat16` makes them."""
Wrap = Callable[[Sequence[int]], Iterable[int]]
"""Wraps what is iterated, to show progress: `tqdm.tqdm`, for instance."""

BLOCK = 2048
"""Rows multiplied at a time: their similarities to `QUERIES` vectors stay in the processor's cache."""
QUERIES = 128
GROUP = 32
"""Rows of which only the most similar is looked at first."""
_SPARE_GROUPS = 4
"""More groups than places are looked into: two products of the same vectors differ in the last bit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TopK:
    """The most similar rows of each query, the most similar first; of equal ones the one enrolled first."""

    rows: Int64[np.ndarray, "queries k"]
    similarity: Float32[np.ndarray, "queries k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AllPairs:
    """What every row is most similar to: of its own patient, itself left out, and of everybody else.

    A row is -1 and a similarity NaN where there is nobody to compare with.
    """

    own_rows: Int64[np.ndarray, "templates"]
    own_similarity: Float32[np.ndarray, "templates"]
    other_rows: Int64[np.ndarray, "templates"]
    other_similarity: Float32[np.ndarray, "templates"]


def to_bfloat16(vectors: Float32[np.ndarray, "n dimension"]) -> UInt16[np.ndarray, "n dimension"]:
    """Rounds vectors to bfloat16, half the memory, kept as the upper 16 bits of float32.

    A similarity changes by up to 0.004; see `docs/gallery.md`.
    """
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    # To the nearest, ties to even.
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )


def in_precision(vectors: Float32[np.ndarray, "n dimension"], precision: str) -> Vectors:
    """Returns vectors as they are kept for search.

    Raises:
        InputError: If the precision is neither ``float32`` nor ``bfloat16``.
    """
    if precision == "float32":
        return np.ascontiguousarray(vectors, dtype=np.float32)
    if precision == "bfloat16":
        return to_bfloat16(vectors)
    raise InputError(f"search: got precision {precision!r}; accepted are float32 and bfloat16.")


def as_float32(vectors: Vectors) -> Float32[np.ndarray, "n dimension"]:
    """Returns rows as numbers to multiply; float32 is returned as it is."""
    if vectors.dtype == np.uint16:
        return (vectors.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return vectors


def similarities(
    query: Float32[np.ndarray, "dimension"], vectors: Vectors, *, block: int = BLOCK
) -> Float32[np.ndarray, "templates"]:
    """Returns the cosine of one vector with every row: one pass over memory."""
    if vectors.dtype == np.float32:
        return np.asarray(vectors @ query)
    parts = [as_float32(vectors[start : start + block]) @ query for start in range(0, len(vectors), block)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def top_k(
    queries: Float32[np.ndarray, "queries numbers"],
    vectors: Vectors,
    k: int,
    *,
    block: int = BLOCK,
    progress: Wrap | None = None,
) -> TopK:
    """Returns the k most similar rows of every query.

    Args:
        queries: Vectors of length 1.
        vectors: All that is enrolled, in the order of enrolment.
        k: Places; fewer where fewer are enrolled.
        block: Rows multiplied at a time, a multiple of `GROUP`.
        progress: Wraps the starts of the batches of queries.

    Raises:
        InputError: If k is below 1, or the dimensions differ.
    """
    if k < 1:
        raise InputError(f"search: got k={k}; ask for at least one place.")
    _require_dimension(queries, vectors)
    k = min(k, len(vectors))
    rows = np.zeros((len(queries), k), dtype=np.int64)
    similarity = np.zeros((len(queries), k), dtype=np.float32)
    if k == 0:
        return TopK(rows=rows, similarity=similarity)
    starts = range(0, len(queries), QUERIES)
    for start in starts if progress is None else progress(starts):
        batch = np.asarray(queries[start : start + QUERIES], dtype=np.float32)
        peaks = _group_peaks(batch, vectors, block)
        for number, query in enumerate(batch):
            found = _in_groups(query, vectors, _best_groups(peaks[number], k + _SPARE_GROUPS), k)
            rows[start + number], similarity[start + number] = found
    return TopK(rows=rows, similarity=similarity)


def _require_dimension(queries: np.ndarray, vectors: Vectors) -> None:
    if queries.ndim != 2 or queries.shape[1] != vectors.shape[1]:
        raise InputError(
            f"search: the queries have shape {queries.shape} and the enrolled vectors {vectors.shape[1]} "
            "numbers each; give queries of shape (queries, dimension)."
        )


def _group_peaks(
    batch: Float32[np.ndarray, "queries dimension"], vectors: Vectors, block: int
) -> Float32[np.ndarray, "queries groups"]:
    """Returns the largest similarity of each `GROUP` rows; one tile of similarities in memory at a time."""
    across = np.ascontiguousarray(batch.T)
    peaks = np.empty((-(-len(vectors) // GROUP), len(batch)), dtype=np.float32)
    for start in range(0, len(vectors), block):
        tile = as_float32(vectors[start : start + block]) @ across
        whole = len(tile) // GROUP
        first = start // GROUP
        # Down the rows: the queries lie side by side and are compared many at a time.
        np.max(
            tile[: whole * GROUP].reshape(whole, GROUP, len(batch)), axis=1, out=peaks[first : first + whole]
        )
        if whole * GROUP < len(tile):
            peaks[first + whole] = tile[whole * GROUP :].max(axis=0)
    return np.ascontiguousarray(peaks.T)


def _best_groups(peaks: Float32[np.ndarray, "groups"], count: int) -> Int64[np.ndarray, "count"]:
    """Returns the groups with the largest peaks, of equal ones the first, in ascending order.

    The k most similar rows lie in the k best groups: each group before theirs holds a row before them.
    """
    if count >= len(peaks):
        return np.arange(len(peaks))
    least = np.partition(peaks, len(peaks) - count)[len(peaks) - count]
    above, equal = np.flatnonzero(peaks > least), np.flatnonzero(peaks == least)
    return np.sort(np.concatenate([above, equal[: count - len(above)]]))


def _in_groups(
    query: Float32[np.ndarray, "dimension"], vectors: Vectors, groups: Int64[np.ndarray, "groups"], k: int
) -> tuple[Int64[np.ndarray, "k"], Float32[np.ndarray, "k"]]:
    candidates = (groups[:, None] * GROUP + np.arange(GROUP)).ravel()
    if candidates[-1] >= len(vectors):
        candidates = candidates[candidates < len(vectors)]
    # Every row is added up in the same way, so that equal rows are equally similar; a product is not.
    exact = np.einsum("nd,d->n", as_float32(vectors[candidates]), query)
    order = np.argsort(-exact, kind="stable")[:k]
    return candidates[order], exact[order]


@dataclass(frozen=True, kw_only=True, eq=False)
class PatientOrder:
    """Rows sorted by patient, to look at each patient's rows at once."""

    patients: list[str]
    """In the order of their first row."""
    codes: Int64[np.ndarray, "templates"]
    """Place of each row's patient in `patients`."""
    rows: Int64[np.ndarray, "templates"]
    """Rows, patient after patient, of one patient in order of enrolment."""
    starts: Int64[np.ndarray, "patients"]
    """Where each patient begins in `rows`."""

    @classmethod
    def of(cls, patient_ids: Sequence[str]) -> "PatientOrder":
        """Sorts rows by patient."""
        places: dict[str, int] = {}
        codes = np.array([places.setdefault(name, len(places)) for name in patient_ids], dtype=np.int64)
        rows = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[rows], np.arange(len(places)))
        return cls(patients=list(places), codes=codes, rows=rows, starts=starts)

    def rows_of(self, place: int) -> Int64[np.ndarray, "rows"]:
        """Returns the rows of one patient, in order of enrolment."""
        end = self.starts[place + 1] if place + 1 < len(self.starts) else len(self.rows)
        return self.rows[self.starts[place] : end]


def best_per_patient(
    similarity: Float[np.ndarray, "templates"], order: PatientOrder
) -> tuple[Float[np.ndarray, "patients"], Int64[np.ndarray, "patients"]]:
    """Returns each patient's largest similarity, and the row that has it (of equal ones the first)."""
    if not len(similarity):
        return np.zeros(0, similarity.dtype), np.zeros(0, np.int64)
    arranged = similarity[order.rows]
    best = np.maximum.reduceat(arranged, order.starts)
    lengths = np.diff(np.append(order.starts, len(arranged)))
    at_best = np.flatnonzero(arranged == np.repeat(best, lengths))
    first = at_best[np.searchsorted(at_best, order.starts)]
    return best, order.rows[first]


def all_pairs(
    vectors: Vectors, patient_ids: Sequence[str], *, block: int = BLOCK, progress: Wrap | None = None
) -> AllPairs:
    """Compares every row with every other one.

    Every pair is multiplied once, a tile of ``block`` times ``block`` at a time. Of a tile only the largest
    similarity of each row and column is kept; which row it was of is looked up at the end.

    Args:
        vectors: All templates of one lead set, in the order of enrolment.
        patient_ids: Whose each is.
        block: Rows and columns of a tile.
        progress: Wraps the numbers of the blocks.

    Raises:
        InputError: If there is not one patient a row.
    """
    if len(patient_ids) != len(vectors):
        raise InputError(f"search: {len(patient_ids)} patients for {len(vectors)} rows; name one for each.")
    order = PatientOrder.of(patient_ids)
    own_rows, own = _best_own(vectors, order, block)
    other_rows, other = _best_other(vectors, order.codes, block, progress)
    return AllPairs(own_rows=own_rows, own_similarity=own, other_rows=other_rows, other_similarity=other)


def _best_own(
    vectors: Vectors, order: PatientOrder, block: int
) -> tuple[Int64[np.ndarray, "templates"], Float32[np.ndarray, "templates"]]:
    best_rows = np.full(len(vectors), -1, dtype=np.int64)
    best = np.full(len(vectors), np.nan, dtype=np.float32)
    ends = np.append(order.starts, len(order.rows))
    for start, end in pairwise(ends.tolist()):
        if end - start < 2:
            continue
        rows = order.rows[start:end]
        theirs = as_float32(vectors[rows])
        for first in range(0, len(rows), block):
            tile = theirs[first : first + block] @ theirs.T
            here = np.arange(len(tile))
            tile[here, first + here] = -np.inf
            nearest = tile.argmax(axis=1)
            best_rows[rows[first : first + block]] = rows[nearest]
            best[rows[first : first + block]] = tile[here, nearest]
    return best_rows, best


def _best_other(
    vectors: Vectors, codes: Int64[np.ndarray, "templates"], block: int, progress: Wrap | None
) -> tuple[Int64[np.ndarray, "templates"], Float32[np.ndarray, "templates"]]:
    best = np.full(len(vectors), -np.inf, dtype=np.float32)
    in_block = np.full(len(vectors), -1, dtype=np.int64)
    numbers = range(-(-len(vectors) // block))

    def note(rows: slice, peaks: np.ndarray, number: int) -> None:
        # Blocks come in ascending order for every row, so that of equal ones the first stays.
        better = peaks > best[rows]
        best[rows][better] = peaks[better]
        in_block[rows][better] = number

    for i in numbers if progress is None else progress(numbers):
        rows = slice(i * block, (i + 1) * block)
        left = as_float32(vectors[rows])
        for j in range(i, len(numbers)):
            columns = slice(j * block, (j + 1) * block)
            tile = left @ (left if i == j else as_float32(vectors[columns])).T
            _blot_own(tile, codes[rows], codes[columns])
            note(rows, tile.max(axis=1), j)
            if i != j:
                note(columns, tile.max(axis=0), i)
    best_rows = np.full(len(vectors), -1, dtype=np.int64)
    for number in numbers:
        for part in _parts(np.flatnonzero(in_block == number), block):
            columns = slice(number * block, (number + 1) * block)
            tile = as_float32(vectors[part]) @ as_float32(vectors[columns]).T
            _blot_own(tile, codes[part], codes[columns])
            nearest = tile.argmax(axis=1)
            best_rows[part] = number * block + nearest
            best[part] = tile[np.arange(len(part)), nearest]
    return best_rows, np.where(best_rows >= 0, best, np.float32(np.nan))


def _blot_own(tile: Float32[np.ndarray, "rows columns"], rows: np.ndarray, columns: np.ndarray) -> None:
    """Makes pairs of one patient, and each row with itself, unlike: they are not among others."""
    some_rows = np.flatnonzero(np.isin(rows, columns))
    some_columns = np.flatnonzero(np.isin(columns, rows)) if len(some_rows) else some_rows
    if len(some_rows):
        at, to = np.nonzero(rows[some_rows][:, None] == columns[some_columns][None, :])
        tile[some_rows[at], some_columns[to]] = -np.inf


def _parts(rows: Int64[np.ndarray, "rows"], length: int) -> Iterator[Int64[np.ndarray, "part"]]:
    for start in range(0, len(rows), length):
        yield rows[start : start + length]


Precision = Literal["float32", "bfloat16"]
"""How vectors are held in memory."""
