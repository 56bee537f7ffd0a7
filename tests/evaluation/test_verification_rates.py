import numpy as np
import pytest

from anylead.evaluation.verification import operating_points


def points(similarity, right, probe_weights=None, person_weights=None):
    similarity, right = np.array(similarity, dtype=float), np.array(right)
    probe_weights = (
        np.ones((1, len(similarity))) if probe_weights is None else np.array(probe_weights, dtype=float)
    )
    persons = similarity.shape[1]
    person_weights = (
        np.ones((1, persons)) if person_weights is None else np.array(person_weights, dtype=float)
    )
    return operating_points(similarity, right, probe_weights, person_weights)


def test_separable_pairs_have_no_error():
    result = points([[0.9, 0.1], [0.2, 0.8]], [0, 1])
    assert result.equal_error_rate()[0] == 0.0
    assert result.true_acceptance(0.0)[0] == 1.0


def test_equal_error_rate_by_hand():
    # Genuine .9 and .4; impostors .5 and .1: above .4 and up to .5 one of two is wrong on either side.
    assert points([[0.9, 0.5], [0.1, 0.4]], [0, 1]).equal_error_rate()[0] == 0.5
    # Genuine .9, .4, .8; impostors .5 and five of .1: above .4 one impostor of six is accepted while the
    # rejections step from none to one of three, over 1/6.
    similarity = [[0.9, 0.5, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.8]]
    assert points(similarity, [0, 1, 2]).equal_error_rate()[0] == pytest.approx(1.0 / 6.0)


def test_a_constant_encoder_has_an_equal_error_rate_of_one_half():
    result = points(np.ones((3, 3)), [0, 1, 2])
    assert result.equal_error_rate()[0] == 0.5
    assert result.true_acceptance(0.5)[0] == 0.0


def slow_rates(similarity, right, probe_weights, person_weights, threshold):
    genuine = impostor = rejected = accepted = 0.0
    for i, own in enumerate(right):
        for g in range(similarity.shape[1]):
            if g == own:
                genuine += probe_weights[i]
                rejected += probe_weights[i] * (similarity[i, g] < threshold)
            else:
                weight = probe_weights[i] * person_weights[g]
                impostor += weight
                accepted += weight * (similarity[i, g] >= threshold)
    return accepted / impostor, rejected / genuine


def random_case(seed, decimals):
    random = np.random.default_rng(seed)
    right = np.array([0, 0, 1, 2, 3, 3, 3])
    similarity = random.normal(size=(7, 5))
    similarity[np.arange(7), right] += 1.0
    counts = random.integers(0, 3, size=5).astype(float)
    counts[:2] += 1.0
    share = 1.0 / np.bincount(right)[right]
    return similarity.round(decimals), right, counts[right] * share, counts


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("seed", range(5))
def test_rates_equal_the_definition_written_as_loops(seed, decimals):
    similarity, right, probe_weights, person_weights = random_case(seed, decimals)
    result = points(similarity, right, [probe_weights], [person_weights])
    levels = np.unique(similarity[np.arange(7), right])
    for k, level in enumerate(levels):
        for column, threshold in ((2 * k + 1, level), (2 * k + 2, np.nextafter(level, 9.0))):
            expected = slow_rates(similarity, right, probe_weights, person_weights, threshold)
            assert result.false_acceptance[0, column] == pytest.approx(expected[0], abs=1e-12)
            assert result.false_rejection[0, column] == pytest.approx(expected[1], abs=1e-12)

    every = np.concatenate([np.unique(similarity), [np.inf]])
    rates = [slow_rates(similarity, right, probe_weights, person_weights, t) for t in every]
    for limit in (0.0, 0.1, 0.3):
        best = max(1.0 - rejected for accepted, rejected in rates if accepted <= limit)
        assert result.true_acceptance(limit)[0] == pytest.approx(best, abs=1e-12)
    # No threshold is better on both sides than the equal error rate, and two neighbours enclose it.
    equal = result.equal_error_rate()[0]
    assert all(max(pair) >= equal - 1e-12 for pair in rates)
    assert any(min(pair) <= equal + 1e-12 for pair in rates)


def test_weights_are_repeated_persons_who_are_never_their_own_impostor():
    # Person 0 drawn twice, 1 once, 2 not at all: write the copies out and leave out copy against copy.
    similarity = np.array([[0.5, 0.6, 0.9], [0.7, 0.4, 0.2], [0.9, 0.9, 0.1]])
    result = points(similarity, [0, 1, 2], [[2.0, 1.0, 0.0]], [[2.0, 1.0, 0.0]])
    copies = [0, 0, 1]
    genuine = [similarity[p, p] for p in copies]
    impostor = [similarity[p, q] for p in copies for q in copies if p != q]
    assert len(impostor) == 4
    for column, threshold in ((1, 0.1), (3, 0.4), (4, 0.41), (5, 0.5), (6, 0.51)):
        assert result.false_acceptance[0, column] == np.mean([s >= threshold for s in impostor])
        assert result.false_rejection[0, column] == np.mean([s < threshold for s in genuine])


def test_a_resample_without_an_impostor_is_undefined():
    result = points([[0.9, 0.1], [0.2, 0.8]], [0, 1], [[2.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(result.equal_error_rate(), [np.nan, 0.0])
    np.testing.assert_array_equal(result.true_acceptance(0.1), [np.nan, 1.0])
