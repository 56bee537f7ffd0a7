import math
from dataclasses import dataclass
from itertools import pairwise

import pytest

from anylead.config import from_plain, to_plain
from anylead.engine.schedules import Constant, Schedule, TriStage, WarmupCosine
from anylead.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Holder:
    schedule: Schedule


def test_constant_is_the_peak_at_every_step() -> None:
    assert [Constant().learning_rate(step, 10, peak=5e-5) for step in (0, 5, 9)] == [5e-5] * 3


def test_warmup_cosine_rises_to_the_peak_and_falls_to_the_final_factor() -> None:
    schedule = WarmupCosine(warmup_fraction=0.1, final_factor=0.1)
    rates = [schedule.learning_rate(step, 100, peak=2.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)  # the first update already moves
    assert rates[9] == pytest.approx(2.0)
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert rates[100] == pytest.approx(0.2)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))


def test_tri_stage_has_the_rates_of_the_identification_recipe() -> None:
    # METHOD 6.2: 3e-5 over 320k updates: 1 % to 100 % in 10 %, held 20 %, decayed to 1 % over 70 %.
    schedule, peak, total = TriStage(), 3e-5, 320_000
    assert schedule.learning_rate(0, total, peak=peak) == pytest.approx(3e-7)
    assert schedule.learning_rate(16_000, total, peak=peak) == pytest.approx(3e-5 * 0.505)
    assert schedule.learning_rate(32_000, total, peak=peak) == peak
    assert schedule.learning_rate(95_999, total, peak=peak) == peak
    halfway = 96_000 + 112_000
    assert schedule.learning_rate(halfway, total, peak=peak) == pytest.approx(
        peak * math.exp(0.5 * math.log(0.01))
    )
    assert schedule.learning_rate(total, total, peak=peak) == pytest.approx(3e-7)


def test_tri_stage_ends_at_the_final_factor_where_the_decay_takes_no_step() -> None:
    schedule = TriStage(warmup_fraction=0.0, hold_fraction=0.0, decay_fraction=0.0)
    assert schedule.learning_rate(0, 10, peak=1.0) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "schedule", [Constant(), WarmupCosine(warmup_fraction=0.2), TriStage(hold_fraction=0.1)]
)
def test_a_schedule_survives_plain_values(schedule: Schedule) -> None:
    holder = Holder(schedule=schedule)
    assert from_plain(Holder, to_plain(holder)) == holder


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "linear"},
            "config.schedule.kind: got 'linear'; accepted are constant, warmup_cosine, tri_stage",
        ),
        ({"warmup_fraction": 0.1}, "config.schedule.kind: got None; accepted are constant"),
        (
            {"kind": "tri_stage", "warm_up": 0.1},
            "config.schedule: unknown name warm_up; TriStage has kind, warmup",
        ),
    ],
)
def test_a_schedule_in_a_recipe_names_its_kind(values, message) -> None:
    with pytest.raises(ConfigError, match=message):
        from_plain(Holder, {"schedule": values})


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"warmup_cosine schedule: warmup_fraction is 1.5; give a share"):
        WarmupCosine(warmup_fraction=1.5)


def test_shares_of_more_than_the_whole_run_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"tri_stage schedule: .* is 1.2; together 1 at most"):
        TriStage(hold_fraction=0.4)


def test_an_exponential_decay_to_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"final_factor is 0.0; give one above 0"):
        TriStage(final_factor=0.0)
