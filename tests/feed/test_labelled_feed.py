from collections import Counter

import numpy as np
import pytest
import torch

from anylead.errors import ConfigError, InputError
from anylead.feed import LabelledFeed, LabelledFeedConfig, Lookahead, RandomLeadMasking
from anylead.preparation import Preparation
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Nine recordings of 400 samples, two a person."""
    out = tmp_path_factory.mktemp("labelled") / "s"
    write_store(
        ArraySource(records=9, samples=400),
        None,
        out,
        preparation=Preparation(steps=()),
        split=SplitConfig(test_fraction=0.0, valid_fraction=0.0),
    )
    return Store.open(out)


RECORDINGS = [(0, row) for row in range(1, 9)]
TARGETS = np.eye(9, dtype=np.float32)[1:]


def feed(store, recordings=RECORDINGS, *, seed=0, **options) -> LabelledFeed:
    names = ("window_s", "batch_size", "micro_batches")
    config = {"window_s": 0.2, "batch_size": 4, **{k: options.pop(k) for k in names if k in options}}
    return LabelledFeed([store], recordings, LabelledFeedConfig(**config), seed=seed, **options)


def test_windows_come_with_the_labels_and_person_of_their_recording(store):
    labelled = feed(store, targets=TARGETS, identities=np.arange(100, 108))
    starts = set()
    for step in range(20):
        (batch,) = labelled.batches(step)
        assert batch.signal.shape == (4, 12, 100)
        for place in range(4):
            row = int(batch.target[place].argmax())
            whole = store.signal(row)[0]
            window = batch.signal[place, 0].numpy()
            at = [s for s in range(301) if np.array_equal(whole[s : s + 100], window)]
            assert len(at) == 1
            starts.add(at[0])
            assert int(batch.identity[place]) == 99 + row
            assert int(batch.patient[place]) == row // 2
    # 80 draws of 301 places: about 70 different ones, from both ends.
    assert len(starts) > 55
    assert min(starts) < 30
    assert max(starts) > 270


def test_every_recording_is_seen_equally_often(store):
    labelled = feed(store, targets=TARGETS, batch_size=3)
    seen = [int(row) for step in range(8) for row in labelled.batches(step)[0].target.argmax(1)]
    assert set(Counter(seen).values()) == {3}


def test_micro_batches_are_the_global_batch_in_parts(store):
    masking = RandomLeadMasking()
    whole = feed(store, targets=TARGETS, batch_size=6, lead_masking=masking).batches(5)[0]
    parts = feed(store, targets=TARGETS, batch_size=2, micro_batches=3, lead_masking=masking).batches(5)
    for name in ("signal", "lead_mask", "row", "patient", "target"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_a_short_recording_is_padded(store):
    (batch,) = feed(store, window_s=1.0).batches(0)
    assert batch.signal.shape == (4, 12, 400)
    (batch,) = feed(store, window_s=0.8).batches(0)
    assert batch.signal.shape == (4, 12, 400)


def test_a_lead_set_hides_the_rest_and_masking_keeps_one_of_it(store):
    (batch,) = feed(store, lead_set=("I", "II"), lead_masking=RandomLeadMasking()).batches(0)
    assert not batch.lead_mask[:, 2:].any()
    assert batch.lead_mask.any(1).all()


def test_recordings_without_a_lead_of_the_set_are_counted(tmp_path, store):
    write_store(
        ArraySource(records=2, samples=400, leads=("V1",), seed=3, family="v1"),
        None,
        tmp_path / "v1",
        preparation=Preparation(steps=()),
        split=SplitConfig(),
    )
    stores = [store, Store.open(tmp_path / "v1")]
    labelled = LabelledFeed(
        stores,
        [(1, 0), (0, 3), (1, 1)],
        LabelledFeedConfig(window_s=0.2, batch_size=2),
        seed=0,
        targets=np.array([[1.0], [2.0], [3.0]], dtype=np.float32),
        lead_set=("I", "II"),
    )
    assert labelled.dropped == {"none of its leads is fed": 2}
    assert len(labelled) == 1
    assert labelled.batches(0)[0].target.tolist() == [[2.0], [2.0]]


def test_labels_that_don_t_match_are_refused(store):
    with pytest.raises(InputError, match="got 7 targets for 8 recordings; give one each"):
        feed(store, targets=TARGETS[1:])
    with pytest.raises(InputError, match="got 3 identities for 8 recordings"):
        feed(store, identities=np.arange(3))


def test_nothing_to_feed_is_refused(store):
    with pytest.raises(InputError, match="there is nothing to feed"):
        feed(store, recordings=[])


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="labelled feed: got window_s 5, batch_size 0 and micro_batches 1"):
        LabelledFeedConfig(batch_size=0)


def test_looking_ahead_changes_nothing_but_when(store):
    made = []

    def batches(step):
        made.append(step)
        return labelled.batches(step)

    labelled = feed(store, targets=TARGETS)
    with Lookahead(batches, depth=2) as ahead:
        for step in (0, 1, 2, 7, 3):
            (expected,), (found,) = labelled.batches(step), ahead(step)
            assert torch.equal(expected.signal, found.signal)
            assert torch.equal(expected.target, found.target)
    assert made[:3] == [0, 1, 2]
    assert {0, 1, 2, 3, 7} <= set(made)


def test_an_error_ahead_is_raised_where_its_step_is_asked_for():
    def batches(step):
        if step == 2:
            raise ValueError("step 2 is broken")
        return step

    with Lookahead(batches, depth=3) as ahead:
        assert [ahead(0), ahead(1)] == [0, 1]
        with pytest.raises(ValueError, match="step 2 is broken"):
            ahead(2)
        assert ahead(3) == 3
