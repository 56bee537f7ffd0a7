import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsRegressor

from anylead.errors import InputError
from anylead.evaluation import knn
from anylead.evaluation.knn import NeighbourConfig, fit_neighbours


def case(seed=0, records=90, features=7, classes=3):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(records, features)) * np.arange(1, features + 1)
    labels = embeddings[:, :classes] + random.normal(size=(records, classes)) > 1.0
    return embeddings, labels, [f"p{row // 3}" for row in range(records)]


@given(st.integers(0, 50), st.sampled_from([1, 4, 12]))
def test_equals_scikit_learn_on_standardised_features(seed, neighbours):
    embeddings, labels, patients = case(seed)
    new, _, _ = case(seed + 1000, records=20)
    known = fit_neighbours(
        embeddings, labels, patients=patients, config=NeighbourConfig(neighbours=(neighbours,))
    )
    mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0)
    theirs = KNeighborsRegressor(neighbours, metric="cosine", weights=lambda distance: 1.0 - distance)
    theirs.fit((embeddings - mean) / scale, labels.astype(float))
    # With 12 of 90 random neighbours in 7 dimensions all are on the same side.
    np.testing.assert_allclose(known.scores(new), theirs.predict((new - mean) / scale), atol=1e-9)


def test_hand_value_with_a_neighbour_that_points_away():
    embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    labels = np.array([[True], [False], [False], [True]])
    config = NeighbourConfig(neighbours=(4,))
    known = fit_neighbours(embeddings, labels, patients=[None] * 4, config=config)
    # Cosines 0.6 (positive), 0.8 (negative), and two below zero that count nothing.
    np.testing.assert_allclose(known.scores(np.array([[3.0, 4.0]])), [[0.6 / 1.4]])
    # In the middle nobody is near: all four count alike.
    np.testing.assert_allclose(known.scores(np.zeros((1, 2))), [[0.5]])


def test_nothing_changes_when_rows_are_compared_in_blocks(monkeypatch):
    embeddings, labels, patients = case()
    known = fit_neighbours(embeddings, labels, patients=patients)
    whole = known.scores(embeddings)
    monkeypatch.setattr(knn, "_ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(known.scores(embeddings), whole, atol=1e-12)
    assert known.scores(embeddings[:0]).shape == (0, 3)


def test_the_number_is_chosen_on_validation_recordings_and_told():
    # Labels are a coin but for a weak trend: many neighbours see it, one sees the coin.
    random = np.random.default_rng(0)
    embeddings, new = random.normal(size=(300, 2)), random.normal(size=(300, 2))
    labels, truth = (x[:, :1] + 2.0 * random.normal(size=(300, 1)) > 0.0 for x in (embeddings, new))
    config = NeighbourConfig(neighbours=(1, 100))
    known = fit_neighbours(embeddings, labels, patients=[None] * 300, valid=(new, truth), config=config)
    assert known.neighbours == 100
    assert [count for count, _ in known.macro_auroc_by_neighbours] == [100, 1]
    assert known.macro_auroc_by_neighbours[0][1] > known.macro_auroc_by_neighbours[1][1]


def test_cross_validation_keeps_patients_on_one_side():
    # A patient's recordings are equal and the label is a coin: known patients are known by heart.
    random = np.random.default_rng(0)
    embeddings = np.repeat(random.normal(size=(40, 20)), 5, axis=0)
    labels = np.repeat(random.random((40, 1)) < 0.5, 5, axis=0)
    grouped = fit_neighbours(embeddings, labels, patients=[f"p{row // 5}" for row in range(200)])
    leaky = fit_neighbours(embeddings, labels, patients=[None] * 200)
    assert max(value for _, value in grouped.macro_auroc_by_neighbours) < 0.7
    assert max(value for _, value in leaky.macro_auroc_by_neighbours) > 0.9


def test_units_of_the_features_do_not_matter():
    embeddings, labels, patients = case()
    units = 10.0 ** np.arange(-3, 4)
    one = fit_neighbours(embeddings, labels, patients=patients)
    other = fit_neighbours(embeddings * units, labels, patients=patients)
    np.testing.assert_allclose(other.scores(embeddings * units), one.scores(embeddings), atol=1e-9)


def test_more_neighbours_than_recordings_are_not_tried():
    embeddings, labels, patients = case(records=24)
    known = fit_neighbours(embeddings, labels, patients=patients)
    # Eighteen recordings are left beside a fold of six.
    assert [count for count, _ in known.macro_auroc_by_neighbours] == [10, 5]


def test_refuses_fewer_recordings_than_neighbours():
    embeddings, labels, patients = case(records=3)
    with pytest.raises(InputError, match="got 3 recordings for 4 neighbours"):
        fit_neighbours(embeddings, labels, patients=patients, config=NeighbourConfig(neighbours=(4,)))


def test_refuses_recordings_without_a_patient():
    embeddings, labels, patients = case()
    with pytest.raises(InputError, match="got 90 recordings and 89 patients"):
        fit_neighbours(embeddings, labels, patients=patients[1:])


def test_refuses_embeddings_that_are_not_finite():
    embeddings, labels, patients = case()
    embeddings[2, 1] = np.inf
    with pytest.raises(InputError, match="an embedding holds NaN or infinity"):
        fit_neighbours(embeddings, labels, patients=patients)
