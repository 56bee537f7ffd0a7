"""Our weights in fairseq-signals' layout: names, shapes, and back again bit for bit."""

from pathlib import Path

import pytest
import torch

import fairseq_files
from anylead.encoders import ConvTransformer, ConvTransformerConfig, Readout, ResNet1d, ResNet1dConfig
from anylead.errors import ConfigError
from anylead.heads import ArcFaceConfig, ArcFaceHead, AttentiveConfig, AttentiveHead, HeadConfig, LinearHead
from anylead.interop.fairseq import build, read_checkpoint
from anylead.interop.fairseq.checkpoint import write_checkpoint
from anylead.interop.fairseq.export import to_checkpoint
from anylead.objectives import W2VCMSC, W2VCMSCConfig
from anylead.objectives.base import Objective

TINY = ConvTransformerConfig(
    conv_channels=16, dimension=32, layers=2, heads=4, feedforward=64, feature_gradient_scale=0.2
)


def parts(kind: str):
    torch.manual_seed(3)
    encoder = ConvTransformer(TINY)
    objective = W2VCMSC(W2VCMSCConfig(entries=8, final_dimension=16, cmsc_weight=0.5), encoder)
    heads = {
        "linear": LinearHead(HeadConfig(classes=("AF", "SB")), encoder),
        "arcface": ArcFaceHead(ArcFaceConfig(classes=("a", "b", "c"), scale=192.0, margin=1.0), encoder),
    }
    return encoder, objective if kind == "objective" else None, heads.get(kind)


@pytest.mark.parametrize("kind", ["encoder", "objective", "linear", "arcface"])
def test_there_and_back_every_weight_and_setting_is_equal(tmp_path, kind):
    encoder, objective, head = parts(kind)
    write_checkpoint(to_checkpoint(encoder, objective=objective, head=head, updates=7), tmp_path / "a.pt")
    checkpoint = read_checkpoint(tmp_path / "a.pt")
    back = build(checkpoint.config, checkpoint.state)
    assert checkpoint.updates == 7
    for ours, theirs in ((encoder, back.encoder), (objective, back.objective), (head, back.head)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            state = theirs.state_dict()
            assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    assert back.encoder.config.feature_gradient_scale == (0.0 if head is not None else 0.2)
    if objective is not None:
        assert back.objective.config == objective.config
    if kind == "arcface":
        assert (back.head.config.scale, back.head.config.margin) == (192.0, 1.0)


def test_the_base_model_has_the_official_names_and_shapes():
    lines = (fairseq_files.VECTORS / "base_names.tsv").read_text().splitlines()[1:]
    official = {name: (shape, kind) for name, shape, kind in (line.split("\t") for line in lines)}
    with torch.device("meta"):
        encoder = ConvTransformer(ConvTransformerConfig.named("base"))
        objective = W2VCMSC(W2VCMSCConfig(), encoder)
    written = to_checkpoint(encoder, objective=objective)["model"]
    assert {name: (str(tuple(t.shape)), str(t.dtype)) for name, t in written.items()} == official
    assert len(official) == 215


def test_the_layout_is_the_reference_checkpoint_s(tmp_path):
    whole = fairseq_files.content()
    model = build(whole["cfg"], whole["model"])
    written = to_checkpoint(model.encoder, objective=model.objective, updates=123)
    assert written.keys() == whole.keys()
    assert written["args"] is None
    ours, theirs = written["cfg"]["model"], whole["cfg"]["model"]
    assert {name: ours[name] for name in theirs if name in ours} == {
        name: value for name, value in theirs.items() if name in ours
    }
    assert set(theirs) <= set(ours)
    assert {name: written["cfg"]["criterion"][name] for name in whole["cfg"]["criterion"]} == {
        **whole["cfg"]["criterion"]
    }
    assert all(torch.equal(value, whole["model"][name]) for name, value in written["model"].items())
    # What their loader needs: see `load_model_and_task` and `PretrainingModel.from_pretrained` there.
    assert {"data", "normalize", "filter"} <= written["cfg"]["task"].keys()
    assert {"num_updates", "lr_scheduler_state"} <= written["optimizer_history"][-1].keys()
    assert "train_iterator" in written["extra_state"]
    torch.save(written, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=True)


class Other(Objective):
    """Another objective."""

    draw = loss = None


def test_what_they_do_not_have_is_refused():
    encoder, _, _ = parts("encoder")
    with pytest.raises(ConfigError, match="the encoder is resnet1d; fairseq-signals has only"):
        to_checkpoint(ResNet1d(ResNet1dConfig.named("small")))
    with pytest.raises(ConfigError, match="the objective is Other; fairseq-signals has W2VCMSC alone"):
        to_checkpoint(encoder, objective=Other())
    attentive = AttentiveHead(AttentiveConfig(classes=("AF",)), encoder)
    with pytest.raises(ConfigError, match="the head is attentive; fairseq-signals has linear and arcface"):
        to_checkpoint(encoder, head=attentive)
    early = LinearHead(HeadConfig(classes=("AF",), readout=Readout(layer=1)), encoder)
    with pytest.raises(ConfigError, match="the head reads layer 1 with pooling mean; fairseq-signals reads"):
        to_checkpoint(encoder, head=early)
    for change in ({"norm_first": True}, {"conv_kernels": (5, 2, 2)}):
        changed = ConvTransformer(ConvTransformerConfig(**{**vars(TINY), **change}))
        with pytest.raises(ConfigError, match=f"the encoder has {next(iter(change))}="):
            to_checkpoint(changed)


def test_a_full_disk_leaves_nothing(tmp_path):
    assert not (tmp_path / "a.pt").exists()
    (tmp_path / "file").touch()
    encoder, _, _ = parts("encoder")
    with pytest.raises(OSError, match="could not be written"):
        write_checkpoint(to_checkpoint(encoder), Path(tmp_path / "file" / "a.pt"))
