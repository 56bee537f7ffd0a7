"""Thresholds say what the impostors at hand can know."""

import numpy as np
import pytest

from anylead.errors import GalleryError
from anylead.gallery.thresholds import nearest_threshold, rate_interval, threshold_at


def test_impostors_are_accepted_no_more_often_than_asked() -> None:
    scores = np.arange(1000) / 1000.0
    found = threshold_at(scores, 0.01)
    assert found.accepted == 10
    assert found.note is None
    assert (scores >= found.value).sum() == 10
    assert found.low < 0.01 < found.high


def test_equal_scores_are_refused_together() -> None:
    assert threshold_at(np.full(1000, 0.5), 0.01).accepted == 0


def test_too_few_impostors_are_said() -> None:
    found = threshold_at(np.arange(100) / 100.0, 0.001)
    assert found.accepted == 0
    assert found.note is not None
    assert "10000 are needed" in found.note
    assert found.high == pytest.approx(1.0 - 0.025 ** (1 / 100))


def test_exact_interval() -> None:
    assert rate_interval(5, 100) == pytest.approx((0.0164, 0.1128), abs=1e-4)
    assert rate_interval(0, 0) == (0.0, 1.0)
    assert rate_interval(7, 7)[1] == 1.0


def test_the_nearest_is_never_laxer() -> None:
    kept = [threshold_at(np.arange(1000) / 1000.0, rate) for rate in (0.1, 0.01)]
    assert nearest_threshold(kept, 0.05) is kept[1]
    assert nearest_threshold(kept, 0.001) is None


def test_no_impostor_gives_no_threshold() -> None:
    with pytest.raises(GalleryError, match="0 impostor comparisons"):
        threshold_at(np.zeros(0), 0.01)
