"""A small store of synthetic patients and a bundle of a very small encoder, for the downstream tests."""

from pathlib import Path

import torch

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.encoders.base import Readout
from anylead.preparation import Preparation
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store

CONFIG = ConvTransformerConfig(
    conv_channels=16, dimension=16, layers=2, heads=2, feedforward=32, position_kernel=16, position_groups=4
)


def make_store(folder: Path, *, patients: int = 40, seed: int = 0, duration_s: float = 10.0) -> Store:
    source = Synthetic(patients=patients, sessions=2, seed=seed, duration_s=duration_s)
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    write_store(source, None, folder, preparation=Preparation.default(), split=split)
    return Store.open(folder)


def make_bundle(folder: Path, *, seed: int = 0, readout: Readout | None = None) -> Path:
    torch.manual_seed(seed)
    bundle = Bundle.assemble(ConvTransformer(CONFIG), preparation=Preparation.default(), readout=readout)
    bundle.save_pretrained(folder)
    return folder
