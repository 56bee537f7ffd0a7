"""Simulated exchanges: what screening catches, by Bayes, and what so few recordings cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.calibration import Calibration, fit_calibration
from anylead.gallery.misfiling import Evidence, gather_evidence
from anylead.gallery.swap_simulation import SwapStudy, rescored, simulate_swaps, study_swaps
from anylead.gallery.template import TemplateTable
from synthetic_gallery import table


@pytest.fixture(scope="module")
def gallery() -> TemplateTable:
    return table(persons=60, recordings=3, noise=0.6)


@pytest.fixture(scope="module")
def calibration(gallery: TemplateTable) -> Calibration:
    return fit_calibration({"12": gallery})


@pytest.fixture(scope="module")
def evidence(gallery: TemplateTable, calibration: Calibration) -> list[Evidence]:
    return gather_evidence({"12": gallery}, calibration)


@pytest.fixture(scope="module")
def study(gallery: TemplateTable, calibration: Calibration, evidence: list[Evidence]) -> SwapStudy:
    found = study_swaps({"12": gallery}, calibration, most=200, evidence=evidence)
    assert found is not None
    return found


def test_a_swap_is_weighed_as_screening_the_changed_gallery_would(
    gallery: TemplateTable, calibration: Calibration, evidence: list[Evidence]
) -> None:
    patients = list(gallery.patient_ids)
    patients[4], patients[100] = patients[100], patients[4]
    changed = gather_evidence({"12": replace(gallery, patient_ids=patients)}, calibration)[0]
    rows, scores = rescored(evidence[0], 4, 100)
    whole = changed.log_odds()
    assert set(rows) == {3, 4, 5, 99, 100, 101}
    # Screening looks at the ten most similar templates alone, so that a patient may drop out of a row.
    exact = {row: score for row, score in zip(rows.tolist(), scores, strict=True)}
    for row in (4, 100):
        assert exact[row] == pytest.approx(whole[row], abs=0.2)


def test_the_place_counts_who_comes_before(evidence: list[Evidence], study: SwapStudy) -> None:
    filed = evidence[0].log_odds()
    assert study.places.min() >= 1
    assert study.places.max() <= len(filed)
    clear = study.scores > filed.max() + 5.0
    assert study.places[clear].max() <= 6


def test_a_larger_budget_catches_no_less(study: SwapStudy) -> None:
    caught = [study.line(prevalence=0.001, budget=budget).sensitivity for budget in (1, 5, 20)]
    assert caught[0].value <= caught[1].value <= caught[2].value
    assert caught[2].value > 0.5
    assert all(0.0 <= one.low <= one.value <= one.high <= 1.0 for one in caught)


def test_precision_is_by_bayes(study: SwapStudy) -> None:
    line = study.line(prevalence=0.01, budget=0)
    rate = 3.0 / len(study.filed_scores)
    right = 0.01 * line.sensitivity.value
    assert line.bounded
    assert line.precision.value == pytest.approx(right / (right + 0.99 * rate))
    assert line.precision.high == 1.0
    assert line.false_alerts.value == pytest.approx(0.99 * 3.0)
    rare = study.line(prevalence=0.0001, budget=0)
    assert rare.precision.value < line.precision.value


def test_seen_false_alerts_are_counted(study: SwapStudy) -> None:
    noisy = replace(study, filed_scores=np.where(np.arange(180) < 18, 50.0, study.filed_scores))
    line = noisy.line(prevalence=0.01, budget=18)
    assert not line.bounded
    assert line.false_alerts.value == pytest.approx(0.99 * 18)
    assert line.false_alerts.low < line.false_alerts.value < line.false_alerts.high


def test_alerts_by_posterior(study: SwapStudy) -> None:
    often, rare = (study.alerts(prevalence=p).sensitivity.value for p in (0.01, 0.0001))
    assert rare <= often


def test_below_some_prevalence_the_data_cannot_tell(study: SwapStudy) -> None:
    lowest = study.lowest_prevalence()
    assert lowest is not None
    at = study.line(prevalence=lowest, budget=0)
    assert at.precision.value == pytest.approx(0.5)
    assert "below a prevalence of" in study.sentence()
    hopeless = replace(study, scores=np.full_like(study.scores, -9.0))
    assert hopeless.lowest_prevalence() is None
    assert "no level" in hopeless.sentence()


def test_all_are_simulated_where_they_are_few(gallery: TemplateTable, calibration: Calibration) -> None:
    few = table(persons=4, recordings=2, noise=0.6)
    study = study_swaps({"12": few}, calibration)
    assert study is not None
    assert study.possible == len(study.scores) == 24
    lines = simulate_swaps({"12": few}, calibration, budgets=(5, 10))
    assert [(one.prevalence, one.budget) for one in lines[:2]] == [(0.0001, 5), (0.0001, 10)]
    assert len(lines) == 8


def test_the_same_seed_draws_the_same(
    gallery: TemplateTable, calibration: Calibration, evidence: list[Evidence]
) -> None:
    one, other = (
        study_swaps({"12": gallery}, calibration, most=20, seed=3, evidence=evidence) for _ in range(2)
    )
    assert one is not None
    assert other is not None
    assert np.array_equal(one.scores, other.scores)


def test_without_several_recordings_there_is_nothing_to_exchange(calibration: Calibration) -> None:
    assert simulate_swaps({"12": table(recordings=1)}, calibration) == []


def test_none_is_too_few(gallery: TemplateTable, calibration: Calibration) -> None:
    with pytest.raises(GalleryError, match="simulate at least one exchange"):
        study_swaps({"12": gallery}, calibration, most=0)
