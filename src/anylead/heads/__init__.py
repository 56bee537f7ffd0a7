"""Heads. Adding one: its file, one line in `HEADS`, one test."""

from anylead.encoders.base import Encoder
from anylead.heads.arcface import ArcFaceConfig, ArcFaceHead
from anylead.heads.attentive import AttentiveConfig, AttentiveHead
from anylead.heads.base import Head, HeadConfig
from anylead.heads.classification import ClassificationHead
from anylead.heads.linear import LinearHead

HEADS: dict[str, tuple[type[HeadConfig], type[Head]]] = {
    "linear": (HeadConfig, LinearHead),
    "attentive": (AttentiveConfig, AttentiveHead),
    "arcface": (ArcFaceConfig, ArcFaceHead),
}
"""Name in a bundle -> configuration and class."""


def build_head(kind: str, config: HeadConfig, encoder: Encoder) -> Head:
    """Builds a head of a kind for an encoder, with fresh weights."""
    return HEADS[kind][1](config, encoder)


def head_kind(head: Head) -> str:
    """Returns the name under which a bundle stores a head."""
    return next(name for name, (_, cls) in HEADS.items() if type(head) is cls)


__all__ = [
    "HEADS",
    "ArcFaceConfig",
    "ArcFaceHead",
    "AttentiveConfig",
    "AttentiveHead",
    "ClassificationHead",
    "Head",
    "HeadConfig",
    "LinearHead",
    "build_head",
    "head_kind",
]
