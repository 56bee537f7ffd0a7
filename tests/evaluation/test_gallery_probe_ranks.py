import os
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.identification import (
    cosine_similarity,
    gallery_and_probes,
    pessimistic_ranks,
    rank_rate,
)

# Rows:      0      1      2      3      4      5      6
PERSONS = ["ann", "ann", "bob", "ann", "bob", "cyd", "ann"]
DATES = np.array(
    [
        "2020-01-02T10:00",
        "2020-01-01T09:00",
        "2020-05-05T08:00",
        "2020-01-01T23:00",
        "NaT",
        "2020-01-01T00:00",
        "2020-01-01T09:30",
    ],
    dtype="datetime64[s]",
)
HASHES = ["h0", "h1", "h2", "h3", "h4", "h5", "h1"]


def test_earliest_recording_is_enrolled_and_later_ones_are_probes():
    protocol = gallery_and_probes(PERSONS, recorded_at=DATES)
    assert protocol.persons == ("ann", "bob", "cyd")
    assert protocol.gallery.tolist() == [1, 2, 5]
    assert sorted(protocol.probes.tolist()) == [0, 3, 4, 6]
    assert [PERSONS[row] for row in protocol.probes] == [protocol.persons[c] for c in protocol.probe_person]


def test_same_day_and_another_date_are_told_apart_and_unknown_is_neither():
    protocol = gallery_and_probes(PERSONS, recorded_at=DATES)
    assert sorted(protocol.subset("same_day").probes.tolist()) == [3, 6]
    assert protocol.subset("cross_session").probes.tolist() == [0]
    assert len(protocol.subset("all").probes) == 4
    assert protocol.subset("cross_session").gallery.tolist() == [1, 2, 5]


def test_the_earlier_of_two_equal_recordings_stays():
    protocol = gallery_and_probes(PERSONS, recorded_at=DATES, hashes=HASHES)
    assert protocol.duplicates_dropped == 1
    assert 6 not in protocol.probes
    assert protocol.gallery.tolist() == [1, 2, 5]


def test_order_decides_where_dates_do_not():
    assert gallery_and_probes(["a", "a", "a"], order=[3, 1, 2]).gallery.tolist() == [1]
    assert gallery_and_probes(["a", "a", "a"]).gallery.tolist() == [0]


def test_persons_weigh_the_same():
    protocol = gallery_and_probes(PERSONS, recorded_at=DATES)
    totals = np.bincount(protocol.probe_person, weights=protocol.probe_weights)
    np.testing.assert_allclose(totals, [1.0, 1.0])
    # Within a subset the probes of that subset share the person's weight.
    assert protocol.subset("same_day").probe_weights.tolist() == [0.5, 0.5]


def test_cosine_does_not_see_length_and_zero_is_like_nobody():
    similarity = cosine_similarity(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([[5.0, 5.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(similarity, [[np.sqrt(0.5), -1.0], [0.0, 0.0]])


def test_ties_count_against_us():
    similarity = np.array([[0.9, 0.9, 0.1], [0.5, 0.6, 0.1], [0.3, 0.3, 0.3]])
    assert pessimistic_ranks(similarity, np.array([0, 1, 2])).tolist() == [2, 1, 3]


def test_a_constant_encoder_is_never_right():
    similarity = cosine_similarity(np.ones((4, 8)), np.ones((3, 8)))
    ranks = pessimistic_ranks(similarity, np.array([0, 1, 2, 0]))
    assert rank_rate(ranks, np.ones((1, 4)), k=1).tolist() == [0.0]


def test_rank_rate_by_hand():
    ranks, weights = np.array([1, 2, 7]), np.array([[0.5, 0.5, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(rank_rate(ranks, weights, k=1), [0.25, np.nan])
    np.testing.assert_array_equal(rank_rate(ranks, weights, k=2), [0.5, np.nan])


def test_refuses_lists_of_different_length():
    with pytest.raises(InputError, match=r"got 2 persons and \{'hashes': 1\}"):
        gallery_and_probes(["a", "b"], hashes=["x"])


def test_refuses_embeddings_that_are_not_numbers():
    with pytest.raises(InputError, match="an embedding holds NaN or infinity"):
        cosine_similarity(np.array([[np.nan, 1.0]]), np.array([[1.0, 1.0]]))


@pytest.mark.real
def test_closest_by_cosine_is_the_one_of_the_reference():
    folder = os.environ.get("ANYLEAD_REAL_DATA")
    file = Path(folder or ".") / ".." / "reference" / "identification.npz"
    if not folder or not file.exists():
        pytest.skip(
            "the vector reference/identification.npz is not beside the folder ANYLEAD_REAL_DATA names"
        )
    data = np.load(file)
    similarity = cosine_similarity(data["probe"], data["gallery"])
    np.testing.assert_array_equal(similarity.argmax(axis=1), data["cosine_match"])
    ranks = pessimistic_ranks(similarity, np.arange(len(similarity)))
    assert rank_rate(ranks, np.ones((1, len(ranks))), k=1)[0] == pytest.approx(float(data["cosine_acc"]))
