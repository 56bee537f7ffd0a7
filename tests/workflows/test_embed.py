"""Files to a table of embeddings."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb
from downstream_setup import make_bundle

import anylead
from anylead.errors import ConfigError
from anylead.workflows.embed import EmbedConfig, embed


def write_recording(folder, name: str, leads: list[str], seconds: float = 6.0) -> None:
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
