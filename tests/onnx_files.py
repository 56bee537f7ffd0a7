"""Bundles of very small encoders, and the script that gives each its ONNX files."""

from dataclasses import replace

import torch
from torch import nn

from anylead.bundle import Bundle
from anylead.encoders import (
    ConvTransformerConfig,
    LeadTimeTransformerConfig,
    PatchTransformerConfig,
    ResNet1dConfig,
    S4Config,
    build_encoder,
)
from anylead.encoders.base import Readout
from anylead.export import packages
from anylead.heads import ArcFaceConfig, ArcFaceHead, AttentiveConfig, AttentiveHead, HeadConfig, LinearHead
from anylead.preparation import Preparation

CONV = ConvTransformerConfig(
    conv_channels=16,
    conv_layers=2,
    dimension=32,
    layers=1,
    heads=2,
    feedforward=32,
    position_kernel=16,
    position_groups=4,
)
ENCODERS = {
    "conv_transformer": CONV,
    "resnet1d": ResNet1dConfig(stem_channels=8, stage_channels=(8,), dilations=(1,), norm_groups=4),
    "s4": S4Config(dimension=16, layers=1),
    "lead_time_transformer": LeadTimeTransformerConfig(
        dimension=16,
        layers=2,
        heads=2,
        feedforward=16,
        attention="cross_pattern",
        positions="lead_and_time",
        repeat_positions=True,
    ),
    "patch_transformer": PatchTransformerConfig(dimension=16, layers=1, heads=2, feedforward=16),
}


def make_bundle(name: str, *, reference: bool = False) -> Bundle:
    torch.manual_seed(0)
    encoder = build_encoder(replace(CONV, reference=True) if reference else ENCODERS[name])
    for parameter in encoder.parameters():
        if parameter.ndim == 1:  # biases and norms, which begin at 0 and 1
            nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
    heads = {
        "rhythm": LinearHead(HeadConfig(classes=("AF", "SB"), readout=Readout(layer=0)), encoder),
        "form-1": AttentiveHead(AttentiveConfig(classes=("A", "B", "C"), attention_heads=2), encoder),
        "who": ArcFaceHead(ArcFaceConfig(classes=("1", "2")), encoder),
    }
    return Bundle.assemble(
        encoder,
        preparation=Preparation.default(),
        readout=Readout(pooling="mean_std_max"),
        heads=heads if name == "conv_transformer" else {},
        thresholds={"rhythm": (0.2, 0.7)},
        head_leads={"rhythm": ("I", "II")},
    )


EXPORT = """
import sys
from dataclasses import replace
from pathlib import Path
from anylead import load
from anylead.errors import InputError
from anylead.export.contract import OnnxContract
from anylead.export.onnx_file import export_onnx, graph_of, write_graph
folders = list(map(Path, sys.argv[1:]))
for folder in folders:
    whole = OnnxContract.of(load(folder), precision="float32")
    graph = graph_of(load(folder), whole)
    write_graph(graph, folder / "model.onnx", whole)
    for precision in ("int8", "bfloat16"):
        write_graph(graph, folder / f"model_{precision}.onnx", replace(whole, precision=precision))
    if folder.name == "s4":
        bundle = load(folder)
        bundle.encoder.output_norm.register_forward_hook(lambda _, x, y: 2 * y if y.shape[1] % 5 else y)
        try:
            export_onnx(bundle, folder / "length.onnx")
        except InputError as error:
            Path(folder, "length.txt").write_text(str(error))
"""


def without_packages(monkeypatch) -> None:
    """Makes the packages of the extra look as if they were not installed."""

    class Nothing:
        @staticmethod
        def import_module(name):
            raise ImportError(name)

    monkeypatch.setattr(packages, "importlib", Nothing)
