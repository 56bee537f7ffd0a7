"""Order: which item stands where in an endless sequence of shuffled epochs."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Int64

from anylead.errors import ConfigError, InputError
from anylead.seeding import derive_seed, generator

_FINEST = 2**20
"""Sum of whole weights, at most: what they multiply stays far below 2**63."""


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


class MixtureOrder:
    """Items of several stores in fixed proportions, each store's in the epochs of its own `EpochOrder`.

    Places are shared out evenly: of the first n, for any n, a store has its share of n, off by at most half
    the number of stores. So the proportions hold in every batch too, and exactly in the long run. The k-th
    place of a store holds what stands at place k of its own order: none of its items comes again before all
    have been seen. Any place is reached directly.

    Args:
        store: Number of the store of each item.
        weights: One a store, in any unit.
        seed: Of the permutations.
        groups: As in `EpochOrder`, within each store.

    Raises:
        ConfigError: If a weight is not a positive number.
        InputError: If a store has no item.
    """

    def __init__(
        self,
        store: Int64[np.ndarray, "items"],
        *,
        weights: Sequence[float],
        seed: int,
        groups: Int64[np.ndarray, "items"] | None = None,
    ) -> None:
        self._weights = whole_weights(weights, len(weights))
        self._items = [np.flatnonzero(store == number) for number in range(len(weights))]
        for number, items in enumerate(self._items):
            if not len(items):
                raise InputError(
                    f"feed: store {number + 1} of {len(weights)} has a weight and nothing to feed: every "
                    "recording of it was dropped or none was given; leave it out."
                )
        self._orders = [
            EpochOrder(
                len(items),
                seed=derive_seed(seed, "mixture", number),
                groups=None if groups is None else groups[items],
            )
            for number, items in enumerate(self._items)
        ]

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each store in the places."""
        return tuple(weight / sum(self._weights) for weight in self._weights)

    @property
    def places_per_epoch(self) -> int:
        """Places in which every item of every store is seen at least once, up to the rounding of places."""
        total = sum(self._weights)
        needed = zip(self._items, self._weights, strict=True)
        return max(math.ceil(Fraction(len(items) * total, weight)) for items, weight in needed)

    def at(self, start: int, count: int) -> Int64[np.ndarray, "count"]:
        """Returns the items at the places start, start + 1, ..."""
        result = np.empty(count, dtype=np.int64)
        passed = self._passed(np.arange(start, start + count + 1, dtype=np.int64))
        for items, order, own in zip(self._items, self._orders, passed, strict=True):
            result[own[1:] > own[:-1]] = items[order.at(int(own[0]), int(own[-1] - own[0]))]
        return result

    def _passed(self, places: Int64[np.ndarray, "places"]) -> list[Int64[np.ndarray, "places"]]:
        """Returns how many of the places before each one are each store's.

        The first store gets its share, rounded; the next its share of what is left; the last the rest. Each
        rounding grows by at most 1 from place to place, and so does what is left: one store gets a place.
        """
        result, left, weight = [], places, sum(self._weights)
        for own in self._weights:
            taken = (2 * left * own + weight) // (2 * weight)
            result.append(taken)
            left, weight = left - taken, weight - own
        return result


def whole_weights(weights: Sequence[float], stores: int) -> tuple[int, ...]:
    """Returns weights as whole numbers in the same proportions (to a millionth, where they are very fine).

    Args:
        weights: One a store.
        stores: How many there are.

    Raises:
        ConfigError: If there is not one a store, or one is not a positive number.
    """
    if len(weights) != stores or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ConfigError(
            f"store weights: got {', '.join(f'{weight:g}' for weight in weights)} for {stores} stores; give "
            "one number above 0 for each store, in their order."
        )
    # As they are written: 0.1 is a tenth, not the float nearest to it.
    exact = [Fraction(str(weight)) for weight in weights]
    common = math.lcm(*(one.denominator for one in exact))
    whole = [int(one * common) for one in exact]
    divisor = math.gcd(*whole)
    whole = [one // divisor for one in whole]
    total = sum(whole)
    if total > _FINEST:
        whole = [max(1, round(Fraction(one * _FINEST, total))) for one in whole]
    return tuple(whole)
