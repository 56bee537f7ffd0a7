"""The fuzz benchmark counts what it should: records, refusals, other exceptions, processes that die."""

import os
import sys
from pathlib import Path

import pytest

from anylead.errors import RecordFileError

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory is measured through /proc"
)


@pytest.fixture(scope="module")
def fuzz():
    before = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import fuzz
    finally:
        sys.path[:] = before
    return fuzz


def refuse():
    raise RecordFileError("r.csv: no")


def die(pipe):
    os._exit(3)


def test_an_outcome_is_a_record_a_refusal_or_a_fault(fuzz):
    assert fuzz.measured(lambda: None)["outcome"] == "record"
    assert fuzz.measured(refuse)["outcome"] == "refused"
    assert fuzz.measured(lambda: 1 / 0)["said"] == "ZeroDivisionError: division by zero"


def test_the_memory_that_a_case_takes_is_seen(fuzz):
    taken = fuzz.measured(lambda: bytearray(64 * 2**20))
    assert taken["growth_mib"] > 32


def test_a_process_that_dies_is_a_fault(fuzz):
    (one,) = fuzz.run(die, count=2)
    assert (one["outcome"], one["said"]) == ("fault", "the process ended with 3")


def test_cases_are_counted_by_kind(fuzz):
    found = fuzz.summary("npy", fuzz.outcomes("npy", 1, 4))
    assert found["cases"] == found["records"] + found["refusals"] == 4
    assert found["named_faults"] == []
