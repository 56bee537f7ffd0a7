import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anylead.errors import InputError
from anylead.gallery import search
from anylead.gallery.search import (
    PatientOrder,
    all_pairs,
    as_float32,
    best_per_patient,
    in_precision,
    similarities,
    to_bfloat16,
    top_k,
)


def coarse(seed: int, rows: int, dimension: int) -> np.ndarray:
    """Small integers: every product is exact in float32, whatever the order, and many are equal."""
    return np.random.default_rng(seed).integers(-2, 3, (rows, dimension)).astype(np.float32)


cases = st.tuples(
    st.integers(0, 10**6), st.integers(1, 300), st.integers(1, 9), st.integers(1, 8), st.integers(1, 12)
)


@settings(max_examples=40, deadline=None)
@given(case=cases)
def test_top_k_is_that_of_a_plain_loop_and_ties_go_by_enrolment(case):
    seed, rows, dimension, queries, k = case
    vectors, asked = coarse(seed, rows, dimension), coarse(seed + 1, queries, dimension)
    found = top_k(asked, vectors, k, block=64)
    for number, query in enumerate(asked):
        ranked = sorted(range(rows), key=lambda row: (-float(query @ vectors[row]), row))[:k]
        assert found.rows[number].tolist() == ranked
        np.testing.assert_array_equal(found.similarity[number], vectors[ranked] @ query)


def test_top_k_of_more_queries_than_are_multiplied_at_a_time():
    vectors, asked = coarse(1, 500, 6), coarse(2, search.QUERIES + 3, 6)
    seen = []
    found = top_k(asked, vectors, 5, block=96, progress=lambda starts: seen.extend(starts) or starts)
    expected = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(found.rows, expected)
    assert seen == [0, search.QUERIES]


def test_top_k_of_an_empty_gallery_is_empty():
    assert top_k(coarse(0, 3, 4), coarse(0, 0, 4), 5).rows.shape == (3, 0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 70),
    patients=st.integers(1, 30),
    block=st.sampled_from([4, 16, 64]),
)
def test_all_pairs_are_those_of_a_plain_loop(seed, rows, patients, block):
    vectors = coarse(seed, rows, 5)
    names = [str(n) for n in np.random.default_rng(seed).integers(0, patients, rows)]
    found = all_pairs(vectors, names, block=block)
    for row in range(rows):
        for own, at, value in (
            (True, found.own_rows[row], found.own_similarity[row]),
            (False, found.other_rows[row], found.other_similarity[row]),
        ):
            others = [o for o in range(rows) if o != row and (names[o] == names[row]) is own]
            if not others:
                assert at == -1
                assert np.isnan(value)
                continue
            best = min(others, key=lambda other: (-float(vectors[row] @ vectors[other]), other))
            assert at == best
            assert value == vectors[row] @ vectors[best]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 60), patients=st.integers(1, 20))
def test_best_per_patient_is_that_of_a_plain_loop(seed, rows, patients):
    draw = np.random.default_rng(seed)
    similarity = draw.integers(0, 4, rows).astype(np.float32)
    names = [str(n) for n in draw.integers(0, patients, rows)]
    order = PatientOrder.of(names)
    best, at = best_per_patient(similarity, order)
    assert order.patients == list(dict.fromkeys(names))
    for place, name in enumerate(order.patients):
        theirs = [row for row in range(rows) if names[row] == name]
        assert order.rows_of(place).tolist() == theirs
        assert at[place] == min(theirs, key=lambda row: (-similarity[row], row))
        assert best[place] == similarity[at[place]]


def test_best_per_patient_of_nobody():
    assert len(best_per_patient(np.zeros(0, np.float32), PatientOrder.of([]))[0]) == 0


def test_bfloat16_halves_memory_and_moves_a_similarity_by_little():
    vectors = np.random.default_rng(0).standard_normal((400, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    short = in_precision(vectors, "bfloat16")
    assert short.nbytes * 2 == vectors.nbytes
    assert np.abs(as_float32(short) - vectors).max() <= np.abs(vectors).max() / 256
    moved = similarities(vectors[3], short, block=64) - similarities(vectors[3], vectors)
    assert np.abs(moved).max() < 0.004
    found = top_k(vectors[:5], short, 1, block=64)
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert all_pairs(short, ["a"] * 200 + ["b"] * 200, block=64).own_rows.min() >= 0


def test_bfloat16_rounds_to_nearest_even():
    values = np.array([[1.0, -2.5, 1.00390625, 1.01171875]], dtype=np.float32)
    assert as_float32(to_bfloat16(values)).tolist() == [[1.0, -2.5, 1.0, 1.015625]]


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(InputError, match="got k=0; ask for at least one place"):
        top_k(coarse(0, 1, 4), coarse(0, 3, 4), 0)
    with pytest.raises(InputError, match=r"queries have shape \(1, 3\).*4 numbers each"):
        top_k(coarse(0, 1, 3), coarse(0, 3, 4), 1)
    with pytest.raises(InputError, match="1 patients for 3 rows"):
        all_pairs(coarse(0, 3, 4), ["a"])
    with pytest.raises(InputError, match="precision 'int8'; accepted are float32 and bfloat16"):
        in_precision(coarse(0, 3, 4), "int8")
