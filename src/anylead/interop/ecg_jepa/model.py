"""What both ECG-JEPAs are here, and the transformer layers they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from anylead.encoders import Encoder
from anylead.interop.weights import Place, module_places
from anylead.nn.transformer import TransformerLayer
from anylead.preparation import Preparation


@dataclass(frozen=True, kw_only=True, eq=False)
class ECGJEPA:
    """An encoder of theirs with how it is to be used."""

    name: str
    """Whose it is."""
    encoder: Encoder
    preparation: Preparation
    """The steps its training recordings went through."""
    window_s: float
    """Length of what it was trained on."""
    trained: str
    """For how long, in words; empty where the file does not say."""
    assumed: tuple[str, ...]
    """What the file does not say and was assumed, one sentence each."""
    source: Mapping[str, Any]
    """Address, licence and citation."""


def layer_places(name: str, blocks: nn.ModuleList) -> dict[str, Place]:
    """Returns the places of the weights of transformer layers, by the names vision transformers give them."""
    places: dict[str, Place] = {}
    for number, module in enumerate(blocks):
        layer, prefix = cast(TransformerLayer, module), f"{name}.{number}"
        attention = layer.attention
        places |= {
            **module_places(f"{prefix}.norm1", layer.attention_norm),
            **module_places(f"{prefix}.attn.qkv", attention.query, attention.key, attention.value),
            **module_places(f"{prefix}.attn.proj", attention.output),
            **module_places(f"{prefix}.norm2", layer.output_norm),
            **module_places(f"{prefix}.mlp.fc1", layer.expand),
            **module_places(f"{prefix}.mlp.fc2", layer.contract),
        }
    return places
