import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anylead.evaluation.identification import cosine_similarity, gallery_and_probes
from anylead.evaluation.open_set import OpenSetScores, enrolled_half, open_set_scores

PERSONS = ["a", "a", "a", "b", "b", "c", "c", "d", "e"]


def scores(own, stranger, own_weights=None, stranger_weights=None):
    own, stranger = np.array(own, dtype=float), np.array(stranger, dtype=float)
    return OpenSetScores(
        own=own,
        own_weights=np.ones((1, len(own))) if own_weights is None else np.array(own_weights, dtype=float),
        stranger=stranger,
        stranger_weights=(
            np.ones((1, len(stranger)))
            if stranger_weights is None
            else np.array(stranger_weights, dtype=float)
        ),
    )


def slow_rate(one, draw, limit):
    """The best rate over all thresholds at which no more strangers than allowed are accepted."""
    best = 0.0
    thresholds = [*one.own[np.isfinite(one.own)], *one.stranger, 9.0]
    for threshold in thresholds:
        strange = one.stranger_weights[draw]
        accepted = sum(w for s, w in zip(one.stranger, strange, strict=True) if s >= threshold)
        if accepted <= limit * strange.sum() + 1e-9:
            known = one.own_weights[draw]
            found = sum(w for s, w in zip(one.own, known, strict=True) if s >= threshold)
            best = max(best, found / known.sum())
    return best


def test_rate_by_hand():
    # Strangers at .8, .5, .2, .1: one in four may pass, so only what is above .5 is accepted.
    one = scores([0.9, 0.6, 0.5, -np.inf], [0.5, 0.1, 0.8, 0.2])
    assert one.identification_rates([0.25])[0, 0] == 0.5
    # None may pass: above .8. All may pass: every probe whose own entry is first, and not the last one.
    np.testing.assert_array_equal(one.identification_rates([0.0, 1.0])[:, 0], [0.25, 0.75])


def test_strangers_with_equal_scores_pass_together():
    # A quarter may pass, but the two at .5 would pass both.
    assert scores([0.6, 0.5], [0.5, 0.5, 0.1, 0.1]).identification_rates([0.25])[0, 0] == 0.5
    assert scores([0.6, 0.5], [0.5, 0.5, 0.1, 0.1]).identification_rates([0.5])[0, 0] == 1.0


def test_a_stranger_as_similar_as_the_probe_counts_against_us():
    assert scores([0.5], [0.5]).identification_rates([0.0])[0, 0] == 0.0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rates_equal_the_search_over_thresholds(data):
    levels = st.integers(0, 6).map(lambda level: level / 8)
    own = data.draw(st.lists(st.one_of(levels, st.just(-np.inf)), min_size=1, max_size=6))
    stranger = data.draw(st.lists(levels, min_size=1, max_size=8))
    draw_weights = st.lists(st.integers(0, 3), min_size=len(own), max_size=len(own)).filter(any)
    strange_weights = st.lists(st.integers(0, 3), min_size=len(stranger), max_size=len(stranger)).filter(any)
    one = scores(own, stranger, [data.draw(draw_weights)], [data.draw(strange_weights)])
    limit = data.draw(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))
    assert one.identification_rates([limit])[0, 0] == pytest.approx(slow_rate(one, 0, limit), abs=1e-12)


def test_a_resample_without_strangers_or_probes_is_undefined():
    one = scores([0.9, 0.05], [0.5, 0.1], [[1, 1], [0, 0], [1, 1]], [[1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(one.identification_rates([0.5])[0], [0.5, np.nan, np.nan])


def test_half_of_those_with_a_probe_and_half_of_the_rest_are_enrolled():
    protocol = gallery_and_probes(PERSONS)
    halves = np.array([enrolled_half(protocol, seed=3, split=split) for split in range(40)])
    # a, b, c have a probe, d and e do not.
    np.testing.assert_array_equal(halves[:, :3].sum(axis=1), 2)
    np.testing.assert_array_equal(halves[:, 3:].sum(axis=1), 1)
    assert halves.any(axis=0).all()
    assert not halves.all(axis=0).any()
    np.testing.assert_array_equal(enrolled_half(protocol, seed=3, split=7), halves[7])


def test_scores_of_a_split_equal_the_definition_written_as_loops():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(len(PERSONS), 4))
    protocol = gallery_and_probes(PERSONS)
    weights = np.array([[1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 1.0, 1.0]])
    enrolled = np.array([True, False, True, True, False])
    one = open_set_scores(embeddings, protocol, weights, enrolled)
    similarity = cosine_similarity(embeddings, embeddings)
    gallery = {"a": 0, "c": 5, "d": 7}
    own, own_weights = [], []
    for row, person, weight in ((1, "a", 0.5), (2, "a", 0.5), (6, "c", 1.0)):
        mine = similarity[row, gallery[person]]
        others = max(similarity[row, place] for name, place in gallery.items() if name != person)
        own.append(mine if mine > others else -np.inf)
        own_weights.append(weight * weights[:, "abcde".index(person)])
    strangers = sorted(max(similarity[row, place] for place in gallery.values()) for row in (3, 4, 8))
    np.testing.assert_allclose(one.own, own)
    np.testing.assert_allclose(one.own_weights.T, own_weights)
    np.testing.assert_allclose(np.sort(one.stranger), strangers)
    # Persons weigh the same: b has two recordings that share one weight, e has one.
    np.testing.assert_allclose(one.stranger_weights.sum(axis=1), [2.0, 1.0])


def test_a_constant_encoder_finds_nobody():
    protocol = gallery_and_probes(PERSONS)
    enrolled = enrolled_half(protocol, seed=0, split=0)
    one = open_set_scores(np.ones((len(PERSONS), 3)), protocol, np.ones((1, 5)), enrolled)
    assert one.identification_rates([1.0])[0, 0] == 0.0
