"""Sizes of an encoder, read off its weights."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor


def encoder_sizes(tensors: Mapping[str, Tensor], *, prefix: str) -> dict[str, Any]:
    """Returns the sizes under the names that fairseq-signals' configuration gives them.

    A fine-tuned model is built by the configuration of the checkpoint it started from, but saved with that of
    its own run, which may say nothing of sizes: the "small" model has 8 layers and is then said to have 12.

    Args:
        tensors: Name -> weight.
        prefix: What the encoder's names begin with.

    Returns:
        Nothing where a weight that is needed is missing: the configuration's sizes will show which.
    """
    bare = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    layers = _count(r"encoder\.layers\.(\d+)\.", bare)
    convolutions = _count(r"feature_extractor\.conv_layers\.(\d+)\.", bare)
    first, width, inside, taps = (
        bare.get(name)
        for name in (
            "feature_extractor.conv_layers.0.0.weight",
            "encoder.layer_norm.weight",
            "encoder.layers.0.fc1.weight",
            "conv_pos.pos_conv.0.parametrizations.weight.original1",
        )
    )
    if first is None or width is None or inside is None or taps is None or first.ndim != 3 or taps.ndim != 3:
        return {}
    return {
        "encoder_layers": layers,
        "encoder_embed_dim": len(width),
        "encoder_ffn_embed_dim": len(inside),
        "conv_feature_layers": [(len(first), first.shape[2], 2)] * convolutions,
        "conv_pos": taps.shape[2],
        "conv_pos_groups": len(width) // taps.shape[1],
        "in_d": first.shape[1],
    }


def _count(pattern: str, names: Iterable[str]) -> int:
    """Returns 1 more than the largest number the pattern finds."""
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)
