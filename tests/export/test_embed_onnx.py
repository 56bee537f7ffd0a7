"""embed --runtime onnx: the same table, by the file instead of by torch."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb

import anylead
from anylead.cli import main
from anylead.errors import ConfigError, FileError
from anylead.workflows.embed import EmbedConfig, embed
from onnx_files import make_bundle, without_packages

pytestmark = pytest.mark.slow


@pytest.fixture
def recordings(tmp_path):
    """Twelve leads at the bundle's rate, two at another, and one shorter than a window."""
    random = np.random.default_rng(0)
    for name, leads, seconds, rate in (
        ("twelve", list(anylead.leads.STANDARD_12), 12.0, 500),
        ("two", ["I", "II"], 6.0, 250),
        ("short", ["V1", "Resp"], 1.5, 500),
    ):
        signal = 0.3 * random.standard_normal((round(seconds * rate), len(leads)))
        wfdb.wrsamp(
            name, fs=rate, units=["mV"] * len(leads), sig_name=leads, p_signal=signal,
            fmt=["16"] * len(leads), adc_gain=[1000.0] * len(leads), baseline=[0] * len(leads),
            write_dir=str(tmp_path),
        )  # fmt: skip
    return tuple(tmp_path / f"{name}.hea" for name in ("twelve", "two", "short"))


@pytest.fixture
def table(folders, recordings, tmp_path):
    """Returns vectors and the table's facts, by the given options."""

    def made(**options):
        out = tmp_path / "e.parquet"
        options = {"bundle": folders["conv_transformer"], "files": recordings, **options}
        assert embed(EmbedConfig(out=out, **options)).embedded == len(options["files"])
        found = pq.read_table(out)
        return np.array(found["embedding"].to_pylist()), json.loads(found.schema.metadata[b"anylead"])

    return made


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_vectors_are_those_of_torch_and_the_table_says_what_ran(table, recordings):
    for options in ({}, {"leads": ("I",), "files": recordings[:2]}, {"batch_size": 1}):
        expected, told = table(**options)
        assert told["network"] == {"runtime": "torch", "precision": "float32"}
        found, told_by_onnx = table(runtime="onnx", **options)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert told_by_onnx["network"] == {"runtime": "onnx", "precision": "float32"}
        assert told_by_onnx["bundle"] == told["bundle"]


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_the_precision_of_the_runtime_onnx_is_that_of_its_file(table, folders, precision):
    expected, _ = table()
    model = folders["conv_transformer"] / f"model_{precision}.onnx"
    found, told = table(runtime="onnx", model=model)
    assert told["network"] == {"runtime": "onnx", "precision": precision}
    assert cosines(found, expected).min() > 0.999
    assert not np.allclose(found, expected, atol=1e-5)


def test_the_runtime_torch_computes_products_in_bfloat16_if_told_to(table):
    expected, _ = table()
    found, told = table(precision="bfloat16")
    assert told["network"] == {"runtime": "torch", "precision": "bfloat16"}
    assert cosines(found, expected).min() > 0.999
    assert not np.allclose(found, expected, atol=1e-5)


def test_a_file_of_another_bundle_is_refused_before_anything_is_read(folders, recordings, tmp_path):
    other = folders["s4"] / "model.onnx"
    config = {"bundle": folders["conv_transformer"], "files": recordings, "out": tmp_path / "e.parquet"}
    with pytest.raises(
        FileError, match=r"model\.onnx: the file was made of bundle \w+ and this is bundle \w+"
    ):
        embed(EmbedConfig(runtime="onnx", model=other, **config))
    assert not (tmp_path / "e.parquet").exists()


def test_without_a_file_the_command_that_writes_it_is_named(recordings, tmp_path):
    make_bundle("s4").save_pretrained(tmp_path / "bundle")
    config = EmbedConfig(
        bundle=tmp_path / "bundle", files=recordings, out=tmp_path / "e.parquet", runtime="onnx"
    )
    with pytest.raises(
        FileError, match=r"bundle/model\.onnx: there is no such file; write it with `anylead ex"
    ):
        embed(config)


def test_options_of_the_other_runtime_are_refused(tmp_path):
    config = {"bundle": tmp_path, "files": (tmp_path / "a.hea",), "out": tmp_path / "e.parquet"}
    with pytest.raises(ConfigError, match=r"embed: m\.onnx is for the runtime onnx; add --runtime onnx"):
        EmbedConfig(model=Path("m.onnx"), **config)
    with pytest.raises(
        ConfigError, match="precision of the runtime onnx is that of its file; leave --precis"
    ):
        EmbedConfig(runtime="onnx", precision="bfloat16", **config)


def test_on_the_command_line(folders, recordings, tmp_path, capsys):
    bundle = folders["conv_transformer"]
    words = ["embed", str(bundle), str(recordings[0]), "--out", str(tmp_path / "e.parquet")]
    assert main([*words, "--runtime", "onnx"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'e.parquet'}: embedded 1, failed 0\n"
    assert main([*words, "--runtime", "onnx", "--model", str(bundle / "model_int8.onnx")]) == 0
    assert main([*words, "--model", str(bundle / "model.onnx")]) == 2
    assert "is for the runtime onnx; add --runtime onnx" in capsys.readouterr().err
    assert main([*words, "--runtime", "onnx", "--precision", "bfloat16"]) == 2
    assert main([*words, "--runtime", "onnx", "--model", str(tmp_path / "no.onnx")]) == 1
    assert "no.onnx: there is no such file; write it with" in capsys.readouterr().err


def test_without_the_extra_it_is_named(folders, recordings, tmp_path, monkeypatch):
    without_packages(monkeypatch)
    config = EmbedConfig(bundle=folders["s4"], files=recordings, out=tmp_path / "e.parquet", runtime="onnx")
    with pytest.raises(
        ConfigError, match=r"onnx: onnxruntime is needed and is not installed; install anylead\["
    ):
        embed(config)
