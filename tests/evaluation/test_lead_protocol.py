import csv
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from anylead.errors import InputError
from anylead.evaluation.bootstrap import percentile_interval
from anylead.evaluation.lead_importance import falls_from, lead_importance
from anylead.evaluation.lead_protocol import (
    lead_curve,
    lead_number,
    sample_subsets,
    write_lead_csv,
)
from anylead.leads import STANDARD_12

DOCUMENT = Path(__file__).parents[2] / "docs" / "lead_protocol.md"


def scores(draws=40, seed=0, sample=None):
    """More leads, higher scores, with the noise that patients bring to all subsets alike."""
    random = np.random.default_rng(seed)
    common = 0.02 * random.normal(size=draws + 1)
    return {
        leads: 0.6 + 0.02 * len(leads) + common + 0.005 * random.normal(size=draws + 1)
        for leads in (sample or sample_subsets())
    }


def test_sample_has_five_of_each_size_and_the_one_of_twelve():
    sample = sample_subsets()
    sizes = [len(leads) for leads in sample]
    assert [sizes.count(size) for size in range(1, 13)] == [5] * 11 + [1]
    assert sizes == sorted(sizes)
    assert len(set(sample)) == len(sample) == 56
    for leads in sample:
        assert list(leads) == [lead for lead in STANDARD_12 if lead in leads]


def test_sample_is_the_draw_the_document_describes():
    # Another way: all 4,095 subsets as the numbers 1 to 4095, one bit a lead, walked through by their lots.
    everything = [
        tuple(lead for bit, lead in enumerate(STANDARD_12) if number >> bit & 1) for number in range(1, 4096)
    ]
    places = dict.fromkeys(range(1, 13), 5)
    taken = set()
    for leads in sorted(
        everything, key=lambda leads: hashlib.sha256(b"0/" + ",".join(leads).encode()).digest()
    ):
        if places[len(leads)]:
            places[len(leads)] -= 1
            taken.add(leads)
    assert taken == set(sample_subsets())


def test_sample_stands_in_the_document_with_its_hash():
    text = DOCUMENT.read_text(encoding="utf-8")
    listing = re.search(r"```text\n(.*?)```", text, flags=re.DOTALL)[1]
    assert [tuple(line.split(",")) for line in listing.split()] == list(sample_subsets())
    assert hashlib.sha256(listing.encode()).hexdigest() in text


@pytest.mark.parametrize(("seed", "per_size"), [(0, 1), (3, 12), (7, 70)])
def test_sample_takes_all_there_are(seed, per_size):
    sample = sample_subsets(seed, per_size)
    for size, exist in ((1, 12), (2, 66), (11, 12), (12, 1)):
        assert sum(len(leads) == size for leads in sample) == min(per_size, exist)


def test_another_seed_is_another_sample():
    assert sample_subsets(1) != sample_subsets(0)


def test_the_number_is_the_mean_over_sizes_of_the_mean_over_subsets():
    values = scores()
    curve = lead_curve(values, system="s", kind="shift")
    by_size = [
        np.mean([values[leads] for leads in values if len(leads) == size], axis=0) for size in range(1, 13)
    ]
    number = sum(by_size) / 12.0
    assert curve.number.value == pytest.approx(number[0])
    assert curve.number.low == pytest.approx(np.percentile(number[1:], 2.5))
    assert curve.number.high == pytest.approx(np.percentile(number[1:], 97.5))
    np.testing.assert_allclose(lead_number(values), number)
    assert [size.size for size in curve.sizes] == list(range(1, 13))
    assert curve.sizes[2].score.value == pytest.approx(by_size[2][0])
    assert curve.sizes[2].score.low == pytest.approx(np.percentile(by_size[2][1:], 2.5))


def test_hand_value():
    sample = (("I",), ("II",), ("I", "II"))
    values = {sample[0]: np.array([0.5]), sample[1]: np.array([0.7]), sample[2]: np.array([0.9])}
    curve = lead_curve(values, system="s", kind="information", sample=sample)
    # A size with many subsets weighs no more than one with few.
    assert curve.number.value == pytest.approx((0.6 + 0.9) / 2.0)
    assert curve.sizes[0].worst.leads == ("I",)
    assert curve.sizes[0].best.leads == ("II",)
    assert curve.sizes[0].subsets == 2


def test_the_number_of_leads_takes_the_noise_of_the_patients_along():
    # All subsets share the draws, so averaging 56 of them does not narrow the interval.
    values = scores(draws=400)
    curve = lead_curve(values, system="s", kind="shift")
    one = percentile_interval(float(values[("II",)][0]), values[("II",)][1:])
    assert curve.number.high - curve.number.low > 0.7 * (one.high - one.low)


def test_a_subset_that_was_not_judged_leaves_number_and_size_undefined():
    values = scores()
    del values[("II", "aVR")]
    curve = lead_curve(values, system="s", kind="shift")
    assert curve.missing == (("II", "aVR"),)
    assert curve.number.value is None
    assert curve.sizes[1].score.value is None
    assert curve.sizes[0].score.value is not None
    assert len(curve.subsets) == 55


def test_a_resample_that_is_undefined_for_one_subset_is_left_out_and_counted():
    values = scores(draws=10)
    values[("II",)][3] = np.nan
    curve = lead_curve(values, system="s", kind="shift")
    assert (curve.number.resamples_used, curve.number.resamples_undefined) == (9, 1)
    assert curve.number.value is not None


def test_importance_is_the_paired_fall():
    random = np.random.default_rng(0)
    everyone = 0.8 + 0.1 * random.normal(size=201)
    result = lead_importance(
        everyone, {"I": everyone - 0.03, "V1": everyone + 0.01}, {"I": everyone - 0.2}, system="s"
    )
    lead_i, v1 = result.leads
    # The noise of the patients cancels: the interval is a point though the scores vary by 0.1.
    assert (lead_i.fall.low, lead_i.fall.value, lead_i.fall.high) == pytest.approx((0.03, 0.03, 0.03))
    assert lead_i.alone.value == pytest.approx(everyone[0] - 0.2)
    assert v1.fall.value == pytest.approx(-0.01)
    assert v1.alone is None


def test_a_fault_costs_what_it_costs_on_the_same_patients():
    clean = np.array([0.8, 0.7, 0.9])
    fall = falls_from(clean, {"wrong-LA-RA": clean - 0.1})["wrong-LA-RA"]
    assert (fall.value, fall.low, fall.high) == pytest.approx((0.1, 0.1, 0.1))


def test_csv_has_every_subset_size_and_number(tmp_path):
    values = scores()
    del values[("II",)]
    shift = lead_curve(values, system="a, b", kind="shift")
    information = lead_curve(scores(), system="a, b", kind="information")
    path = write_lead_csv([shift, information], tmp_path / "leads.csv")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (56 + 12 + 1)
    assert {row["system"] for row in rows} == {"a, b"}
    first = next(row for row in rows if row["leads"] == "II aVL" and row["kind"] == "shift")
    assert float(first["value"]) == values[("II", "aVL")][0]
    assert (first["row"], first["size"]) == ("subset", "2")
    undefined = [row for row in rows if row["value"] == ""]
    assert [(row["row"], row["leads"], row["size"]) for row in undefined] == [
        ("subset", "II", "1"),
        ("size", "", "1"),
        ("number", "", ""),
    ]


def test_refuses_less_than_one_subset_a_size():
    with pytest.raises(InputError, match="got 0 of each size; give at least 1"):
        sample_subsets(per_size=0)


def test_refuses_a_subset_outside_the_sample():
    with pytest.raises(InputError, match="the subset I is not among the 56 of the protocol"):
        lead_curve({("I",): np.zeros(3)}, system="s", kind="shift")


def test_refuses_no_score():
    with pytest.raises(InputError, match="got no score"):
        lead_curve({}, system="s", kind="shift")


def test_refuses_scores_of_different_draws():
    values = scores(draws=10) | {("II",): np.zeros(5)}
    with pytest.raises(InputError, match="with 4 and with 10 resamples"):
        lead_number(values)
    with pytest.raises(InputError, match="with 1 and with 2 resamples"):
        lead_importance(np.zeros(3), {"I": np.zeros(3), "II": np.zeros(2)}, system="s")
