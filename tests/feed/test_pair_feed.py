from collections import Counter

import numpy as np
import pytest
import torch

from anylead.errors import ConfigError, InputError, StoreError
from anylead.feed import PairFeed, PairFeedConfig, RandomLeadMasking
from anylead.leads import STANDARD_12
from anylead.preparation import FillGaps, Preparation, Resample
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource

ALL = SplitConfig(test_fraction=0.0, valid_fraction=0.0)


def make(out, *, preparation=None, **options) -> Store:
    write_store(
        ArraySource(**options),
        None,
        out,
        preparation=preparation or Preparation(steps=(FillGaps(),)),
        split=ALL,
    )
    return Store.open(out)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seven recordings of 1000 samples."""
    return make(tmp_path_factory.mktemp("pairs") / "s", records=7, samples=1000)


def feed(store, *, seed=0, leads=STANDARD_12, lead_masking=None, recordings=None, **config) -> PairFeed:
    config = {"window_s": 0.5, "pairs_per_batch": 4, **config}
    stores = store if isinstance(store, list) else [store]
    return PairFeed(
        stores,
        PairFeedConfig(**config),
        seed=seed,
        leads=leads,
        lead_masking=lead_masking,
        recordings=recordings,
    )


def test_the_two_windows_of_a_pair_are_neighbours_and_belong_to_one_person(store):
    pairs = feed(store)
    (batch,) = pairs.batches(0)
    assert batch.signal.shape == (8, 12, 250)
    assert batch.segment.tolist() == [0, 1] * 4
    assert torch.equal(batch.patient[::2], batch.patient[1::2])
    assert batch.row.tolist() == list(range(8))
    assert not batch.padded
    signals = [store.signal(row) for row in range(7)]
    for pair in range(4):
        whole = torch.cat([batch.signal[2 * pair], batch.signal[2 * pair + 1]], dim=1).numpy()
        places = [
            (row, start)
            for row in range(7)
            for start in (0, 500)
            if np.array_equal(signals[row][:, start : start + 500], whole)
        ]
        assert len(places) == 1
        assert int(batch.patient[2 * pair]) == places[0][0] // 2


def key(batch, pair):
    return batch.signal[2 * pair, 0, :8].numpy().tobytes()


def test_every_pair_is_seen_equally_often_across_the_ends_of_epochs(store):
    pairs = feed(store, micro_batches=2)
    assert pairs.report.pairs == 14
    assert pairs.steps_per_epoch == 14 / 8
    # 7 steps of 8 pairs are 4 epochs of 14.
    seen = [key(batch, pair) for step in range(7) for batch in pairs.batches(step) for pair in range(4)]
    assert set(Counter(seen).values()) == {4}
    assert all(len(set(seen[14 * epoch : 14 * epoch + 14])) == 14 for epoch in range(4))
    assert seen[:14] != seen[14:28]


def test_a_batch_larger_than_the_store_wraps(store):
    (batch,) = feed(store, pairs_per_batch=31).batches(0)
    assert sorted(Counter(key(batch, pair) for pair in range(31)).values()) == [2] * 11 + [3] * 3


def test_any_step_is_reached_directly_and_is_always_the_same(store):
    masked = {"lead_masking": RandomLeadMasking(), "crop": "random", "window_s": 0.4}
    forward = feed(store, **masked)
    steps = [forward.batches(step)[0] for step in range(6)]
    backward = feed(store, **masked)
    for step in (5, 0, 3):
        batch = backward.batches(step)[0]
        assert torch.equal(batch.signal, steps[step].signal)
        assert torch.equal(batch.lead_mask, steps[step].lead_mask)
    assert not torch.equal(steps[0].lead_mask, steps[1].lead_mask)
    other = feed(store, seed=1, **masked).batches(0)[0]
    assert not torch.equal(other.signal, steps[0].signal)


def test_micro_batches_are_the_global_batch_in_parts(store):
    whole = feed(store, pairs_per_batch=8, lead_masking=RandomLeadMasking(), crop="random").batches(2)[0]
    parts = feed(
        store, pairs_per_batch=2, micro_batches=4, lead_masking=RandomLeadMasking(), crop="random"
    ).batches(2)
    for name in ("signal", "lead_mask", "row", "patient", "segment"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_random_crops_lie_in_their_stretch_in_order_without_overlap(store):
    # 1000 samples hold 2 pairs of windows of 200: stretches of 500 with 100 to spare.
    pairs = feed(store, window_s=0.4, crop="random", pairs_per_batch=14)
    signals = [store.signal(row)[0] for row in range(7)]
    starts = set()
    for step in range(30):
        (batch,) = pairs.batches(step)
        for pair in range(14):
            first, second = (batch.signal[2 * pair + k, 0, :20].numpy() for k in (0, 1))
            row, one = next(
                (row, start)
                for row in range(7)
                for start in np.flatnonzero(signals[row][:-20] == first[0])
                if np.array_equal(signals[row][start : start + 20], first)
            )
            two = next(
                start
                for start in np.flatnonzero(signals[row][:-20] == second[0])
                if np.array_equal(signals[row][start : start + 20], second)
            )
            stretch = 500 * (one // 500)
            assert stretch <= one < one + 200 <= two <= two + 200 <= stretch + 500
            starts.add(one - stretch)
    # The first windows begin anywhere in the 100 samples to spare.
    assert min(starts) < 5
    assert max(starts) > 90


def test_grid_pairs_leave_the_odd_end_as_the_paper(store):
    assert feed(store, window_s=0.6).report.pairs == 7  # 1000 // 600


def test_short_recordings_are_counted(tmp_path, store):
    short = make(tmp_path / "short", records=3, samples=499, seed=4, family="short")
    pairs = feed([short, store])
    assert pairs.report.dropped == {"shorter than 1 s": 3}
    assert pairs.report.recordings == 7
    with pytest.raises(InputError, match="there is nothing to feed; every recording was dropped"):
        feed(short)


@pytest.mark.parametrize("crop", ["grid", "random"])
def test_pairs_inside_a_gap_of_all_leads_are_counted_and_left_out(tmp_path, crop):
    store = make(tmp_path / "s", records=2, samples=1000, gaps=((0, 550, 700), (1, 10, 20)))
    pairs = feed(store, crop=crop, window_s=0.5, pairs_per_batch=6)
    assert pairs.report.dropped == {"pairs in a gap of all leads": 1}
    assert pairs.report.pairs == 3
    assert pairs.batches(0)[0].lead_mask.all()


def test_leads_that_are_not_fed_are_named_once(tmp_path, caplog):
    one = make(tmp_path / "one", records=2, samples=600, leads=("I", "V7", "V8"))
    other = make(tmp_path / "other", records=3, samples=600, leads=("V8",), seed=2, family="other")
    pairs = feed([one, other])
    assert [record.getMessage() for record in caplog.records] == [
        "leads V7, V8 are in the stores and are not fed"
    ]
    assert pairs.report.dropped == {"none of its leads is fed": 3}
    assert pairs.batches(0)[0].lead_mask.any(0).tolist() == [True] + [False] * 11


def test_the_same_recording_in_two_stores_is_one_person(tmp_path, store):
    copy = make(tmp_path / "copy", records=3, per_patient=1, samples=1000, family="copy")
    pairs = feed([store, copy], pairs_per_batch=20)
    (batch,) = pairs.batches(0)
    assert pairs.report.overlap.duplicates == 3
    # Recordings 0, 1, 2 of the copy are of the persons 0, 0, 1 of the store: 4 persons in all.
    assert set(batch.patient.tolist()) == {0, 1, 2, 3}
    assert Counter(batch.patient.tolist()) == Counter({0: 16, 1: 12, 2: 8, 3: 4})


def test_recordings_can_be_given(store):
    pairs = feed(store, recordings=[(0, 2)], pairs_per_batch=2)
    assert pairs.report.recordings == 1
    assert pairs.report.overlap is None
    assert set(pairs.batches(0)[0].patient.tolist()) == {1}


def test_other_steps_and_other_rates_are_refused(tmp_path, store):
    resampled = make(tmp_path / "r", preparation=Preparation(steps=(Resample(rate_hz=250.0),)), records=2)
    with pytest.raises(StoreError, match="was prepared by other steps"):
        feed([store, resampled])
    slow = make(tmp_path / "slow", records=2, rate_hz=250.0, family="slow", seed=3)
    with pytest.raises(
        StoreError, match="they hold recordings at 250, 500 Hz; prepare them with one Resample"
    ):
        feed([store, slow])


@pytest.mark.parametrize("wrong", [{"window_s": 0.0}, {"pairs_per_batch": 0}, {"micro_batches": 0}])
def test_nothing_to_cut_is_refused(wrong):
    with pytest.raises(ConfigError, match="give a window above 0 s and at least 1 of each"):
        PairFeedConfig(**wrong)


def test_a_persons_recordings_meet_in_a_batch_when_kept_together(tmp_path):
    write_store(
        Synthetic(patients=12, sessions=2, duration_s=2.0),
        None,
        tmp_path / "s",
        preparation=Preparation.default(),
        split=ALL,
    )
    store = Store.open(tmp_path / "s")

    def meetings(pairs):
        """How many persons have both of their recordings in the same batch of 8 pairs, in one epoch."""
        return sum(
            count == 4
            for step in range(3)
            for count in Counter(pairs.batches(step)[0].patient.tolist()).values()
        )

    together = feed(store, pairs_per_batch=8, window_s=1.0, persons_together=True)
    assert meetings(together) == 12
    assert meetings(feed(store, pairs_per_batch=8, window_s=1.0)) < 12
    seen = Counter(p for step in range(6) for p in together.batches(step)[0].patient.tolist())
    assert set(seen.values()) == {8}
    first, second = (together.batches(step)[0].patient.tolist() for step in (0, 3))
    assert first != second  # another order in the next epoch


@pytest.mark.parametrize(
    ("share", "parts"), [("micro_batches", 1), ("micro_batches", 3), ("pairs", 2), ("pairs", 4)]
)
def test_the_parts_of_a_step_are_the_whole_step(store, share, parts):
    pairs = feed(store, micro_batches=3, crop="random", lead_masking=RandomLeadMasking())
    whole = pairs.batches(5)
    got = [pairs.batches_of(5, part=part, parts=parts, share=share) for part in range(parts)]
    rows = {int(row): batch for part in got for batch in part for row in batch.row}
    assert sorted(rows) == list(range(24))
    for batch in whole:
        for place, row in enumerate(batch.row.tolist()):
            part = rows[row]
            there = part.row.tolist().index(row)
            assert torch.equal(part.signal[there], batch.signal[place])
            assert torch.equal(part.lead_mask[there], batch.lead_mask[place])
            assert part.patient[there] == batch.patient[place]


@pytest.mark.parametrize(("share", "said"), [("micro_batches", "3 micro-batches"), ("pairs", "4 pairs")])
def test_parts_that_do_not_come_out_even_are_refused(store, share, said):
    pairs = feed(store, micro_batches=3)
    with pytest.raises(ConfigError, match=f"5 processes cannot share {said} evenly"):
        pairs.batches_of(0, part=0, parts=5, share=share)


@pytest.mark.parametrize("crop", ["grid", "random"])
def test_a_window_that_is_both_of_a_pair_may_be_as_long_as_the_recording(store, crop):
    longest = store.signal(0).shape[1]
    pairs = feed(store, window_s=longest / 500.0, second="same", crop=crop)
    (batch,) = pairs.batches(0)
    assert batch.signal.shape == (8, 12, longest)
    assert torch.equal(batch.signal[::2], batch.signal[1::2])
    with pytest.raises(InputError, match="there is nothing to feed"):
        feed(store, window_s=longest / 500.0, crop=crop)


def test_one_window_has_to_fit_even_so(store):
    longest = store.signal(0).shape[1] / 500.0
    with pytest.raises(InputError, match="there is nothing to feed"):
        feed(store, window_s=2 * longest, second="same")
