import numpy as np
import pytest

from anylead.evaluation.grid_section import (
    GridEntry,
    GridTable,
    auroc_interval,
    gain,
    grid_sections,
    rank1_gain,
    sorted_by_score,
)
from anylead.evaluation.report import Report, render_html


def values(value, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, 0.02, 300)
    return np.concatenate([[value], value + noise])


def entry(name, value, **changes):
    settings = {
        "name": name,
        "auroc": {"12": values(value), "I": values(value - 0.1)},
        "seed_values": (value,),
    }
    return GridEntry(**{**settings, **changes})


@pytest.fixture
def entries():
    trained = {
        "untrained": "before",
        "tera_flops": 2.0,
        "segments": 640,
        "segments_per_s": 70.4,
        "training_cpu_s": 12.0,
        "peak_memory_mib": 900,
        "effective_rank": 12.34,
        "layer": "2",
    }
    return {
        "good": entry(
            "good", 0.80, seed_values=(0.79, 0.81), curve=((1.0, values(0.75)), (2.0, values(0.8))), **trained
        ),
        "bad": entry("bad", 0.60, rank1=values(0.3), **trained),
        "before": entry("before", 0.70),
    }


@pytest.fixture
def table():
    return GridTable(
        title="Two by two",
        rows=("good", "bad"),
        columns=("here", "there"),
        cells={("good", "here"): "good", ("bad", "here"): "bad", ("bad", "there"): "absent"},
        reasons={("good", "there"): "not applicable: it refuses"},
    )


def test_the_best_stand_first_and_gains_are_on_the_same_resamples(entries):
    assert [one.name for one in sorted_by_score(entries)] == ["good", "before", "bad"]
    found = gain(entries["good"], entries)
    assert found[0] == pytest.approx(0.1)
    assert found[1:].std() == pytest.approx(0.0, abs=1e-9)
    assert gain(entries["before"], entries) is None
    assert rank1_gain(entries["bad"], entries) is None
    known = {**entries, "before": entry("before", 0.7, rank1=values(0.1))}
    assert rank1_gain(entries["bad"], known)[0] == pytest.approx(0.2)


def test_the_interval_holds_the_value_in_its_middle():
    found = auroc_interval(values(0.8))
    assert found.low < 0.8 < found.high
    assert found.high - found.low == pytest.approx(4 * 0.02, rel=0.15)


def test_the_page_has_every_cell_or_why_it_has_none(entries, table):
    sections = grid_sections([table], entries, ["before"], "2 TFLOP")
    assert [section.title for section in sections] == [
        "All ways to pre-train",
        "Two by two",
        "Curves",
        "What each took",
    ]
    overview, grid, curves, costs = sections
    assert [row[0] for row in overview.tables[0].rows] == ["good", "before", "bad"]
    assert overview.tables[1].rows == (("good", "0.800", "0.790 to 0.810", "2"),)
    assert grid.tables[0].rows[0][2] == "n/a"
    assert grid.tables[0].rows[1][2] == "-"
    assert grid.notes == ("good with there: not applicable: it refuses",)
    assert len(curves.figures) == 2
    assert "2.0" in costs.tables[0].rows[0]
    page = render_html(Report(title="t", summary=(), sections=sections))
    assert "n/a" in page
    assert "+0.100" in page


def test_one_column_needs_no_table_of_its_own(entries):
    table = GridTable(
        title="List",
        rows=("good", "odd"),
        columns=("",),
        cells={("good", ""): "good"},
        reasons={("odd", ""): "not run yet"},
    )
    sections = grid_sections([table], entries, [], "2 TFLOP")
    assert [section.title for section in sections] == ["All ways to pre-train", "Curves", "What each took"]
    assert sections[0].notes[-1] == "odd: not run yet"
