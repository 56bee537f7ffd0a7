"""The model of many nodes: its limits, a value by hand, and the page that shows it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scaling():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import scaling
    finally:
        sys.path.pop(0)
    return scaling


@pytest.fixture
def work(scaling):
    return scaling.Work(
        parameters=1_000_000,
        flop_a_segment=1e9,
        share_of_peak=0.5,
        segments_a_step=100,
        stored_bytes_a_segment=1000.0,
    )


@pytest.fixture
def cluster(scaling):
    return scaling.Cluster(
        devices_a_node=2,
        device_flops=1e12,
        inside_bytes_s=4e9,
        inside_latency_s=0.0,
        network_bytes_s=1e9,
        network_latency_s=1e-3,
        storage_bytes_s=1e9,
        launch_s=0.0,
    )


def test_a_value_by_hand(scaling, work, cluster):
    step = scaling.step_time(work, 4, cluster)
    assert step.compute_s == pytest.approx(100 * 1e9 / (1e12 / 2))  # 0.2 s
    # Two devices send two halves of 4 MB over 4 GB/s; four nodes six quarters over 1 GB/s, and 1 ms each.
    assert step.all_reduce_s == pytest.approx(0.001 + 6 * (0.001 + 0.001))
    assert step.data_s == pytest.approx(2 * 100 * 1000 / 1e9)
    assert step.total_s == pytest.approx(0.213)
    found = scaling.price(work, 4, cluster, records=4e5, epochs=10)
    assert found["steps"] == 10 * 8e5 / 800
    assert found["hours"] == pytest.approx(1e4 * 0.213 / 3600)
    assert found["device_hours"] == pytest.approx(8 * 1e4 * 0.213 / 3600)
    assert found["efficiency"] == pytest.approx(0.201 / 0.213)


def test_one_device_sums_nothing(scaling, work, cluster):
    assert scaling.step_time(work, 1, replace(cluster, devices_a_node=1)).all_reduce_s == 0.0
    assert scaling.step_time(work, 2, replace(cluster, devices_a_node=1)).all_reduce_s > 0.0


def test_more_nodes_are_faster_and_less_efficient(scaling, work, cluster):
    found = [scaling.price(work, nodes, cluster, records=1e6, epochs=1) for nodes in (1, 2, 4, 8, 16)]
    hours, efficiency = ([one[name] for one in found] for name in ("hours", "efficiency"))
    assert hours == sorted(hours, reverse=True)
    assert efficiency == sorted(efficiency, reverse=True)
    assert efficiency[0] == 1.0
    assert len(set(efficiency)) == len(efficiency)


def test_where_the_feed_is_slower_than_the_step_it_decides(scaling, work, cluster):
    slow = replace(work, feed_s_a_segment=0.01)
    assert scaling.step_time(slow, 1, cluster).total_s == pytest.approx(1.0)
    # And more nodes, each with its own feed, lose nothing.
    assert scaling.price(slow, 8, cluster, records=1e6, epochs=1)["efficiency"] == 1.0
    starved = replace(cluster, storage_bytes_s=1e5)
    assert scaling.step_time(work, 1, starved).total_s == pytest.approx(2.0)


def test_the_page_shows_what_the_results_hold(scaling):
    result = json.loads((ROOT / "benchmarks" / "results" / "scaling.json").read_text())
    page = scaling.PAGE.read_text(encoding="utf-8")
    assert scaling.rendered(page, result) == page, "run benchmarks/scaling.py --pages on the results"
    with pytest.raises(ValueError, match="0 places for the table measured"):
        scaling.rendered("", result)
