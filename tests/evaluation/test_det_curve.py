import numpy as np
import pytest
from scipy.special import ndtri
from sklearn.metrics import det_curve as reference_det_curve

from anylead.evaluation.verification import OperatingPoints, det_curve, is_resolved, operating_points


def case(probes=40, persons=12, seed=0, decimals=1):
    random = np.random.default_rng(seed)
    right = np.arange(probes) % persons
    similarity = random.normal(size=(probes, persons))
    similarity[np.arange(probes), right] += 1.5
    return similarity.round(decimals), right


@pytest.mark.parametrize("decimals", [1, 6])
def test_every_corner_of_scikit_learns_curve_is_on_ours(decimals):
    similarity, right = case(decimals=decimals)
    points = operating_points(similarity, right, np.ones((1, 40)), np.ones((1, 12)))
    ours = det_curve(points, most=10_000)
    is_own = np.zeros(similarity.shape, dtype=bool)
    is_own[np.arange(40), right] = True
    far, frr, _ = reference_det_curve(is_own.ravel(), similarity.ravel())
    for corner in zip(far, frr, strict=True):
        # Theirs also steps where impostors alone change, on the horizontal lines between our corners.
        level = ours[np.isclose(ours[:, 1], corner[1])]
        assert level[:, 0].min() - 1e-12 <= corner[0] <= level[:, 0].max() + 1e-12
    assert ours[0].tolist() == [1.0, 0.0]
    assert ours[-1].tolist() == [0.0, 1.0]


def test_thinned_curve_is_a_part_of_the_whole_and_even_on_the_probit_scale():
    similarity, right = case(probes=400, persons=50, decimals=6)
    points = operating_points(similarity, right, np.ones((1, 400)), np.ones((1, 50)))
    whole, thin = det_curve(points, most=10_000), det_curve(points, most=100)
    assert 50 < len(thin) <= 100 < len(whole)
    assert {tuple(point) for point in thin} <= {tuple(point) for point in whole}
    assert thin[0].tolist() == whole[0].tolist()
    assert thin[-1].tolist() == whole[-1].tolist()
    inner = thin[(thin > 0.03).all(axis=1) & (thin < 0.7).all(axis=1)]
    assert len(inner) > 10
    assert np.abs(np.diff(ndtri(inner), axis=0)).sum(axis=1).max() < 0.3


def test_perfect_and_undefined_curves():
    perfect = operating_points(
        np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 1]), np.ones((1, 2)), np.ones((1, 2))
    )
    assert det_curve(perfect).tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    undefined = OperatingPoints(
        false_acceptance=np.full((1, 4), np.nan), false_rejection=np.full((1, 4), np.nan)
    )
    assert det_curve(undefined).shape == (0, 2)


def test_a_rate_is_resolved_by_ten_comparisons():
    assert is_resolved(0.01, 1000)
    assert not is_resolved(0.01, 999)
    assert is_resolved(0.0001, 100_000)
