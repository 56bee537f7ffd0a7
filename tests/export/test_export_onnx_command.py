"""export onnx: where files go, what the command says, and how it ends."""

from pathlib import Path

import pytest

import anylead
from anylead.cli import main
from anylead.errors import ConfigError
from anylead.export import OnnxContract
from anylead.workflows import export_onnx as workflow
from anylead.workflows.export_onnx import ExportOnnxConfig, default_file, write_onnx
from onnx_files import make_bundle, without_packages


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    make_bundle("conv_transformer").save_pretrained(folder)
    return folder


@pytest.fixture
def written(monkeypatch) -> list[tuple[str, Path, str]]:
    """Catches what would be written: fingerprint, file, precision."""
    seen = []

    def fake(bundle, path, *, precision):
        seen.append((bundle.fingerprint(), path, precision))
        return OnnxContract.of(bundle, precision=precision)

    monkeypatch.setattr(workflow, "export_onnx", fake)
    return seen


@pytest.mark.parametrize(
    ("precision", "name"),
    [("float32", "model.onnx"), ("bfloat16", "model_bfloat16.onnx"), ("int8", "model_int8.onnx")],
)
def test_a_file_goes_into_the_bundle_unless_told_otherwise(bundle, written, precision, name, capsys):
    words = ["export", "onnx", str(bundle)] + (["--precision", precision] if precision != "float32" else [])
    assert main(words) == 0
    assert written == [(anylead.load(bundle).fingerprint(), bundle / name, precision)]
    assert default_file(bundle, precision) == bundle / name
    gives = "embedding, probabilities_rhythm, probabilities_form-1"
    assert capsys.readouterr().out == f"{bundle / name}: {precision}, gives {gives}\n"


def test_another_place_may_be_named(bundle, written, tmp_path):
    assert main(["export", "onnx", str(bundle), "--out", str(tmp_path / "a.onnx")]) == 0
    assert [path for _, path, _ in written] == [tmp_path / "a.onnx"]


def test_a_bundle_that_is_no_folder_needs_a_place_to_write_to(capsys):
    with pytest.raises(
        ConfigError, match=r"someone/something is not a folder to write to; say where with --out"
    ):
        ExportOnnxConfig(bundle=Path("someone/something"))
    assert main(["export", "onnx", "someone/something"]) == 2
    assert "someone/something is not a folder to write to; say where" in capsys.readouterr().err


def test_a_folder_without_a_bundle_is_a_failure(tmp_path, capsys):
    assert main(["export", "onnx", str(tmp_path)]) == 1
    assert "the bundle is incomplete" in capsys.readouterr().err


def test_a_precision_that_is_not_there_is_misuse(bundle, capsys):
    assert main(["export", "onnx", str(bundle), "--precision", "int4"]) == 2


def test_without_the_extra_a_sentence_names_it_and_nothing_is_written(bundle, monkeypatch, capsys):
    before = sorted(bundle.iterdir())
    without_packages(monkeypatch)
    assert main(["export", "onnx", str(bundle)]) == 2
    assert "is needed and is not installed; install anylead[onnx]." in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"is needed and is not installed; install anylead\[onnx\]\."):
        write_onnx(ExportOnnxConfig(bundle=bundle))
    assert sorted(bundle.iterdir()) == before
