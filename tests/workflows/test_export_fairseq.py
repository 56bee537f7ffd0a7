"""export fairseq: what a run and what a bundle become, and what the command says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import anylead
import fairseq_files
from anylead.bundle import Bundle
from anylead.cli import main
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.errors import CheckpointError, InputError
from anylead.feed import PairFeedConfig
from anylead.heads import HeadConfig, LinearHead
from anylead.interop.fairseq import build, read_checkpoint
from anylead.leads import STANDARD_12
from anylead.objectives import W2VCMSCConfig
from anylead.preparation import Preparation
from anylead.workflows.export_fairseq import ExportFairseqConfig, export_fairseq
from anylead.workflows.import_checkpoint import ImportCheckpointConfig, import_checkpoint
from anylead.workflows.pretrain import PretrainConfig, pretrain

SMALL = ConvTransformerConfig(
    conv_channels=8, dimension=16, layers=1, heads=2, feedforward=16, position_kernel=4, position_groups=2
)


def exported(source: Path, out: Path, **options):
    done = export_fairseq(ExportFairseqConfig(source=source, out=out, **options))
    checkpoint = read_checkpoint(out)
    return done, checkpoint, build(checkpoint.config, checkpoint.state)


def saved(out: Path, *heads: str, leads=STANDARD_12) -> Bundle:
    torch.manual_seed(0)
    encoder = ConvTransformer(ConvTransformerConfig(**{**vars(SMALL), "leads": leads}))
    named = {name: LinearHead(HeadConfig(classes=("AF", "SB")), encoder) for name in heads}
    bundle = Bundle.assemble(encoder, preparation=Preparation.default(), heads=named).eval()
    bundle.save_pretrained(out)
    return bundle


def test_a_run_gives_its_newest_checkpoint_with_all_of_pre_training(synthetic_store, tmp_path):
    run = tmp_path / "run"
    settings = PretrainConfig(
        stores=(synthetic_store,),
        out=run,
        steps=2,
        encoder=SMALL,
        objective=W2VCMSCConfig(span=2, negatives=4, entries=8, final_dimension=8),
        feed=PairFeedConfig(pairs_per_batch=2),
        checkpoint_minutes=0.0,
        threads=1,
        device="cpu",
    )
    pretrain(settings, progress=False)
    newest = torch.load(run / "checkpoints" / "checkpoint-00000002.pt", weights_only=True)
    done, checkpoint, model = exported(run, tmp_path / "a.pt")
    assert (done.kind, checkpoint.updates) == ("wav2vec2_cmsc", 2)
    for part, state in ((model.encoder, newest["encoder"]), (model.objective, newest["objective"])):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
    with pytest.raises(InputError, match="got head 'x'; a run of pre-training has none"):
        exported(run, tmp_path / "b.pt", head="x")

    (run / "checkpoints" / "checkpoint-00000002.pt").write_bytes(b"cut off")
    assert exported(run, tmp_path / "b.pt")[1].updates == 1
    (run / "checkpoints" / "checkpoint-00000001.pt").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="none of its 2 checkpoints can be read; export its bundle"):
        exported(run, tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_a_bundle_goes_there_and_back(tmp_path):
    bundle = saved(tmp_path / "b", "arrhythmia")
    done, checkpoint, _ = exported(tmp_path / "b", tmp_path / "a.pt")
    assert done.kind == "ecg_transformer_classifier"
    assert checkpoint.state.keys() >= {"proj.weight", "encoder.encoder.layers.0.fc1.weight"}
    import_checkpoint(
        ImportCheckpointConfig(checkpoint=tmp_path / "a.pt", out=tmp_path / "c", classes=("AF", "SB"))
    )
    back = anylead.load(tmp_path / "c")
    weights = back.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in bundle.state_dict().items())
    assert back.preparation == bundle.preparation
    signal = fairseq_files.vectors("w2v_cmsc")["source"][0]
    for given in (signal, np.tile(signal, 8)):
        expected = bundle.predict_proba(given, fs=500, leads=STANDARD_12)
        np.testing.assert_allclose(back.predict_proba(given, fs=500, leads=STANDARD_12), expected, atol=1e-6)


def test_without_a_head_it_is_the_encoder_and_a_run_s_bundle_is_found(tmp_path):
    saved(tmp_path / "run" / "bundle", leads=("I", "II"))
    done, checkpoint, model = exported(tmp_path / "run", tmp_path / "a.pt")
    assert (done.kind, model.head, model.objective) == ("ecg_transformer", None, None)
    assert checkpoint.config["model"]["in_d"] == 2
    assert any("it has no head: give it as model.model_path" in note for note in done.notes)
    assert any("its input columns are I, II, in this order" in note for note in done.notes)


def test_a_head_must_be_there_and_be_named_among_several(tmp_path):
    saved(tmp_path / "b", "one", "two")
    assert exported(tmp_path / "b", tmp_path / "a.pt", head="two")[0].kind == "ecg_transformer_classifier"
    with pytest.raises(InputError, match="no head was named; the heads of this bundle are one, two: name"):
        exported(tmp_path / "b", tmp_path / "a.pt")
    with pytest.raises(InputError, match="got head 'three'; the heads of this bundle are one, two"):
        exported(tmp_path / "b", tmp_path / "a.pt", head="three")
    saved(tmp_path / "c")
    with pytest.raises(InputError, match="got head 'one'; it has no head"):
        exported(tmp_path / "c", tmp_path / "a.pt", head="one")


def test_the_command_says_what_to_mind(tmp_path, capsys):
    saved(tmp_path / "b", "arrhythmia")
    assert main(["export", "fairseq", str(tmp_path / "b"), "--out", str(tmp_path / "a.pt")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{tmp_path / 'a.pt'}: ecg_transformer_classifier, 33 tensors"
    assert "through this bundle's steps (drop_absent_leads, fill_gaps, flag_quality, resample)" in told[1]
    assert told[2].endswith("in order they are AF, SB.")
    assert told[3].startswith("outputs are equal where nothing is padded")
    assert main(["export", "fairseq", str(tmp_path / "nowhere"), "--out", str(tmp_path / "a.pt")]) == 1
    assert "there is no such folder" in capsys.readouterr().err


def test_what_was_imported_counts_padding_as_they_do(tmp_path):
    file = fairseq_files.write(tmp_path / "a.pt")
    import_checkpoint(ImportCheckpointConfig(checkpoint=file, out=tmp_path / "b"))
    done, _, model = exported(tmp_path / "b", tmp_path / "c.pt")
    assert not any("padded" in note for note in done.notes)
    original = fairseq_files.content()["model"]
    assert all(torch.equal(value, original[name]) for name, value in model.parameters().items())
