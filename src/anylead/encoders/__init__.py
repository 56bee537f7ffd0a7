"""Encoders. Adding one: its file, one line in `AnyEncoderConfig`, one test."""

from anylead.encoders.base import Encoder, Features, Readout, Tokens
from anylead.encoders.conv_transformer import ConvTransformer, ConvTransformerConfig

AnyEncoderConfig = ConvTransformerConfig
"""Union of every encoder's configuration."""

ENCODERS: dict[str, tuple[type[AnyEncoderConfig], type[Encoder]]] = {
    "conv_transformer": (ConvTransformerConfig, ConvTransformer),
}
"""Name in a bundle -> configuration and class."""


def build_encoder(config: AnyEncoderConfig) -> Encoder:
    """Builds the encoder that a configuration describes, with fresh weights."""
    for config_class, encoder_class in ENCODERS.values():
        if type(config) is config_class:
            return encoder_class(config)
    raise TypeError(f"no encoder for {type(config).__name__}")


def encoder_kind(encoder: Encoder) -> str:
    """Returns the name under which a bundle stores an encoder."""
    return next(name for name, (_, cls) in ENCODERS.items() if type(encoder) is cls)


__all__ = [
    "ENCODERS",
    "AnyEncoderConfig",
    "ConvTransformer",
    "ConvTransformerConfig",
    "Encoder",
    "Features",
    "Readout",
    "Tokens",
    "build_encoder",
    "encoder_kind",
]
