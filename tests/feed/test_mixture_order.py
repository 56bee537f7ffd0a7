"""Items of several stores in fixed proportions."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.errors import ConfigError, InputError
from anylead.feed.order import EpochOrder, MixtureOrder, whole_weights

WEIGHTS = st.floats(min_value=1e-3, max_value=1e3, allow_nan=False)
STORES = st.lists(st.tuples(st.integers(1, 20), WEIGHTS), min_size=1, max_size=5)


def mixture(stores, *, seed=0) -> tuple[MixtureOrder, np.ndarray]:
    """Returns the order over items whose stores are interleaved, and the store of each item."""
    sizes = [size for size, _ in stores]
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    numbers = np.random.default_rng(seed).permutation(numbers)
    return MixtureOrder(numbers, weights=[weight for _, weight in stores], seed=seed), numbers


@given(STORES, st.integers(0, 10**9), st.integers(1, 200))
def test_every_stretch_has_the_stores_in_their_proportions(stores, start, count):
    order, numbers = mixture(stores)
    got = np.bincount(numbers[order.at(start, count)], minlength=len(stores))
    total = sum(weight for _, weight in stores)
    for found, (_, weight) in zip(got.tolist(), stores, strict=True):
        # Off by half the number of stores at either end; very fine weights are rounded to a millionth.
        assert abs(found - count * weight / total) <= len(stores) + 1e-5 * count


@pytest.mark.parametrize(
    ("weights", "period"), [((2, 1), (2, 1)), ((0.1, 0.3), (1, 3)), ((1.5, 1, 0.5), (3, 2, 1)), ((7,), (1,))]
)
def test_every_period_of_whole_weights_is_exact(weights, period):
    numbers = np.repeat(np.arange(len(weights)), 5)
    order = MixtureOrder(numbers, weights=[float(one) for one in weights], seed=3)
    length = sum(period)
    for start in range(0, 50 * length, length):
        assert Counter(numbers[order.at(start, length)].tolist()) == Counter(dict(enumerate(period)))
    assert order.shares == pytest.approx([one / length for one in period])


@given(STORES, st.integers(0, 3))
def test_no_item_comes_again_before_all_of_its_store_were_seen(stores, seed):
    order, numbers = mixture(stores, seed=seed)
    sequence = order.at(0, 300)
    for number, (size, _) in enumerate(stores):
        own = sequence[numbers[sequence] == number]
        for epoch in range(0, len(own) - size + 1, size):
            assert len(set(own[epoch : epoch + size].tolist())) == size


@given(STORES, st.integers(0, 10**6), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_any_place_reached_directly_is_the_one_reached_in_sequence(stores, start, cuts):
    whole = mixture(stores)[0].at(start, sum(cuts))
    fresh, _ = mixture(stores)
    ends = np.cumsum([0, *cuts]).tolist()
    # Backwards, so that nothing rests on what was asked for before.
    backwards = [*pairwise(ends)][::-1]
    parts = [fresh.at(start + first, stop - first) for first, stop in backwards]
    assert np.array_equal(np.concatenate(parts[::-1]), whole)


@pytest.mark.parametrize(
    ("sizes", "weights", "places"),
    [((10, 10), (2.0, 1.0), 30), ((3, 8), (1.0, 1.0), 16), ((6, 2), (3.0, 1.0), 8)],
)
def test_an_epoch_ends_when_all_was_seen(sizes, weights, places):
    order, _ = mixture([*zip(sizes, weights, strict=True)])
    assert order.places_per_epoch == places
    assert len(set(order.at(0, places).tolist())) == sum(sizes)
    assert len(set(order.at(0, places - len(sizes)).tolist())) < sum(sizes)


def test_seeds_and_stores_have_their_own_permutations():
    numbers = np.repeat([0, 1], 30)
    first = MixtureOrder(numbers, weights=(1.0, 1.0), seed=0).at(0, 60)
    other = MixtureOrder(numbers, weights=(1.0, 1.0), seed=1).at(0, 60)
    assert first.tolist() != other.tolist()
    assert (first[numbers[first] == 0]).tolist() != (first[numbers[first] == 1] - 30).tolist()


def test_groups_stay_side_by_side_within_their_store():
    numbers = np.repeat([0, 1], [12, 4])
    groups = np.concatenate([np.arange(12) // 3, np.array([0, 0, 7, 7])])
    order = MixtureOrder(numbers, weights=(3.0, 1.0), seed=0, groups=groups)
    own = [int(item) for item in order.at(0, 16) if numbers[item] == 0]
    assert all(len({groups[item] for item in own[k : k + 3]}) == 1 for k in range(0, 12, 3))


NOT_WEIGHTS = [(1.0, 0.0), (1.0, -2.0), (1.0, float("nan")), (float("inf"), 1.0), (1.0,), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize("weights", NOT_WEIGHTS)
def test_weights_that_are_not_one_positive_number_a_store_are_refused(weights):
    with pytest.raises(ConfigError, match="for 2 stores; give one number above 0 for each store"):
        whole_weights(weights, 2)


def test_very_fine_weights_stay_in_proportion():
    whole = whole_weights((1 / 3, 2 / 3, 1e-9), 3)
    assert sum(whole) <= 2**20 + 3
    assert whole[1] / whole[0] == pytest.approx(2, rel=1e-5)
    assert whole[2] == 1


def test_a_store_without_items_is_refused():
    with pytest.raises(InputError, match="store 2 of 2 has a weight and nothing to feed"):
        MixtureOrder(np.zeros(3, dtype=np.int64), weights=(1.0, 1.0), seed=0)


def test_without_weights_the_order_is_what_it_was():
    assert EpochOrder(10, seed=0).at(0, 12).tolist() == [9, 2, 3, 0, 5, 8, 4, 1, 6, 7, 0, 3]
