"""ECG-JEPA of Weimann and Conrad: its target encoder as our `PatchTransformer`.

Weimann & Conrad 2024 (arXiv 2410.13867), https://github.com/kweimann/ECG-JEPA at commit 504b4e5, under the
MIT licence. Its code writes files; the repository links to none.

Source: PEERS §2.4; names, shapes and constants are facts of the repository's ``models/``,
``configs/pretrain``, ``data/datasets`` and ``pretrain.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from anylead.config import from_plain
from anylead.encoders import PatchTransformer, PatchTransformerConfig
from anylead.encoders.patch_transformer import NORM_EPSILON
from anylead.errors import CheckpointError, ConfigError
from anylead.interop.ecg_jepa.model import ECGJEPA, layer_places
from anylead.interop.weights import Place, load_weights, module_places, place
from anylead.leads import STANDARD_12, canonical_leads
from anylead.preparation import (
    DropAbsentLeads,
    FillGaps,
    FlagQuality,
    Preparation,
    Resample,
    ScaleLeads,
)

NAME = "ECG-JEPA of Weimann and Conrad"
SOURCE = {
    "url": "https://github.com/kweimann/ECG-JEPA",
    "licence": "MIT, that of the code; the file states none",
    "citation": "Weimann & Conrad 2024, Self-Supervised Pre-Training with Joint-Embedding Predictive "
    "Architecture Boosts ECG Classification Performance, arXiv:2410.13867",
}

SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "mimic-iv-ecg": (
        (0.023, 0.015, -0.007, -0.019, 0.014, 0.004, -0.018, -0.004, 0.002, 0.017, 0.022, 0.022),
        (0.155, 0.158, 0.166, 0.133, 0.141, 0.143, 0.207, 0.282, 0.284, 0.253, 0.222, 0.197),
    ),
    "ptb-xl": (
        (-0.002, -0.002, 0.0, 0.002, -0.001, -0.001, 0.0, -0.001, -0.002, -0.001, -0.001, -0.001),
        (0.191, 0.166, 0.173, 0.142, 0.149, 0.147, 0.235, 0.338, 0.335, 0.299, 0.294, 0.242),
    ),
}
"""Data set -> mean and deviation in mV of each of `STANDARD_12`, by which its recordings were scaled."""
PREPARATIONS = ("auto", *SCALES)
"""What `build` accepts."""
LIMIT = 5.0
"""Largest magnitude of a scaled sample."""


@dataclass(frozen=True, kw_only=True)
class WeimannConfig:
    """What matters of their configuration, by their names."""

    sampling_frequency: float
    channels: tuple[str, ...]
    channel_size: int
    """Samples of a recording."""
    patch_size: int
    datasets: Mapping[str, float]
    """Name -> share of the recordings it was trained on."""
    dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    qkv_bias: bool
    bias: bool
    num_registers: int
    norm_eps: float
    layer_scale_eps: float
    dropout: float
    attn_dropout: float


def is_theirs(content: Mapping[str, Any]) -> bool:
    """Says whether the content of a file is laid out as their code writes it."""
    config = content.get("config")
    return (
        isinstance(content.get("model"), Mapping) and isinstance(config, Mapping) and "patch_size" in config
    )


def build(content: Mapping[str, Any], *, preparation: str = "auto") -> ECGJEPA:
    """Builds the target encoder, which is what they evaluate.

    Args:
        content: Of a file; encoder, predictor and optimizer may be there and are not used.
        preparation: The data set whose constants scale recordings; ``auto`` takes that of which its training
            set has most.

    Raises:
        ConfigError: If the configuration lacks something, or asks for what our encoder does not have.
        CheckpointError: If it is a fine-tuned classifier, or a weight is missing, left over or of another
            shape.
    """
    if "eval_config" in content:
        raise CheckpointError(
            "this is a classifier fine-tuned with ECG-JEPA's code; give the pre-trained "
            "checkpoint it was made of."
        )
    known = {field.name for field in fields(WeimannConfig)}
    given = {name: value for name, value in content["config"].items() if name in known}
    config = from_plain(WeimannConfig, given, where="config")
    encoder = PatchTransformer(encoder_config(config))
    unused = ("encoder.", "predictor.")
    state = {name: value for name, value in content["model"].items() if not name.startswith(unused)}
    load_weights(_places(encoder), state)
    data_set, sentence = _scaled_by(config, preparation)
    step = content.get("step")
    return ECGJEPA(
        name=NAME,
        encoder=encoder,
        preparation=steps(data_set, rate_hz=config.sampling_frequency),
        window_s=config.channel_size / config.sampling_frequency,
        trained=f"after {step} updates" if step is not None else "",
        assumed=(sentence,),
        source=SOURCE,
    )


def encoder_config(config: WeimannConfig) -> PatchTransformerConfig:
    """Returns our encoder configuration for one of theirs.

    Raises:
        ConfigError: If it differs in something our encoder fixes.
    """
    fixed = {"qkv_bias": config.bias, "norm_eps": NORM_EPSILON, "layer_scale_eps": 0.0}
    for name, accepted in fixed.items():
        if getattr(config, name) != accepted:
            raise ConfigError(f"config.{name}: got {getattr(config, name)}; only {accepted} can be loaded.")
    return PatchTransformerConfig(
        leads=canonical_leads(config.channels, where="config.channels"),
        sampling_rate_hz=config.sampling_frequency,
        patch_samples=config.patch_size,
        dimension=config.dim,
        layers=config.depth,
        heads=config.num_heads,
        feedforward=int(config.dim * config.mlp_ratio),
        registers=config.num_registers,
        bias=config.bias,
        dropout=config.dropout,
        attention_dropout=config.attn_dropout,
    )


def steps(data_set: str, *, rate_hz: float = 500.0) -> Preparation:
    """Returns the steps their recordings of a data set went through; short gaps are bridged.

    Deviation: other rates are resampled by our polyphase filter, theirs by a Fourier transform.
    """
    mean, deviation = SCALES[data_set]
    return Preparation(
        steps=(
            DropAbsentLeads(),
            FillGaps(),
            FlagQuality(),
            Resample(rate_hz=rate_hz),
            ScaleLeads(leads=STANDARD_12, mean_mv=mean, deviation_mv=deviation, limit=LIMIT),
        )
    )


def _places(encoder: PatchTransformer) -> dict[str, Place]:
    config, of = encoder.config, "target_encoder"
    kernel = (config.dimension, len(config.leads), config.patch_samples)
    places = module_places(f"{of}.patch_embed.proj", encoder.patches)
    places[f"{of}.patch_embed.proj.weight"] = place(encoder.patches.get_parameter("weight"), shape=kernel)
    if encoder.registers is not None:
        shape = (1, config.registers, config.dimension)
        places[f"{of}.registers"] = place(encoder.registers, shape=shape)
    places |= layer_places(f"{of}.blocks", encoder.blocks)
    return places | module_places(f"{of}.norm", encoder.output_norm)


def _scaled_by(config: WeimannConfig, preparation: str) -> tuple[str, str]:
    """Returns the data set whose constants are used, and what is to be said of it."""
    told = "each lead is taken off its mean and divided by its deviation over"
    if preparation != "auto":
        return preparation, f"{told} {preparation}, as was asked for."
    shares = {name: share for name, share in config.datasets.items() if name in SCALES}
    chosen = max(shares, key=lambda name: shares[name], default=next(iter(SCALES)))
    others = " or ".join(f"--preparation {name}" for name in SCALES if name != chosen)
    share = f"{shares[chosen]:.0%} of its training set" if shares else "though its training set names neither"
    return chosen, f"{told} {chosen} ({share}), whatever data set it is from; {others} says otherwise."
