"""What is written is what is read, lazily, and a damaged store says so."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from anylead.errors import InputError, StoreError
from anylead.preparation import FillGaps, Preparation, StandardizeLeads
from anylead.store import SplitConfig, Store, require_same_preparation, write_store
from anylead.store import shards as shards_module
from array_source import ArraySource

PREPARATION = Preparation(steps=(FillGaps(),))
SPLIT = SplitConfig(test_fraction=0.3, valid_fraction=0.2)


def make(out, source=None, **options) -> Store:
    options = {"preparation": PREPARATION, "split": SPLIT, "shard_records": 5, **options}
    write_store(source or ArraySource(), None, out, **options)
    return Store.open(out)


def test_every_recording_comes_back_whole_and_in_parts(tmp_path):
    source = ArraySource(gaps=((3, 100, 400),))
    store = make(tmp_path / "s", source)
    assert len(store) == 12
    for i, ref in enumerate(source.scan(tmp_path)):
        expected = source.load(ref)
        record = store.record(i)
        np.testing.assert_allclose(record.signal, expected.signal, atol=1e-6)
        assert (record.leads, record.sampling_rate_hz) == (expected.leads, 500.0)
        assert (record.record_id, record.patient_id) == (ref.record_id, ref.patient_id)
        np.testing.assert_array_equal(store.signal(i, 90, 33), record.signal[:, 90:123])
    assert np.isnan(store.record(3).signal).sum() == 12 * 300
    assert "missing:V3" in store.record(3).flags
    assert store.index.schema.names == [
        "record_id", "patient_id", "source", "recorded_at", "fold", "leads", "sampling_rate_hz", "samples",
        "labels", "labelled", "unknown_labels", "flags", "hash", "age_years", "sex", "split", "shard", "row",
        "lead_set",
    ]  # fmt: skip
    assert store.column("labels")[1] == ["164889003", "270492004"]


def test_opening_reads_no_signal_and_a_window_not_its_neighbours(tmp_path, monkeypatch):
    make(tmp_path / "s")
    opened = []
    original = shards_module.Shard.__init__
    monkeypatch.setattr(
        shards_module.Shard,
        "__init__",
        lambda self, path: (opened.append(path.name), original(self, path))[1],
    )
    store = Store.open(tmp_path / "s")
    assert opened == []
    store.signal(7, 0, 10)
    store.signal(8, 0, 10)
    assert opened == ["shard-00001.arrow"]


def test_signals_are_views_of_the_map(tmp_path):
    store = make(tmp_path / "s")
    store.signal(0)
    before = pa.total_allocated_bytes()
    counts, _ = store._shard(0).counts(0)
    assert not counts.flags.owndata
    assert pa.total_allocated_bytes() == before


def test_long_recordings_are_written_in_several_batches(tmp_path, monkeypatch):
    whole = make(tmp_path / "whole")
    monkeypatch.setattr(shards_module, "BATCH_COUNTS", 100_000)
    parts = make(tmp_path / "parts")
    assert len(parts._shard(0)._batches) > 2
    for i in range(len(whole)):
        np.testing.assert_array_equal(parts.signal(i), whole.signal(i))
    assert parts.index.equals(whole.index)


def test_a_store_travels_to_another_process_by_its_path(tmp_path):
    store = make(tmp_path / "s")
    store.signal(0)
    payload = pickle.dumps(store)
    assert len(payload) < 1000
    np.testing.assert_array_equal(pickle.loads(payload).signal(4), store.signal(4))


def test_splits_are_disjoint_and_complete(tmp_path):
    store = make(tmp_path / "s")
    rows = [store.split_indices(split) for split in ("train", "valid", "test")]
    assert sorted(np.concatenate(rows)) == list(range(12))
    patients = [{store.column("patient_id")[i] for i in part} for part in rows]
    assert [len(part) for part in patients] == [3, 1, 2]
    assert len(set.union(*patients)) == 6


def test_persons_with_an_identical_recording_share_a_split_and_are_counted(tmp_path):
    store = make(tmp_path / "s", ArraySource(records=20, copies=((6, 0), (14, 7))))
    split = dict(zip(store.column("record_id"), store.column("split"), strict=True))
    assert split["r0000"] == split["r0006"] == split["r0007"] == split["r0014"]
    counts = store.manifest.counts
    assert counts["patients"] == 10
    assert counts["persons"] == 8
    assert counts["patients_linked_by_identical_recordings"] == 2
    assert counts["identical_recordings"] == 2


def test_samples_out_of_range_are_refused(tmp_path):
    store = make(tmp_path / "s")
    with pytest.raises(InputError, match="recording r0000 has samples 0 to 4999; samples 4990 to 5009 were"):
        store.signal(0, 4990, 20)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no split 'dev'; there are train, valid, test"):
        make(tmp_path / "s").split_indices("dev")


def test_several_rates_are_refused_where_one_is_needed(tmp_path):
    store = make(tmp_path / "s")
    column = store.index.schema.get_field_index("sampling_rate_hz")
    index = store.index.set_column(column, "sampling_rate_hz", pa.array([500.0] * 11 + [250.0]))
    with pytest.raises(StoreError, match="have 250, 500 Hz; prepare the store with a Resample step"):
        Store(store.path, store.manifest, index).sampling_rate_hz


def test_stores_of_other_steps_are_not_used_together(tmp_path):
    one = make(tmp_path / "one")
    other = make(tmp_path / "other", preparation=Preparation(steps=(StandardizeLeads(),)))
    require_same_preparation([one, one])
    with pytest.raises(StoreError, match="was prepared by other steps than"):
        require_same_preparation([one, other])
    with pytest.raises(InputError, match="stores: got none"):
        require_same_preparation([])


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="so this is not a store; give a folder made by anylead prepare"):
        Store.open(tmp_path)


def test_an_unfinished_store_is_refused(tmp_path):
    make(tmp_path / "s")
    (tmp_path / "s" / "store.json").rename(tmp_path / "s" / "preparing.json")
    with pytest.raises(StoreError, match="did not finish; run the same prepare command again"):
        Store.open(tmp_path / "s")


def edit_manifest(out, **changes):
    path = out / "store.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **changes}))


def test_a_newer_format_is_refused(tmp_path):
    make(tmp_path / "s")
    edit_manifest(tmp_path / "s", format=2, something="new")
    with pytest.raises(
        StoreError, match="the store has the newer format 2, this anylead reads up to 1; update"
    ):
        Store.open(tmp_path / "s")


def test_a_damaged_manifest_is_refused(tmp_path):
    make(tmp_path / "s")
    edit_manifest(tmp_path / "s", shards="three")
    with pytest.raises(
        StoreError, match=r"store.json.shards: got 'three'.* The store is damaged: prepare it again"
    ):
        Store.open(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store.json: cannot be read \("):
        Store.open(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text("[1]")
    with pytest.raises(StoreError, match=r"store.json: holds list, not an object"):
        Store.open(tmp_path / "s")


def test_a_missing_or_foreign_index_is_refused(tmp_path):
    make(tmp_path / "s")
    edit_manifest(tmp_path / "s", counts={"recordings": 13})
    with pytest.raises(StoreError, match="the index does not belong to the manifest"):
        Store.open(tmp_path / "s")
    (tmp_path / "s" / "index.parquet").write_bytes(b"no parquet")
    with pytest.raises(StoreError, match=r"index.parquet: the index cannot be read"):
        Store.open(tmp_path / "s")


def test_missing_and_damaged_shards_are_refused(tmp_path):
    store = make(tmp_path / "s")
    shard = tmp_path / "s" / "shards" / "shard-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"shard-00002.arrow: the shard cannot be read"):
        store.signal(11)
    other = pa.table({"x": [1]})
    with pa.OSFile(str(shard), "wb") as sink, pa.ipc.new_file(sink, other.schema) as writer:
        writer.write_table(other)
    with pytest.raises(StoreError, match="the columns are not those of a shard"):
        store.signal(11)
    shard.unlink()
    with pytest.raises(StoreError, match=r"1 of 3 shards are missing, the first is shard-00002.arrow"):
        Store.open(tmp_path / "s")


def test_a_patient_in_two_splits_is_noticed_at_opening(tmp_path):
    import pyarrow.parquet as pq

    store = make(tmp_path / "s")
    splits = store.column("split").copy()
    splits[0] = "test" if splits[0] != "test" else "train"
    index = pq.read_table(tmp_path / "s" / "index.parquet")
    column = index.schema.get_field_index("split")
    pq.write_table(index.set_column(column, "split", pa.array(splits)), tmp_path / "s" / "index.parquet")
    with pytest.raises(StoreError, match="patient array:0 is in the"):
        Store.open(tmp_path / "s")


def test_manifest_says_what_it_was_made_of(tmp_path):
    manifest = make(tmp_path / "s", ArraySource(broken=(1,))).manifest
    assert manifest.format == 1
    assert manifest.source == "array"
    assert manifest.source_options["broken"] == [1]
    assert Preparation.from_plain(manifest.preparation) == PREPARATION
    assert manifest.preparation_fingerprint == PREPARATION.fingerprint()
    assert manifest.patients_known
    assert manifest.split == SPLIT
    assert manifest.counts["recordings"] == 11
    assert manifest.counts["rejected"] == 1
    assert manifest.counts["unknown_labels"] == {"what": 3}
    assert sum(part["recordings"] for part in manifest.counts["splits"].values()) == 11
    assert replace(manifest) == manifest
