"""Every encoder and every head goes through a bundle."""

import numpy as np
import pytest
import torch

import anylead
from anylead.bundle import Bundle
from anylead.encoders import (
    ENCODERS,
    ConvTransformerConfig,
    LeadTimeTransformerConfig,
    PatchTransformerConfig,
    ResNet1dConfig,
    S4Config,
    build_encoder,
)
from anylead.encoders.base import Readout
from anylead.errors import InputError
from anylead.heads import HEADS, ArcFaceConfig, AttentiveConfig, ClassificationHead, HeadConfig, build_head
from anylead.preparation import Preparation

SMALL = {
    "conv_transformer": ConvTransformerConfig(
        conv_channels=16, dimension=16, layers=2, heads=2, feedforward=32, position_kernel=16,
        position_groups=4,
    ),
    "lead_time_transformer": LeadTimeTransformerConfig(dimension=16, layers=2, heads=2, feedforward=32),
    "patch_transformer": PatchTransformerConfig(dimension=16, layers=2, heads=2, feedforward=32),
    "resnet1d": ResNet1dConfig(stem_channels=8, stage_channels=(16,), dilations=(1, 2), norm_groups=4),
    "s4": S4Config(dimension=16, layers=2, state=4),
}  # fmt: skip
CONFIGS = {
    "linear": HeadConfig(classes=("A", "B"), readout=Readout(layer=1, pooling="mean_std")),
    "attentive": AttentiveConfig(classes=("A", "B"), readout=Readout(layer=1)),
    "arcface": ArcFaceConfig(classes=("p", "q")),
}


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_a_round_trip_keeps_every_number(kind, tmp_path):
    torch.manual_seed(0)
    encoder = build_encoder(SMALL[kind])
    assert set(CONFIGS) == set(HEADS)
    heads = {name: build_head(name, config, encoder) for name, config in CONFIGS.items()}
    bundle = Bundle.assemble(encoder, preparation=Preparation.default(), heads=heads).eval()
    bundle.save_pretrained(tmp_path / "b")
    loaded = anylead.load(tmp_path / "b")
    assert loaded.fingerprint() == bundle.fingerprint()
    assert loaded.encoder.config == SMALL[kind]
    assert {name: head.config for name, head in loaded.heads.items()} == CONFIGS
    signal = np.random.default_rng(0).normal(0, 0.1, (2, 3000)).astype(np.float32)
    given = {"fs": 500, "leads": "I,V1"}
    np.testing.assert_array_equal(loaded.embed(signal, **given), bundle.embed(signal, **given))
    classifiers = [name for name, head in heads.items() if isinstance(head, ClassificationHead)]
    assert classifiers == ["linear", "attentive"]
    for name in classifiers:
        found = loaded.predict_proba(signal, head=name, **given)
        assert found.shape == (1, 2)
        np.testing.assert_array_equal(found, bundle.predict_proba(signal, head=name, **given))
    with pytest.raises(InputError, match="the classification heads of this bundle are linear, attentive"):
        loaded.predict_proba(signal, **given)
