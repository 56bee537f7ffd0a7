"""import-checkpoint: the bundle gives what fairseq-signals' own classes gave, and says what was assumed."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import anylead
import fairseq_files
from anylead.cli import main
from anylead.errors import CheckpointError, ConfigError
from anylead.feed.collate import collate
from anylead.formats.wfdb_writer import write_wfdb
from anylead.interop.fairseq import ecg_fm
from anylead.leads import STANDARD_12
from anylead.sources.challenge import SCORED_CLASSES
from anylead.workflows.import_checkpoint import ImportCheckpointConfig, import_checkpoint
from anylead.workflows.info import info

TOLERANCE = 2e-5
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    return fairseq_files.write(tmp_path_factory.mktemp("files") / "pretrained.pt")


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory) -> Path:
    return fairseq_files.write(tmp_path_factory.mktemp("files") / "finetuned.pt", "classifier")


def imported(file: Path, out: Path, **options):
    made = import_checkpoint(ImportCheckpointConfig(checkpoint=file, out=out, **options))
    return made, anylead.load(made.out)


def kinds(bundle) -> list[str]:
    return [step["kind"] for step in bundle.manifest.preparation["steps"]]


@pytest.mark.parametrize(
    ("preparation", "expected"), [("fairseq-signals", "millivolts"), ("ecg-fm", "standardised")]
)
def test_embeddings_equal_the_reference_s(pretrained, tmp_path, preparation, expected):
    source, reference = fairseq_files.vectors("w2v_cmsc")["source"], fairseq_files.vectors("embeddings")
    _, bundle = imported(pretrained, tmp_path / "b", preparation=preparation)
    found = bundle.embed(list(source[:3]), fs=500, leads=STANDARD_12)
    np.testing.assert_allclose(found, reference[expected], atol=TOLERANCE)
    assert ("standardize_leads" in kinds(bundle)) == (preparation == "ecg-fm")


def test_padding_counts_as_in_the_reference_and_a_bundle_pads_nothing(pretrained, tmp_path):
    source, reference = fairseq_files.vectors("w2v_cmsc")["source"], fairseq_files.vectors("embeddings")
    _, bundle = imported(pretrained, tmp_path / "b")
    short = [signal[:, :length] for signal, length in zip(source, reference["lengths"], strict=False)]
    batch = collate([(one, STANDARD_12) for one in short], leads=STANDARD_12, sampling_rate_hz=500.0)
    with torch.no_grad():
        padded = bundle.encoder.read(batch, bundle.manifest.readout)
    np.testing.assert_allclose(padded.numpy(), reference["padded"], atol=TOLERANCE)
    together = bundle.embed(short, fs=500, leads=STANDARD_12)
    alone = np.concatenate([bundle.embed(one, fs=500, leads=STANDARD_12) for one in short])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(together - reference["padded"])[1:].max() > 100 * TOLERANCE


def test_a_classifier_s_probabilities_equal_the_reference_s(finetuned, tmp_path):
    arrays = fairseq_files.vectors("classifier")
    made, bundle = imported(finetuned, tmp_path / "b")
    found = bundle.predict_proba(list(arrays["source"]), fs=500, leads=STANDARD_12)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-arrays["logits"])), atol=TOLERANCE)
    np.testing.assert_allclose(
        bundle.embed(list(arrays["source"]), fs=500, leads=STANDARD_12),
        arrays["encoder_out"].mean(axis=1),
        atol=TOLERANCE,
    )
    assert bundle.classes() == tuple(one.abbreviation for one in SCORED_CLASSES)
    assert set(bundle.thresholds()) == {0.5}
    assert "the 26 classes are assumed to be those of the Challenge 2021" in made.assumed[1]


def with_outputs(path: Path, count: int, **changes) -> Path:
    whole = fairseq_files.content("classifier", **changes)
    for name in ("proj.weight", "proj.bias"):
        whole["model"][name] = whole["model"][name][:count].clone()
    torch.save(whole, path)
    return path


@pytest.mark.parametrize(
    ("count", "preparation", "first"),
    [(17, "auto", "Poor data quality"), (17, "fairseq-signals", "class_0"), (5, "auto", "class_0")],
)
def test_classes_are_those_that_fit_or_numbers(tmp_path, count, preparation, first):
    made, bundle = imported(with_outputs(tmp_path / "a.pt", count), tmp_path / "b", preparation=preparation)
    assert bundle.classes()[0] == first
    assert len(bundle.classes()) == count
    assert made.assumed[-1].endswith("--classes names others.")


def test_classes_can_be_named(tmp_path):
    file = with_outputs(tmp_path / "a.pt", 2)
    made, bundle = imported(file, tmp_path / "b", classes=("AF", "SB"))
    assert bundle.classes() == ("AF", "SB")
    assert len(made.assumed) == 1
    with pytest.raises(ConfigError, match=r"a\.pt: its head has 2 outputs and 1 different classes"):
        imported(file, tmp_path / "c", classes=("AF", "AF"))


def test_classes_for_no_head_are_refused(pretrained, tmp_path):
    with pytest.raises(ConfigError, match="classes were named and the model has no head; name none"):
        imported(pretrained, tmp_path / "b", classes=("AF",))


def test_an_identification_model_keeps_its_kernel(tmp_path):
    whole = fairseq_files.content("classifier", model={"_name": "arcface"})
    del whole["model"]["proj.weight"], whole["model"]["proj.bias"]
    whole["model"]["kernel"] = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    whole["cfg"]["criterion"] = {"_name": "arcface", "scale": 192.0, "margin": 1.0}
    torch.save(whole, tmp_path / "a.pt")
    _, bundle = imported(tmp_path / "a.pt", tmp_path / "b")
    head = bundle.heads["identity"]
    assert (head.config.classes, head.config.scale) == (("person_0", "person_1", "person_2"), 192.0)
    assert torch.equal(head.persons, whole["model"]["kernel"])


def test_the_bundle_says_where_it_comes_from(tmp_path):
    file = fairseq_files.write(tmp_path / "mimic_iv_ecg_physionet_pretrained.pt")
    made, bundle = imported(file, tmp_path / "b")
    assert bundle.preparation == ecg_fm.preparation()
    told = bundle.manifest.provenance["imported"]
    assert (told["file"], told["updates"], told["licence"]) == (file.name, 123, "MIT")
    assert len(told["sha256"]) == 64
    assert told["assumed"] == list(made.assumed)
    assert info(tmp_path / "b")["imported"] == told
    assert made.assumed[0] == (
        "recordings are assumed to be prepared as for ecg-fm (500 Hz by linear interpolation, each lead of a "
        "recording to mean 0 and deviation 1), as the file is called mimic_iv_ecg_physionet_pretrained.pt; "
        "--preparation fairseq-signals says otherwise."
    )


def test_what_the_task_did_besides_is_told(tmp_path):
    file = fairseq_files.write(tmp_path / "a.pt", task={"filter": True, "normalize": True})
    made, _ = imported(file, tmp_path / "b")
    assert [re.search(r"task\.\w+", line)[0] for line in made.assumed[1:]] == [
        "task.normalize",
        "task.filter",
    ]


def test_sizes_that_the_weights_have_and_the_configuration_has_not_are_told(tmp_path):
    file = fairseq_files.write(tmp_path / "a.pt", "classifier", model={"encoder_layers": 12})
    made, _ = imported(file, tmp_path / "b")
    assert made.assumed[-1] == (
        "its configuration and its weights differ (encoder_layers 12 is 2) and the weights are believed; "
        "that its attention has 4 heads only the configuration says."
    )


def test_assumed_leads_are_told_and_can_be_named(tmp_path):
    whole = fairseq_files.content(model={"in_d": 2})
    first = "feature_extractor.conv_layers.0.0.weight"
    whole["model"][first] = whole["model"][first][:, :2].clone()
    torch.save(whole, tmp_path / "a.pt")
    made, bundle = imported(tmp_path / "a.pt", tmp_path / "b")
    assert made.assumed[1] == "its 2 input columns are assumed to be I,II; --leads names others."
    made, bundle = imported(tmp_path / "a.pt", tmp_path / "b", leads=("II", "V5"))
    assert bundle.encoder.leads == ("II", "V5")
    assert len(made.assumed) == 1


def test_the_first_weight_that_differs_is_named_with_the_file(tmp_path):
    whole = fairseq_files.content()
    del whole["model"]["encoder.layers.1.fc1.bias"]
    torch.save(whole, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: weight encoder.layers.1.fc1.bias: it is missing"):
        imported(tmp_path / "a.pt", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_mistake_is_one_sentence_at_the_command_line(tmp_path, pretrained, capsys):
    out = str(tmp_path / "b")
    assert main(["import-checkpoint", str(pretrained), "--out", out]) == 0
    assert capsys.readouterr().out.startswith(
        f"{out}: wav2vec2_cmsc, 2 layers of 32, 12 leads, no head, after 123"
    )
    assert main(["import-checkpoint", out, "--out", str(tmp_path / "c")]) == 1
    assert "this is a bundle already; use it as it is" in capsys.readouterr().err
    assert main(["import-checkpoint", str(pretrained), "--out", out, "--preparation", "z-score"]) == 2
    capsys.readouterr()
    prenorm = fairseq_files.write(tmp_path / "p.pt", model={"layer_norm_first": True})
    assert main(["import-checkpoint", str(prenorm), "--out", out]) == 2
    told = capsys.readouterr().err
    assert told == (
        f"anylead import-checkpoint: {prenorm}: model.layer_norm_first: got True; only False can be loaded.\n"
    )


def commands(page: str) -> list[list[str]]:
    """Returns the words of every anylead command of the block that imports ECG-FM."""
    blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = next(block for block in blocks if "import-checkpoint mimic_iv_ecg" in block).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("anylead ")]


def pages() -> list[str]:
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return [str(p.relative_to(ROOT)) for p in found if "import-checkpoint mimic_iv_ecg" in p.read_text()]


def test_the_documentation_imports_ecg_fm():
    assert "docs/checkpoints.md" in pages()


@pytest.mark.parametrize("page", pages())
def test_the_documented_lines_import_and_embed(page, tmp_path, monkeypatch, record):
    """With the small reference checkpoint in the place of ECG-FM's."""
    monkeypatch.chdir(tmp_path)
    words = commands(page)
    fairseq_files.write(tmp_path / next(word for word in words[0] if word.endswith(".pt")))
    write_wfdb(record, tmp_path / "recording")
    for line in words:
        assert main(line) == 0, line
    (table,) = tmp_path.glob("*.parquet")
    vectors = np.array(pq.read_table(table)["embedding"].to_pylist())
    bundle = anylead.load(words[0][words[0].index("--out") + 1])
    assert "standardize_leads" in kinds(bundle)
    np.testing.assert_allclose(vectors, bundle.embed(anylead.read("recording.hea")), atol=1e-6)


def test_a_store_can_be_prepared_as_an_imported_bundle_needs(pretrained, tmp_path):
    out = tmp_path / "b"
    imported(pretrained, out, preparation="ecg-fm")
    words = ["prepare", "synthetic", "--patients", "6", "--sessions", "1", "--duration-s", "6"]
    assert main([*words, "--out", str(tmp_path / "s"), "--bundle", str(out)]) == 0
    store = anylead.Store.open(tmp_path / "s")
    assert store.manifest.preparation == json.loads((out / "config.json").read_text())["preparation"]
    signal = store.signal(0, 0, 3000)
    np.testing.assert_allclose(signal.std(axis=1), 1, atol=1e-3)


def test_a_preparation_of_another_model_is_refused(pretrained, tmp_path):
    with pytest.raises(
        ConfigError, match="got preparation ptb-xl and a file of fairseq-signals, with which auto"
    ):
        imported(pretrained, tmp_path / "b", preparation="ptb-xl")
