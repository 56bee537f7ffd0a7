"""A million recordings: what a process that trains on them holds, and that any step is where it always is."""

import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from anylead.feed import PairFeed, PairFeedConfig, RandomLeadMasking
from anylead.store import Store

ROOT = Path(__file__).parents[2]
RECORDS = 1_000_000
LIMIT_MIB = 1000
STEPS = (0, 5_000, 12_499, 12_500, 40_000)

TRAIN = textwrap.dedent("""
    import hashlib, json, sys
    from anylead.feed import PairFeed, PairFeedConfig, RandomLeadMasking
    from anylead.store import Store

    def anonymous_mib():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

    store = Store.open(sys.argv[1])
    feed = PairFeed([store], PairFeedConfig(), seed=7, lead_masking=RandomLeadMasking())
    digests = {}
    for step in map(int, sys.argv[2:]):
        (batch,) = feed.batches(step)
        digests[step] = hashlib.sha256(batch.signal.numpy().tobytes()).hexdigest()
    print(json.dumps({"fed": anonymous_mib(), "pairs": feed.report.pairs, "steps": digests}))
""")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from large_store import make_large_store
    finally:
        sys.path.pop(0)
    path = make_large_store(tmp_path_factory.mktemp("large") / "s", RECORDS)
    Store.open(path)  # makes the twin, as prepare does
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_process_holds_under_a_gigabyte_and_a_second_one_gets_the_same_steps(path):
    told = subprocess.run(
        [sys.executable, "-c", TRAIN, str(path), *map(str, STEPS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    run = json.loads(told)
    assert run["pairs"] == 799_998  # one of each training recording of 10 s
    assert run["fed"] < LIMIT_MIB
    feed = PairFeed([Store.open(path)], PairFeedConfig(), seed=7, lead_masking=RandomLeadMasking())
    for step in reversed(STEPS):
        (batch,) = feed.batches(step)
        assert hashlib.sha256(batch.signal.numpy().tobytes()).hexdigest() == run["steps"][str(step)], step


@pytest.mark.slow
def test_ranks_share_a_step_whatever_their_number_and_the_shuffle_is_global(path):
    feed = PairFeed(
        [Store.open(path)], PairFeedConfig(pairs_per_batch=8, micro_batches=4, window_s=5.0), seed=1
    )
    step = 123_456
    whole = feed.batches(step)
    for parts in (2, 4):
        shares = [
            feed.batches_of(step, part=part, parts=parts, share="micro_batches") for part in range(parts)
        ]
        assert [batch.row.tolist() for share in shares for batch in share] == [b.row.tolist() for b in whole]
        for got, expected in zip((batch for share in shares for batch in share), whole, strict=True):
            np.testing.assert_array_equal(got.signal.numpy(), expected.signal.numpy())
    persons = np.concatenate([batch.patient.numpy()[::2] for batch in whole])
    assert len(set(persons.tolist())) >= 31  # nearly all of 32 pairs of other people
    assert np.ptp(persons) > 200_000  # from all over the store
