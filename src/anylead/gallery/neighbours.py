"""The most similar templates of other patients, for every template, in blocks of bounded memory."""

import numpy as np
from jaxtyping import Float, Int

_ROWS, _COLUMNS = 512, 8192


def strangers_alike(
    vectors: Float[np.ndarray, "templates dimension"],
    person: Int[np.ndarray, "templates"],
    *,
    queries: Int[np.ndarray, "queries"],
    most: int,
    same: Int[np.ndarray, "templates"],
) -> tuple[Int[np.ndarray, "queries found"], Float[np.ndarray, "queries found"]]:
    """Returns rows and cosines of the most similar templates of other patients, the most similar first.

    Args:
        vectors: Of length 1.
        person: Number of each template's patient.
        queries: Rows for which to look.
        most: How many to return for each.
        same: Numbers that are equal for recordings with the same samples, which are left out.

    Returns:
        Row -1 and cosine -inf where there are fewer.
    """
    wide = np.asarray(vectors, dtype=np.float32)
    rows = np.full((len(queries), most), -1, dtype=np.int64)
    cosines = np.full((len(queries), most), -np.inf)
    for top in range(0, len(queries), _ROWS):
        here = queries[top : top + _ROWS]
        part = slice(top, top + len(here))
        for left in range(0, len(wide), _COLUMNS):
            there = slice(left, left + _COLUMNS)
            block = wide[here] @ wide[there].T
            barred = (person[here, None] == person[None, there]) | (same[here, None] == same[None, there])
            block[barred] = -np.inf
            _merge(rows[part], cosines[part], block, left)
    return rows, cosines


def _merge(rows: np.ndarray, cosines: np.ndarray, block: np.ndarray, offset: int) -> None:
    """Puts what a block has into the best found so far, in place."""
    most = rows.shape[1]
    # Few rows of a later block have anything better than what was found before.
    better = np.flatnonzero(block.max(axis=1) > cosines[:, -1])
    part = block[better]
    taken = min(most, part.shape[1])
    columns = np.argpartition(-part, taken - 1, axis=1)[:, :taken]
    found = np.take_along_axis(part, columns, axis=1).astype(np.float64)
    places = np.where(np.isfinite(found), columns + offset, -1)
    both = np.concatenate([cosines[better], found], axis=1)
    which = np.concatenate([rows[better], places], axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, :most]
    cosines[better] = np.take_along_axis(both, order, axis=1)
    rows[better] = np.take_along_axis(which, order, axis=1)
