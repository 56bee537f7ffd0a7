"""Files to a table of embeddings."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb
from downstream_setup import make_bundle

import anylead
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.embedding_table import read_embedding_table
from anylead.formats.writers import write
from anylead.preparation import Preparation
from anylead.record import Record
from anylead.sources.files import Files
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows.embed import EmbedConfig, embed


def write_recording(folder, name: str, leads: list[str], seconds: float = 6.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(len(name)).normal(0, 0.2, (round(500 * seconds), len(leads)))
    wfdb.wrsamp(
        name, fs=500, units=["mV"] * len(leads), sig_name=leads, p_signal=samples, fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads), baseline=[0] * len(leads), write_dir=str(folder),
    )  # fmt: skip


@pytest.fixture
def place(tmp_path):
    make_bundle(tmp_path / "bundle")
    write_recording(tmp_path, "one", ["I", "II", "Resp"])
    write_recording(tmp_path, "three", ["II", "V1"], 1.0)
    (tmp_path / "two.hea").write_text("nonsense")
    return tmp_path


def test_every_recording_gets_a_row_and_a_bad_file_stops_nobody(place):
    files = tuple(place / f"{name}.hea" for name in ("one", "two", "three"))
    summary = embed(EmbedConfig(bundle=place / "bundle", files=files, out=place / "e.parquet"))
    assert summary.embedded == 2
    assert [path.name for path, _ in summary.failed] == ["two.hea"]
    assert "two" in summary.failed[0][1]
    table = pq.read_table(place / "e.parquet")
    model = anylead.load(place / "bundle")
    rows = table.to_pylist()
    assert [row["record_id"] for row in rows] == ["one", "three"]
    assert [row["leads"] for row in rows] == [["I", "II"], ["II", "V1"]]
    assert rows[0]["path"] == str(files[0])
    for row, file in zip(rows, (files[0], files[2]), strict=True):
        np.testing.assert_allclose(row["embedding"], model.embed(file)[0], atol=1e-6)
    assert table.schema.field("embedding").type.list_size == 16
    assert json.loads(table.schema.metadata[b"anylead"])["bundle"] == model.fingerprint()


def test_leads_may_be_chosen_and_those_without_them_fail(place):
    files = (place / "one.hea", place / "three.hea")
    summary = embed(EmbedConfig(bundle=place / "bundle", files=files, out=place / "e.parquet", leads=("I",)))
    assert [path.name for path, _ in summary.failed] == ["three.hea"]
    row = pq.read_table(place / "e.parquet").to_pylist()[0]
    assert row["leads"] == ["I"]
    expected = anylead.load(place / "bundle").embed(files[0], leads=("I",))[0]
    np.testing.assert_allclose(row["embedding"], expected, atol=1e-6)


def test_where_all_fail_nothing_is_written(place):
    config = EmbedConfig(bundle=place / "bundle", files=(place / "two.hea",), out=place / "e.parquet")
    assert embed(config).out is None
    assert not (place / "e.parquet").exists()


def test_no_file_is_a_mistake(place):
    with pytest.raises(ConfigError, match="embed: got no file"):
        EmbedConfig(bundle=place / "bundle", files=(), out=place / "e.parquet")


@pytest.fixture
def stored(place):
    """The recordings of `place` and more, as a store and as the folder it was made of."""
    folder = place / "folder"
    for name, leads, seconds in (("a", ["I", "II", "V3"], 25.0), ("b", ["II", "V1"], 6.0), ("c", ["I"], 6.0)):
        write_recording(folder / "sub", name, leads, seconds)
    (folder / "notes.txt").write_text("no recording")
    write_store(
        Files(),
        folder,
        place / "store",
        preparation=Preparation.default(),
        split=SplitConfig(valid_fraction=0.0),
    )
    return folder, place / "store"


def table_of(place, *files, **how):
    summary = embed(EmbedConfig(bundle=place / "bundle", files=files, out=place / "e.parquet", **how))
    return summary, {row["record_id"]: row for row in pq.read_table(place / "e.parquet").to_pylist()}


def test_a_recording_gives_the_same_vector_from_its_file_and_from_the_store(place, stored):
    folder, store = stored
    summary, by_store = table_of(place, store)
    assert (summary.embedded, summary.failed) == (3, ())
    files, by_folder = table_of(place, folder)
    assert [path.name for path, _ in files.failed] == ["notes.txt"]
    assert list(by_store) == list(by_folder) == ["sub/a", "sub/b", "sub/c"]
    for name, row in by_store.items():
        np.testing.assert_allclose(row["embedding"], by_folder[name]["embedding"], atol=2e-3)
        assert row["leads"] == by_folder[name]["leads"]
        assert row["patient_id"] == by_folder[name]["patient_id"] or by_folder[name]["patient_id"] is None
    assert not np.allclose(by_store["sub/a"]["embedding"], by_store["sub/b"]["embedding"], atol=1e-2)


def test_rows_of_a_store_say_what_the_store_knows(place, stored):
    _, store = stored
    _, rows = table_of(place, store, place / "one.hea")
    opened = Store.open(store)
    for number, name in enumerate(opened.column("record_id")):
        assert rows[name]["path"] == str(store)
        for column in ("patient_id", "split", "source", "labels"):
            assert rows[name][column] == opened.column(column)[number]
    assert (rows["one"]["split"], rows["one"]["source"]) == (None, None)
    table = read_embedding_table(place / "e.parquet")
    assert table.record_ids == ("one", *opened.column("record_id"))


@pytest.mark.parametrize("which", [0, 1], ids=["folder", "store"])
def test_windows_of_several_recordings_share_a_batch(place, stored, monkeypatch, which):
    source = stored[which]
    sizes = []
    model = anylead.load(place / "bundle")
    read_batch = model.reader()

    def reader():
        return lambda batch: (sizes.append(len(batch.signal)), read_batch(batch))[1]

    monkeypatch.setattr(model, "reader", reader)
    monkeypatch.setattr("anylead.workflows.embed.load", lambda path: model)
    table_of(place, source)
    assert sizes == [9]


def test_a_recording_of_a_store_without_the_leads_asked_for_fails_alone(place, stored):
    _, store = stored
    summary, rows = table_of(place, store, leads=("II",))
    assert list(rows) == ["sub/a", "sub/b"]
    assert rows["sub/a"]["leads"] == ["II"]
    ((path, reason),) = summary.failed
    assert path == store / "sub" / "c"
    assert "record sub/c: lead II is not recorded; it has I." in reason


def test_a_store_of_other_steps_is_refused(place, stored):
    folder, _ = stored
    write_store(
        Files(), folder, place / "other", preparation=Preparation.default(rate_hz=250.0), split=SplitConfig()
    )
    with pytest.raises(StoreError, match="the store was prepared by other steps than this bundle's"):
        table_of(place, place / "other")


def test_a_recording_of_a_store_that_no_encoder_can_read_is_named(place):
    write_recording(place / "odd", "unknown", ["Resp"])
    write_recording(place / "odd", "short", ["I"], 0.02)
    write_recording(place / "odd", "good", ["I"])
    signal = np.random.default_rng(0).normal(0, 0.2, (2, 10000)).astype(np.float32)
    signal[:, 1000:3000] = signal[:, 6000:8000] = np.nan  # a gap in each window
    write(Record(signal=signal, leads=("II", "V2"), sampling_rate_hz=500.0), place / "odd" / "gaps.csv")
    write_store(Files(), place / "odd", place / "s", preparation=Preparation.default(), split=SplitConfig())
    summary, rows = table_of(place, place / "s")
    reasons = {path.name: reason for path, reason in summary.failed}
    assert list(rows) == ["good"]
    assert "none of its leads (Resp) is known to the encoder" in reasons["unknown"]
    assert "10 samples are too few for the encoder; it needs 1 s or more" in reasons["short"]
    assert "no window of 5 s has a complete lead; prepare it with fewer gaps" in reasons["gaps.csv"]
