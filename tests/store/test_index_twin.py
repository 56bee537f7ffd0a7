"""The Arrow twin of the index: made once, mapped, made anew when it is stale, holding the quality."""

import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anylead.preparation import FillGaps, Preparation
from anylead.store import SplitConfig, Store, write_store
from anylead.store.layout import INDEX, INDEX_SCHEMA, LEAD_SET, QUALITY, TWIN
from anylead.store.open_files import room_for_files
from anylead.store.quality_table import QUALITY_SCHEMA, write_quality
from array_source import ArraySource


@pytest.fixture
def path(tmp_path):
    write_store(
        ArraySource(samples=200),
        None,
        tmp_path / "s",
        preparation=Preparation(steps=(FillGaps(),)),
        split=SplitConfig(),
        shard_records=5,
    )
    return tmp_path / "s"


def measured(store: Store) -> pa.Table:
    columns = {
        field.name: pa.array(np.arange(len(store)) / 10, field.type)
        for field in QUALITY_SCHEMA
        if field.type == pa.float32()
    }
    names = store.column("record_id")
    return pa.table(
        columns
        | {"record_id": names, "duplicate_of": [None] * len(names), "faults": [["flat:V1"]] * len(names)}
    ).select(QUALITY_SCHEMA.names)


def test_prepare_makes_it_and_opening_leaves_it_alone(path):
    before = (path / TWIN).stat().st_mtime_ns
    index = Store.open(path).index
    assert (path / TWIN).stat().st_mtime_ns == before
    assert index.select(INDEX_SCHEMA.names).equals(pq.read_table(path / INDEX))


def test_it_is_mapped_and_not_read(path):
    before = pa.total_allocated_bytes()
    index = Store.open(path).index
    assert len(index) == 12
    assert pa.total_allocated_bytes() - before < index.nbytes / 4


@pytest.mark.parametrize("damage", ["missing", "cut", "of another index"])
def test_a_stale_twin_is_made_anew(path, damage):
    expected = Store.open(path).index
    if damage == "missing":
        (path / TWIN).unlink()
    elif damage == "cut":
        start = (path / TWIN).read_bytes()[:100]
        (path / TWIN).unlink()  # another file, because this one is mapped
        (path / TWIN).write_bytes(start)
    else:
        index = pq.read_table(path / INDEX)
        ages = pa.array(np.arange(12.0))
        pq.write_table(
            index.set_column(index.schema.get_field_index("age_years"), "age_years", ages), path / INDEX
        )
        expected = expected.set_column(expected.schema.get_field_index("age_years"), "age_years", ages)
    store = Store.open(path)
    assert store.index.equals(expected)
    assert pa.ipc.open_file(path / TWIN).read_all().equals(expected)


def test_a_copied_store_opens(path, tmp_path):
    shutil.copytree(path, tmp_path / "copy", copy_function=shutil.copyfile)
    assert Store.open(tmp_path / "copy").index.equals(Store.open(path).index)


def test_where_it_cannot_be_written_the_index_is_kept_in_memory(path, monkeypatch, caplog):
    expected = Store.open(path).index
    (path / TWIN).unlink()

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("anylead.provenance.tempfile.mkstemp", refuse)
    with caplog.at_level("INFO", logger="anylead"):
        assert Store.open(path).index.equals(expected)
    assert "the index is kept in memory" in caplog.text
    assert not (path / TWIN).exists()


def test_leads_are_stored_once_for_each_set(path):
    store = Store.open(path)
    assert store.lead_sets == [store.leads[0]]
    assert store.lead_set_numbers.tolist() == [0] * 12
    assert len(store.index.column(LEAD_SET).chunk(0).dictionary) == 1


def test_the_quality_becomes_columns_of_the_index(path):
    store = Store.open(path)
    assert "faults" not in store.index.schema.names
    write_quality(store, measured(store))
    again = Store.open(path)
    assert again.index.schema.names == [
        *INDEX_SCHEMA.names,
        LEAD_SET,
        *(name for name in QUALITY_SCHEMA.names if name != "record_id"),
    ]
    assert again.column("faults") == [["flat:V1"]] * 12
    assert again.numbers("flat_share")[3] == np.float32(0.3)


@pytest.mark.parametrize(
    ("content", "said"), [("another store", "measured of another store"), ("x", "cannot be read")]
)
def test_a_quality_that_is_not_of_this_store_is_left_out(path, caplog, content, said):
    store = Store.open(path)
    write_quality(store, measured(store))
    if content == "x":
        (path / QUALITY).write_text("x")
    else:
        pq.write_table(
            pq.read_table(path / QUALITY).replace_schema_metadata({b"anylead.store": b"0"}), path / QUALITY
        )
    with caplog.at_level("WARNING", logger="anylead"):
        assert "faults" not in Store.open(path).index.schema.names
    assert said in caplog.text


def test_more_shards_than_files_may_be_open(path):
    store = Store.open(path)
    store._shards_at_once = 1
    expected = [Store.open(path).signal(row) for row in range(12)]
    for row in (0, 11, 5, 0, 7):
        np.testing.assert_array_equal(store.signal(row), expected[row])
    assert len(store._shards) == 1


def test_the_limit_of_open_files_is_raised_and_kept_to():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert room_for_files(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1256
        assert room_for_files(10**9) == hard - 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_store_travels_to_another_process_by_its_path(path):
    import pickle

    store = pickle.loads(pickle.dumps(Store.open(path)))
    assert os.fspath(store.path) == os.fspath(path)
