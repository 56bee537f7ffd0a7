import numpy as np
import pytest
import torch

from anylead.errors import InputError, LeadError
from anylead.feed import collate, restrict_leads
from anylead.feed.collate import collate_stored
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation
from anylead.store import SplitConfig, Store, write_store
from array_source import ArraySource


def test_segments_land_in_their_columns_padded_on_the_right():
    rng = np.random.default_rng(0)
    long = rng.normal(size=(2, 8)).astype(np.float32)
    short = rng.normal(size=(3, 5)).astype(np.float32)
    batch = collate(
        [(long, ("V1", "I")), (short, ("I", "X", "II"))], leads=("I", "II", "V1"), sampling_rate_hz=500.0
    )
    assert batch.signal.shape == (2, 3, 8)
    assert batch.padded
    assert batch.lead_mask.tolist() == [[True, False, True], [True, True, False]]
    assert batch.sample_mask.sum(1).tolist() == [8, 5]
    assert batch.sample_mask[1].tolist() == [True] * 5 + [False] * 3
    np.testing.assert_array_equal(batch.signal[0, [2, 0]].numpy(), long)
    np.testing.assert_array_equal(batch.signal[1, :2, :5].numpy(), short[[0, 2]])
    assert batch.signal[0, 1].abs().sum() == 0


def test_equal_lengths_promise_no_padding():
    segment = (np.ones((12, 10), dtype=np.float32), STANDARD_12)
    batch = collate([segment] * 3, leads=STANDARD_12, sampling_rate_hz=500.0)
    assert not batch.padded
    assert batch.sample_mask.all()
    assert batch.row.tolist() == batch.patient.tolist() == [0, 1, 2]


@pytest.mark.parametrize("names", [STANDARD_12, STANDARD_12[::-1]])
def test_a_lead_with_a_gap_is_absent_in_this_segment_only(names):
    whole = np.ones((12, 10), dtype=np.float32)
    gap = whole.copy()
    gap[3, 4] = np.nan
    batch = collate([(whole, names), (gap, names)], leads=STANDARD_12, sampling_rate_hz=500.0)
    lead = STANDARD_12.index(names[3])
    assert batch.lead_mask[0].all()
    assert batch.lead_mask[1].tolist() == [column != lead for column in range(12)]
    assert torch.isfinite(batch.signal).all()


def test_numbers_and_labels_come_along():
    segment = (np.ones((1, 4), dtype=np.float32), ("I",))
    batch = collate(
        [segment] * 2,
        leads=("I",),
        sampling_rate_hz=500.0,
        rows=[6, 7],
        patients=[3, 3],
        segment=[0, 1],
        target=np.array([[0, 1], [1, 0]], dtype=np.float32),
        identity=[5, 5],
    )
    assert batch.row.tolist() == [6, 7]
    assert batch.patient.tolist() == [3, 3]
    assert batch.segment.tolist() == [0, 1]
    assert batch.target.tolist() == [[0, 1], [1, 0]]
    assert batch.identity.tolist() == [5, 5]


def test_no_segment_is_refused():
    with pytest.raises(InputError, match="collate: got no segment; a batch needs at least one"):
        collate([], leads=("I",), sampling_rate_hz=500.0)


def test_a_lead_set_makes_the_others_absent_and_never_brings_one_back():
    segment = (np.ones((2, 4), dtype=np.float32), ("I", "V1"))
    batch = collate([segment], leads=STANDARD_12, sampling_rate_hz=500.0)
    seen = restrict_leads(batch, ("I", "II"))
    assert seen.leads == STANDARD_12
    assert seen.lead_mask.nonzero().tolist() == [[0, 0]]


def test_a_lead_set_of_strangers_is_refused():
    batch = collate([(np.ones((1, 4), dtype=np.float32), ("I",))], leads=("I", "II"), sampling_rate_hz=500.0)
    with pytest.raises(LeadError, match="none of the leads X, Y is a column; it has I, II"):
        restrict_leads(batch, ("X", "Y"))


@pytest.mark.parametrize("leads", [STANDARD_12, ("V2", "I"), ("I", "II", "III"), ("Vx", "aVR")])
@pytest.mark.parametrize("recorded", [STANDARD_12, STANDARD_12[::-1], ("II", "V2")])
def test_out_of_a_store_a_batch_is_the_same_as_of_its_signals(tmp_path, leads, recorded):
    source = ArraySource(records=6, samples=400, leads=recorded, gaps=((2, 100, 120), (3, 350, 400)))
    write_store(source, None, tmp_path / "s", preparation=Preparation(steps=()), split=SplitConfig())
    store = Store.open(tmp_path / "s")
    # A lead beyond +-32.767 mV has another scale than the others; here one is said to.
    scales = store._shard(0)._scales[0][1].copy()
    scales[1::5] *= 3
    store._shard(0)._scales[0] = (store._shard(0)._scales[0][0], scales)
    segments = [(0, row, start, length) for row in range(6) for start, length in ((0, 200), (90, 150))]
    got = collate_stored(
        [store], segments, leads=leads, sampling_rate_hz=500.0, rows=np.arange(12)[::-1].copy()
    )
    signals = [(store.signal(row, start, length), store.leads[row]) for _, row, start, length in segments]
    expected = collate(signals, leads=leads, sampling_rate_hz=500.0, rows=np.arange(12)[::-1].copy())
    for name in ("signal", "lead_mask", "sample_mask", "row", "patient", "segment"):
        assert torch.equal(getattr(got, name), getattr(expected, name)), name
    assert got.padded == expected.padded is True
