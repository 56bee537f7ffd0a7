"""The most similar templates of other patients, for every template, in blocks of bounded memory."""

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

_ROWS, _COLUMNS = 512, 8192


def strangers_alike(
    vectors: Float[np.ndarray, "templates dimension"],
    person: Int[np.ndarray, "templates"],
    *,
    queries: Int[np.ndarray, "queries"],
    most: int,
    same: Int[np.ndarray, "templates"],
    progress: bool = False,
) -> tuple[Int[np.ndarray, "queries found"], Float[np.ndarray, "queries found"]]:
    """Returns rows and cosines of the most similar templates of other patients, the most similar first.

    Args:
        vectors: Of length 1.
        person: Number of each template's patient.
        queries: Rows for which to look.
        most: How many to return for each.
        same: Numbers that are equal for recordings with the same samples, which are left out.
        progress: Show a progress bar over the queries.

    Returns:
        Row -1 and cosine -inf where there are fewer.
    """
    wide = np.asarray(vectors, dtype=np.float32)
    barred = [_Equal(person), _Equal(same)]
    rows = np.full((len(queries), most), -1, dtype=np.int64)
    cosines = np.full((len(queries), most), -np.inf)
    bar = tqdm(total=len(queries), desc="compare", unit=" recordings", disable=not progress)
    for top in range(0, len(queries), _ROWS):
        here = queries[top : top + _ROWS]
        part = slice(top, top + len(here))
        pairs = np.concatenate([one.pairs(here) for one in barred], axis=1)
        for left in range(0, len(wide), _COLUMNS):
            block = wide[here] @ wide[left : left + _COLUMNS].T
            place, row = pairs[:, (pairs[1] >= left) & (pairs[1] < left + _COLUMNS)]
            block[place, row - left] = -np.inf
            _merge(rows[part], cosines[part], block, left)
        bar.update(len(here))
    bar.close()
    return rows, cosines


class _Equal:
    """Rows by a number: which ones have the same as some others?"""

    def __init__(self, code: Int[np.ndarray, "templates"]) -> None:
        _, self.code = np.unique(code, return_inverse=True)
        self.order = np.argsort(self.code, kind="stable")
        self.counts = np.bincount(self.code)
        self.starts = np.cumsum(self.counts) - self.counts

    def pairs(self, rows: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "2 pairs"]:
        """Returns places in `rows` and all rows with the same number, themselves too."""
        counts = self.counts[self.code[rows]]
        place = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.stack([place, self.order[self.starts[self.code[rows]][place] + within]])


def _merge(rows: np.ndarray, cosines: np.ndarray, block: np.ndarray, offset: int) -> None:
    """Puts what a block has into the best found so far, in place."""
    most = rows.shape[1]
    floor = cosines[:, -1].astype(np.float32)
    if np.isinf(floor).any() and block.shape[1] > most:
        # The first block: what its best ones are not beaten by needs no look.
        floor = np.maximum(floor, np.partition(block, -most, axis=1)[:, -most])
    # Few numbers of a later block are better than what was found before.
    place, column = np.nonzero((block >= floor[:, None]) & np.isfinite(block))
    found = block[place, column].astype(np.float64)
    order = np.lexsort((column, -found, place))
    place, column, found = place[order], column[order], found[order]
    counts = np.bincount(place, minlength=len(block))
    rank = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = rank < most
    new_rows, new_cosines = np.full_like(rows, -1), np.full_like(cosines, -np.inf)
    new_rows[place[kept], rank[kept]] = column[kept] + offset
    new_cosines[place[kept], rank[kept]] = found[kept]
    both, which = np.concatenate([cosines, new_cosines], axis=1), np.concatenate([rows, new_rows], axis=1)
    first = np.argsort(-both, axis=1, kind="stable")[:, :most]
    cosines[:] = np.take_along_axis(both, first, axis=1)
    rows[:] = np.take_along_axis(which, first, axis=1)
