"""Calibration: likelihood ratios mean what they say, without the prior of the sample."""

import json
from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.calibration import TERMS, Calibration, cllr, cllr_floor, fit_calibration, pair_weights
from anylead.gallery.pairs import Pairs, gather_pairs
from synthetic_gallery import table


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit_calibration({"12": table()})


def test_a_ratio_rises_with_the_similarity_and_lies_in_its_interval(fitted: Calibration) -> None:
    similarity = np.linspace(-1.0, 1.0, 21)
    value, low, high = fitted.log_likelihood_ratio(similarity, lead_set="12")
    assert (np.diff(value) >= 0.0).all()
    assert value[0] < 0.0 < value[-1]
    assert (low <= value).all()
    assert (value <= high).all()
    assert (high - low).max() > 0.0


def test_persons_left_out_find_it_calibrated(fitted: Calibration) -> None:
    report = fitted.lead_sets["12"].report
    assert report is not None
    assert report.persons == 60
    assert report.cllr_min.value <= report.cllr.value < 1.15 * report.cllr_min.value + 0.05
    assert report.cllr.value < report.cllr_before.value
    assert sum(share for _, _, share in report.reliability) == pytest.approx(1.0)


def test_the_number_of_strangers_moves_no_ratio() -> None:
    few, many = table(persons=60), table(persons=60, seed=0)
    strangers = table(persons=120, recordings=1, seed=9)
    many = replace(
        many,
        record_ids=[*many.record_ids, *(f"s{n}" for n in range(120))],
        patient_ids=[*many.patient_ids, *(f"s{n}" for n in range(120))],
        vectors=np.concatenate([many.vectors, strangers.vectors]),
        recorded_at=np.concatenate([many.recorded_at, strangers.recorded_at]),
        duration_s=np.concatenate([many.duration_s, strangers.duration_s]),
        hashes=[*many.hashes, *(f"s{n}" for n in range(120))],
    )
    at = np.array([0.3, 0.5])
    one = fit_calibration({"12": few}).log_likelihood_ratio(at, lead_set="12")[0]
    other = fit_calibration({"12": many}).log_likelihood_ratio(at, lead_set="12")[0]
    assert np.abs(one - other).max() < 1.0


def test_one_day_for_each_person_is_no_evidence() -> None:
    gallery = table(noise=0.9)
    day = np.repeat(np.arange(60) * 50, 3).astype("timedelta64[D]")
    same_day = replace(gallery, recorded_at=np.datetime64("2020-01-01", "s") + day)
    found = fit_calibration({"12": same_day})
    near, far = (
        found.log_likelihood_ratio(np.array([0.3]), lead_set="12", days_apart=days)[0]
        for days in (0.0, 900.0)
    )
    assert abs(float(near[0] - far[0])) < 0.5


def test_what_so_few_can_say_is_bounded(fitted: Calibration) -> None:
    one = fitted.lead_sets["12"]
    value = fitted.log_likelihood_ratio(np.array([-9.0, 9.0]), lead_set="12")[0]
    assert value[0] == pytest.approx(-np.log(61.0))
    assert value[1] == pytest.approx(np.log(one.impostor_pairs + 1))
    free = fitted.log_likelihood_ratio_draws(np.array([-9.0, 9.0]), lead_set="12", bounded=False)
    assert free[0, 0] < value[0]
    assert free[0, 1] > value[1]


def test_a_lead_set_with_few_persons_shares_a_regression() -> None:
    found = fit_calibration({"12": table(persons=60), "I": table(persons=20, noise=0.9, seed=1)})
    assert not found.lead_sets["12"].joint
    assert found.lead_sets["I"].joint
    assert any("only 20 persons" in note for note in found.notes)
    assert found.lead_sets["I"].coefficients.shape == (len(TERMS),)


def test_nobody_with_two_recordings_is_not_calibrated() -> None:
    found = fit_calibration({"12": table(recordings=1)})
    assert not found.has("12")
    assert "no patient has two recordings" in found.notes[0]
    assert fit_calibration({"12": table(recordings=1), "6": table(persons=0)}).notes == found.notes
    with pytest.raises(GalleryError, match="lead set '12' is not calibrated"):
        found.log_likelihood_ratio(np.array([0.5]), lead_set="12")


def test_similarity_that_falls_with_sameness_is_refused() -> None:
    gallery = table(recordings=2)
    gallery.vectors[1::2] = -gallery.vectors[::2]
    found = fit_calibration({"12": gallery})
    assert not found.has("12")
    assert "no more alike" in found.notes[0]


def test_equal_samples_are_no_genuine_pair() -> None:
    gallery = table(recordings=2)
    copies = replace(gallery, hashes=[f"h{row // 2}" for row in range(120)])
    assert not gather_pairs({"12": copies}).is_genuine.any()


def test_persons_weigh_the_same() -> None:
    pairs = gather_pairs({"12": table(persons=4, recordings=3)})
    chosen = pairs.keep(~(pairs.is_genuine & (pairs.left == 0)) | (np.cumsum(pairs.is_genuine) <= 1))
    weights = pair_weights(chosen)
    assert weights is not None
    genuine = np.bincount(chosen.left[chosen.is_genuine], weights[chosen.is_genuine])
    assert genuine == pytest.approx(np.ones(4))
    assert weights[~chosen.is_genuine].sum() == pytest.approx(4.0)


def test_pairs_without_weight_cannot_be_fitted() -> None:
    pairs = gather_pairs({"12": table(persons=4)})
    assert pair_weights(pairs.keep(pairs.is_genuine)) is None


def test_cost_of_saying_nothing_is_one_bit() -> None:
    genuine = np.array([True, False, False])
    assert cllr(np.zeros(3), genuine, np.ones(3)) == pytest.approx(1.0)
    assert cllr_floor(np.array([0.9, 0.1, 0.2]), genuine, np.array([2.0, 1.0, 1.0])) < 1e-6


def test_it_comes_back_from_json(fitted: Calibration) -> None:
    again = Calibration.from_plain(json.loads(json.dumps(fitted.to_plain())))
    at = np.array([0.1, 0.4])
    assert np.array_equal(
        again.log_likelihood_ratio(at, lead_set="12"), fitted.log_likelihood_ratio(at, lead_set="12")
    )
    assert again.to_plain() == fitted.to_plain()
    assert again.threshold("12", 0.02) == fitted.threshold("12", 0.01)
    with pytest.raises(GalleryError, match="calibrate the gallery again"):
        Calibration.from_plain({"terms": ["slope"]})


def test_the_most_similar_of_many_strangers_needs_a_higher_threshold(fitted: Calibration) -> None:
    one, all_of_them = (fitted.threshold("12", 0.1, open_set=given) for given in (False, True))
    assert one is not None
    assert all_of_them is not None
    assert one.value < all_of_them.value
    assert all_of_them.comparisons == 60


def test_no_pairs_of_an_empty_gallery() -> None:
    assert isinstance(gather_pairs({}), Pairs)
    assert fit_calibration({}).lead_sets == {}
