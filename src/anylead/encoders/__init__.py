"""Encoders. Adding one: its file, a line in `AnyEncoderConfig`, `ENCODERS` and `DEFAULT_SIZES`, one test."""

from anylead.encoders.base import Encoder, Features, Readout, Tokens
from anylead.encoders.conv_transformer import ConvTransformer, ConvTransformerConfig
from anylead.encoders.lead_time_transformer import LeadTimeTransformer, LeadTimeTransformerConfig
from anylead.encoders.patch_transformer import PatchTransformer, PatchTransformerConfig
from anylead.encoders.resnet1d import ResNet1d, ResNet1dConfig
from anylead.encoders.s4 import S4, S4Config
from anylead.errors import ConfigError

AnyEncoderConfig = (
    ConvTransformerConfig | LeadTimeTransformerConfig | PatchTransformerConfig | ResNet1dConfig | S4Config
)
"""Union of every encoder's configuration; no two accept the same full set of names."""

ENCODERS: dict[str, tuple[type[AnyEncoderConfig], type[Encoder]]] = {
    "conv_transformer": (ConvTransformerConfig, ConvTransformer),
    "lead_time_transformer": (LeadTimeTransformerConfig, LeadTimeTransformer),
    "patch_transformer": (PatchTransformerConfig, PatchTransformer),
    "resnet1d": (ResNet1dConfig, ResNet1d),
    "s4": (S4Config, S4),
}
"""Name in a bundle -> configuration and class."""

DEFAULT_SIZES: dict[str, str] = {
    "conv_transformer": "mini",
    "lead_time_transformer": "mini",
    "patch_transformer": "mini",
    "resnet1d": "small",
    "s4": "tiny",
}
"""Name in a bundle -> the size that is meant where none is named: one that a CPU can train."""


def build_encoder(config: AnyEncoderConfig) -> Encoder:
    """Builds the encoder that a configuration describes, with fresh weights."""
    for config_class, encoder_class in ENCODERS.values():
        if type(config) is config_class:
            return encoder_class(config)
    raise TypeError(f"no encoder for {type(config).__name__}")


def encoder_kind(encoder: Encoder) -> str:
    """Returns the name under which a bundle stores an encoder."""
    return next(name for name, (_, cls) in ENCODERS.items() if type(encoder) is cls)


def named_encoder(name: str) -> AnyEncoderConfig:
    """Returns the configuration that ``NAME`` or ``NAME:SIZE`` means, such as ``resnet1d`` or ``s4:base``.

    Raises:
        ConfigError: If there is no such encoder, or no such size of it.
    """
    kind, _, size = name.partition(":")
    if kind not in ENCODERS:
        raise ConfigError(
            f"encoder: got {name!r}; give NAME or NAME:SIZE, where NAME is one of {', '.join(ENCODERS)}."
        )
    return ENCODERS[kind][0].named(size or DEFAULT_SIZES[kind])


__all__ = [
    "DEFAULT_SIZES",
    "ENCODERS",
    "S4",
    "AnyEncoderConfig",
    "ConvTransformer",
    "ConvTransformerConfig",
    "Encoder",
    "Features",
    "LeadTimeTransformer",
    "LeadTimeTransformerConfig",
    "PatchTransformer",
    "PatchTransformerConfig",
    "Readout",
    "ResNet1d",
    "ResNet1dConfig",
    "S4Config",
    "Tokens",
    "build_encoder",
    "encoder_kind",
    "named_encoder",
]
