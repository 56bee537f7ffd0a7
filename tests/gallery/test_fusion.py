"""Fusion, score normalisation, and posteriors over patients."""

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.fusion import (
    FUSIONS,
    adaptive_s_norm,
    choose_fusion,
    fuse,
    identification_posterior,
    mean_likelihood_ratio,
    verification_posterior,
)
from synthetic_gallery import table


@pytest.mark.parametrize("how", FUSIONS)
def test_one_template_scores_itself_and_none_nothing(how: str) -> None:
    given = np.array([[0.4, np.nan], [np.nan, np.nan]])
    fused = fuse(given, how=how)
    assert fused[0] == pytest.approx(0.4)
    assert np.isnan(fused[1])


def test_log_sum_lies_between_the_mean_and_the_largest() -> None:
    given = np.array([0.1, 0.5, 0.6])
    assert fuse(given) == 0.6
    assert given.mean() < fuse(given, how="log-sum") < 0.6
    assert fuse(np.array([0.1, 0.5, 0.6, 0.7]), how="mean of top") == pytest.approx(0.6)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(GalleryError, match="got 'sum'; give one of max"):
        fuse(np.zeros(2), how="sum")


def test_several_noisy_templates_are_averaged() -> None:
    how, why = choose_fusion(table(persons=40, recordings=6, noise=2.0, dimension=16))
    assert how != "max"
    assert "40 persons" in why


def test_too_few_persons_choose_nothing() -> None:
    assert choose_fusion(table(persons=5))[0] == "max"


def test_norm_takes_off_who_is_like_everybody() -> None:
    random = np.random.default_rng(0)
    cohort = random.normal(0.0, 0.1, (2, 300))
    shifted = cohort + np.array([[0.0], [0.5]])
    normal = adaptive_s_norm(np.array([0.5, 1.0]), shifted, shifted)
    plain = adaptive_s_norm(np.array([0.5, 0.5]), cohort, cohort)
    assert abs(normal[0] - normal[1]) < 2.0
    assert normal[0] == pytest.approx(plain[0])
    with pytest.raises(GalleryError, match="cohort has 1"):
        adaptive_s_norm(np.zeros(1), np.zeros((1, 1)), np.zeros((1, 5)))


def test_mean_ratio_of_a_stranger_stays_one() -> None:
    # Two normals one apart: the ratio of a stranger is one on average.
    draws = np.random.default_rng(0).normal(size=(20_000, 8))
    ratios = draws - 0.5
    assert np.exp(mean_likelihood_ratio(ratios)).mean() == pytest.approx(1.0, abs=0.05)
    there = np.zeros(ratios.shape, dtype=bool)
    assert (mean_likelihood_ratio(ratios, there) == 0.0).all()


def test_posteriors_sum_to_one_and_start_at_the_prior() -> None:
    patients, nobody = identification_posterior(np.zeros((1, 4)), known_prior=0.5, enrolled=10)
    assert nobody[0] == pytest.approx(0.5)
    assert patients[0] == pytest.approx(np.full(4, 0.05))
    patients, nobody = identification_posterior(np.array([[20.0, 0.0]]), known_prior=0.5, enrolled=10)
    assert patients[0, 0] > 0.999
    assert nobody[0] < 1e-6
    assert identification_posterior(np.zeros((1, 1)), known_prior=0.0, enrolled=5)[1][0] == 1.0
    with pytest.raises(GalleryError, match="1 enrolled patients of whom 2"):
        identification_posterior(np.zeros((1, 2)), known_prior=0.5, enrolled=1)


def test_verification_starts_at_the_prior() -> None:
    assert verification_posterior(np.zeros(1), prior=0.9)[0] == pytest.approx(0.9)
    with pytest.raises(GalleryError, match="prior is 1;"):
        verification_posterior(np.zeros(1), prior=1.0)
