import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anylead.evaluation.identification import (
    cosine_similarity,
    gallery_and_probes,
    pessimistic_ranks,
    unit_length,
)
from anylead.evaluation.identity_curves import (
    GAP_BINS,
    averaged_gallery,
    curve_counts,
    most_enrolled,
    rank_in_random_gallery,
    recording_numbers,
)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("k", [1, 2])
def test_random_gallery_equals_the_mean_over_all_galleries(size, k):
    random = np.random.default_rng(size)
    similarity = random.normal(size=(3, 5)).round(1)
    right = np.array([0, 3, 4])
    expected = []
    for row, own in enumerate(right):
        others = [g for g in range(5) if g != own]
        hits = [
            1 + sum(similarity[row, g] >= similarity[row, own] for g in drawn) <= k
            for drawn in itertools.combinations(others, size - 1)
        ]
        expected.append(np.mean(hits))
    chance = rank_in_random_gallery(pessimistic_ranks(similarity, right), enrolled=5, size=size, k=k)
    np.testing.assert_allclose(chance, expected, atol=1e-12)


@given(enrolled=st.integers(1, 300), data=st.data())
def test_first_place_is_a_ratio_of_binomial_coefficients(enrolled, data):
    rank, size = data.draw(st.integers(1, enrolled)), data.draw(st.integers(1, enrolled))
    chance = rank_in_random_gallery(np.array([rank]), enrolled=enrolled, size=size)[0]
    expected = math.comb(enrolled - rank, size - 1) / math.comb(enrolled - 1, size - 1)
    assert chance == pytest.approx(expected, abs=1e-9)


def test_the_whole_gallery_gives_the_ranks_themselves():
    chance = rank_in_random_gallery(np.array([1, 2, 7]), enrolled=9, size=9)
    np.testing.assert_allclose(chance, [1.0, 0.0, 0.0], atol=1e-12)


def test_counts_along_a_curve():
    assert curve_counts(199) == (1, 2, 5, 10, 20, 50, 100, 199)
    assert curve_counts(10) == (1, 2, 5, 10)
    assert curve_counts(1) == (1,)


def test_every_gap_lies_in_one_bin_and_unknown_ones_in_none():
    days = np.array([0.0, 1.0, 30.0, 31.0, 182.0, 183.0, 365.0, 366.0, 9000.0, np.nan])
    inside = np.array([part.holds(days) for part in GAP_BINS])
    np.testing.assert_array_equal(inside.sum(axis=0), [1] * 9 + [0])
    assert inside[:, :9].argmax(axis=0).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_gap_is_counted_in_dates_from_the_enrolled_recording():
    dates = np.array(
        ["2020-01-01T23:59", "2020-01-02T00:01", "2021-01-01T12:00", "NaT"], dtype="datetime64[s]"
    )
    protocol = gallery_and_probes(["a"] * 4, recorded_at=dates)
    np.testing.assert_array_equal(protocol.gap_days, [1.0, 366.0, np.nan])
    assert protocol.subset("cross_session").gap_days.tolist() == [1.0, 366.0]
    undated = gallery_and_probes(["a", "a"], recorded_at=np.array(["NaT", "NaT"], dtype="datetime64[s]"))
    assert np.isnan(undated.gap_days).all()


PERSONS = ["a", "b", "a", "a", "b", "c"]


def test_recordings_of_a_person_are_numbered_in_time():
    protocol = gallery_and_probes(PERSONS, order=[5, 4, 3, 2, 1, 0])
    # In time: c5, b4, a3, a2, b1, a0; enrolled are 5, 4, 3.
    assert protocol.probes.tolist() == [2, 1, 0]
    assert recording_numbers(protocol).tolist() == [2, 2, 3]


def test_averaged_gallery_by_hand():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(6, 3)) * random.uniform(0.1, 9.0, size=(6, 1))
    protocol = gallery_and_probes(PERSONS)
    unit = unit_length(vectors)
    np.testing.assert_allclose(averaged_gallery(vectors, protocol, recordings=1), unit[[0, 1, 5]])
    two = averaged_gallery(vectors, protocol, recordings=2)
    np.testing.assert_allclose(two[0], (unit[0] + unit[2]) / 2)
    # Who has fewer is enrolled by what there is.
    three = averaged_gallery(vectors, protocol, recordings=3)
    np.testing.assert_allclose(three[0], (unit[0] + unit[2] + unit[3]) / 3)
    np.testing.assert_allclose(three[1], (unit[1] + unit[4]) / 2)
    np.testing.assert_allclose(three[2], unit[5])


def test_most_enrolled_leaves_enough_persons_a_probe():
    protocol = gallery_and_probes(["a"] * 4 + ["b"] * 4 + ["c"] * 2)
    assert most_enrolled(protocol, at_most=5, minimum_persons=2) == 3
    assert most_enrolled(protocol, at_most=2, minimum_persons=2) == 2
    assert most_enrolled(protocol, at_most=5, minimum_persons=3) == 1
    assert most_enrolled(protocol, at_most=5, minimum_persons=4) == 0


@pytest.mark.parametrize("features", [384, 513])
def test_equal_entries_tie_whatever_the_order_of_summation(features):
    # A matrix product adds up some columns in another order: equal entries differed in the last bit, and
    # an encoder that gives every recording the same embedding was right now and then.
    same = np.tile(np.random.default_rng(0).normal(size=features), (199, 1))
    similarity = cosine_similarity(same, same)
    assert len(np.unique(similarity)) == 1
    assert pessimistic_ranks(similarity, np.arange(199)).tolist() == [199] * 199
