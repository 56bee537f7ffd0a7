"""Order: which item stands where in an endless sequence of shuffled epochs."""

import numpy as np
from jaxtyping import Int64

from anylead.errors import InputError
from anylead.seeding import generator


class EpochOrder:
    """Every epoch is a permutation of all items, keyed by seed and epoch.

    Any place of the sequence is reached directly: a resumed run replays nothing. Batches are cut
    from the sequence and run across the ends of epochs, so no item is dropped and all are seen
    equally often.

    Args:
        items: Number of items.
        seed: Of the permutations.
        groups: A number for each item; items of equal numbers stay side by side. None mixes all.

    Raises:
        InputError: If there is no item.
    """

    def __init__(self, items: int, *, seed: int, groups: Int64[np.ndarray, "items"] | None = None) -> None:
        if items < 1:
            raise InputError("feed: there is nothing to feed; every recording was dropped or none was given.")
        self._items = items
        self._seed = seed
        self._groups = groups
        self._epochs: dict[int, Int64[np.ndarray, "items"]] = {}

    def at(self, start: int, count: int) -> Int64[np.ndarray, "count"]:
        """Returns the items at the places start, start + 1, ..."""
        places = np.arange(start, start + count, dtype=np.int64)
        epochs = places // self._items
        result = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            result[chosen] = self._permutation(epoch)[places[chosen] % self._items]
        return result

    def _permutation(self, epoch: int) -> Int64[np.ndarray, "items"]:
        known = self._epochs.get(epoch)
        if known is None:
            known = generator(self._seed, "order", epoch).permutation(self._items).astype(np.int64)
            if self._groups is not None:
                # Groups in the order in which their first items came up, each group's items in theirs.
                _, first, group = np.unique(self._groups[known], return_index=True, return_inverse=True)
                known = known[np.argsort(first[group], kind="stable")]
            # Two epochs meet in one batch at most (unless there are fewer items than places in it).
            self._epochs = {**dict(list(self._epochs.items())[-1:]), epoch: known}
        return known
