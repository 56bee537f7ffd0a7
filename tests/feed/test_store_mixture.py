"""Several stores in one feed: in given proportions, each with its own leads."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from anylead.errors import ConfigError, InputError, LeadError
from anylead.feed import LabelledFeed, LabelledFeedConfig, PairFeed, PairFeedConfig, RandomLeadMasking
from anylead.feed.lead_sets import restrict_rows, shown_leads, store_lead_sets
from anylead.feed.order import EpochOrder
from anylead.feed.targets import carried_classes
from anylead.leads import STANDARD_12
from anylead.preparation import FillGaps, Preparation
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource

WEIGHTS = (2.0, 1.0)


def make(out, **options) -> Store:
    write_store(
        ArraySource(samples=1000, **options),
        None,
        out,
        preparation=Preparation(steps=(FillGaps(),)),
        split=SplitConfig(test_fraction=0.0, valid_fraction=0.0),
    )
    return Store.open(out)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Seven and four recordings of two pairs each; persons 0 to 3, and 4 and 5."""
    folder = tmp_path_factory.mktemp("mixture")
    return [make(folder / "a", records=7), make(folder / "b", records=4, seed=1, family="b")]


def feed(stores, *, store_weights=WEIGHTS, store_leads=(), lead_masking=None, seed=0, **config) -> PairFeed:
    return PairFeed(
        stores,
        PairFeedConfig(**{"window_s": 0.5, "pairs_per_batch": 6, **config}),
        seed=seed,
        lead_masking=lead_masking,
        store_weights=store_weights,
        store_leads=store_leads,
    )


def store_of(batch) -> np.ndarray:
    """The store of each pair of a batch."""
    return (batch.patient[::2].numpy() >= 4).astype(int)


def key(batch, pair):
    return batch.signal[2 * pair, 0, :8].numpy().tobytes()


def test_every_step_has_the_stores_in_their_proportions(stores):
    pairs = feed(stores, micro_batches=2)
    for step in range(20):
        for batch in pairs.batches(step):
            assert np.bincount(store_of(batch)).tolist() == [4, 2]
    assert [(one.store, one.pairs, one.segments_per_step) for one in pairs.report.stores] == [
        (str(stores[0].path), 14, 16.0),
        (str(stores[1].path), 8, 8.0),
    ]
    # The second store's 8 pairs take 24, the first's 14 only 21.
    assert pairs.report.pairs_per_epoch == 24
    assert pairs.steps_per_epoch == 2.0


def test_no_pair_comes_again_before_all_of_its_store_were_seen(stores):
    pairs = feed(stores)
    seen: dict[int, list] = {0: [], 1: []}
    for step in range(14):
        (batch,) = pairs.batches(step)
        for pair, store in enumerate(store_of(batch)):
            seen[store].append(key(batch, pair))
    for store, held in ((0, 14), (1, 8)):
        for start in range(0, len(seen[store]) - held + 1, held):
            assert len(set(seen[store][start : start + held])) == held


@pytest.mark.parametrize(("share", "parts"), [("micro_batches", 2), ("pairs", 3)])
def test_processes_share_out_the_step_that_one_makes(stores, share, parts):
    masking = RandomLeadMasking()
    pairs = feed(stores, micro_batches=2, lead_masking=masking, store_leads=(None, ("I", "II")))
    pairs.batches(9)
    whole = {
        int(row): batch.signal[place]
        for batch in feed(stores, micro_batches=2, lead_masking=masking).batches(4)
        for place, row in enumerate(batch.row)
    }
    got = [b for part in range(parts) for b in pairs.batches_of(4, part=part, parts=parts, share=share)]
    rows = [int(row) for batch in got for row in batch.row]
    assert sorted(rows) == sorted(whole) == list(range(24))
    for batch in got:
        assert all(torch.equal(batch.signal[place], whole[int(row)]) for place, row in enumerate(batch.row))


def test_without_weights_all_pairs_are_shuffled_together_as_before(stores):
    pairs = feed(stores, store_weights=())
    (batch,) = pairs.batches(1)
    expected = EpochOrder(22, seed=0).at(6, 6)
    for pair, number in enumerate(expected.tolist()):
        store, row, start = (0, number // 2, number % 2) if number < 14 else (1, number // 2 - 7, number % 2)
        whole = stores[store].signal(row, 500 * start, 250)
        assert np.array_equal(batch.signal[2 * pair].numpy(), whole)
    assert pairs.report.pairs_per_epoch == pairs.report.pairs == 22
    assert [one.segments_per_step for one in pairs.report.stores] == pytest.approx(
        [12 * 14 / 22, 12 * 8 / 22]
    )


def test_weights_of_another_number_of_stores_are_refused(stores):
    with pytest.raises(ConfigError, match="store weights: got 1, 1, 1 for 2 stores"):
        feed(stores, store_weights=(1.0, 1.0, 1.0))


def test_a_store_that_gives_no_pair_is_refused(stores, tmp_path):
    empty = make(tmp_path / "v7", records=2, leads=("V7",), seed=2, family="v7")
    with pytest.raises(InputError, match="store 2 of 2 has a weight and nothing to feed"):
        feed([stores[0], empty])


def test_a_store_shows_its_own_leads_and_masking_leaves_one_of_them(stores):
    (batch,) = feed(stores, store_leads=(None, ("II", "V2"))).batches(0)
    second = np.repeat(store_of(batch), 2) == 1
    assert batch.lead_mask[~second].all()
    shown = [STANDARD_12.index("II"), STANDARD_12.index("V2")]
    assert batch.lead_mask[second].sum(0).nonzero()[:, 0].tolist() == shown
    (masked,) = feed(
        stores, store_leads=(None, ("II", "V2")), lead_masking=RandomLeadMasking(probability=0.9)
    ).batches(0)
    assert masked.lead_mask.any(1).all()
    assert not masked.lead_mask[second][:, [0, 2, 11]].any()


def test_recordings_without_a_lead_that_their_store_shows_are_counted(stores, tmp_path):
    limbs = make(tmp_path / "limbs", records=3, leads=("I", "II"), seed=3, family="limbs")
    pairs = feed([stores[0], limbs], store_weights=(), store_leads=(None, ("V1",)))
    assert pairs.report.dropped == {"none of its leads is fed": 3}
    labelled = LabelledFeed(
        [stores[0], limbs],
        [(0, 0), (1, 0), (0, 1)],
        LabelledFeedConfig(window_s=0.5, batch_size=2),
        seed=0,
        store_leads=(("I", "II"), ("V1",)),
    )
    assert labelled.dropped == {"none of its leads is fed": 1}
    assert labelled.batches(0)[0].lead_mask.sum(1).tolist() == [2, 2]


def test_a_gap_of_all_leads_that_are_shown_is_a_gap(tmp_path):
    store = make(tmp_path / "gap", records=2, gaps=((0, 550, 700),))
    assert feed([store], store_weights=(), store_leads=(("I",),)).report.dropped == {
        "pairs in a gap of all leads": 1
    }


def test_labelled_recordings_keep_unknown_targets(stores):
    nan = float("nan")
    targets = np.array([[1, nan], [nan, 0], [0, 1]], dtype=np.float32)
    labelled = LabelledFeed(
        stores,
        [(0, 0), (1, 0), (1, 2)],
        LabelledFeedConfig(window_s=0.5, batch_size=3),
        seed=0,
        targets=targets,
        store_leads=(None, ("I",)),
    )
    (batch,) = labelled.batches(0)
    rows = {
        str(row.tolist()): int(mask.sum()) for row, mask in zip(batch.target, batch.lead_mask, strict=True)
    }
    assert rows == {"[1.0, nan]": 12, "[nan, 0.0]": 1, "[0.0, 1.0]": 1}


def test_lead_sets_of_stores_are_read():
    assert store_lead_sets((), 2) == (None, None)
    assert store_lead_sets(("all", "II,V2"), 2) == (None, ("II", "V2"))
    assert store_lead_sets(("2",), 1) == (("I", "II"),)
    with pytest.raises(ConfigError, match="store leads: got 1 for 2 stores; give one for each store"):
        store_lead_sets(("all",), 2)


def test_a_store_that_would_show_nothing_is_refused():
    assert shown_leads(("I", "II"), [None, ("II",)]) == [("I", "II"), ("II",)]
    with pytest.raises(
        LeadError, match="store leads: store 2 is to show V1, V2, and none of these is fed; name some"
    ):
        shown_leads(("I", "II"), [None, ("V1", "V2")])


def test_a_batch_that_shows_everything_is_the_batch(stores):
    (batch,) = feed(stores).batches(0)
    assert restrict_rows(batch, [STANDARD_12, STANDARD_12], np.zeros(12, dtype=np.int64)) is batch


def test_classes_that_a_store_carries(stores):
    classes = [("426783006",), ("x",), ("x", "270492004")]
    assert carried_classes(stores, classes).tolist() == [[True, False, True]] * 2


def test_persons_stay_together_within_their_store(stores):
    pairs = feed(stores, persons_together=True, pairs_per_batch=22)
    (batch,) = pairs.batches(0)
    own = [int(person) for person in batch.patient[::2] if person < 4]
    changes = sum(a != b for a, b in pairwise(own))
    assert changes <= len(Counter(own))
