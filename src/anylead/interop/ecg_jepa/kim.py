"""ECG-JEPA of Kim: its encoder as our `LeadTimeTransformer`.

Kim 2024 (arXiv 2410.08559), https://github.com/sehunfromdaegu/ECG_JEPA at commit d937ad2, under the MIT
licence; its README links to two files.

Source: PEERS §2.5; names, shapes and settings are facts of the repository's ``ecg_jepa.py``,
``pos_encoding.py``, ``models.py`` and ``pretrain_ECG_JEPA.py``.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from anylead.encoders import LeadTimeTransformer, LeadTimeTransformerConfig
from anylead.errors import CheckpointError
from anylead.interop.ecg_jepa.model import ECGJEPA, layer_places
from anylead.interop.weights import Place, load_weights, module_places, shape_of
from anylead.leads import INDEPENDENT_8
from anylead.nn.sinusoid import grid_sinusoid
from anylead.preparation import Preparation

NAME = "ECG-JEPA of Kim"
SOURCE = {
    "url": "https://github.com/sehunfromdaegu/ECG_JEPA",
    "licence": "MIT, that of the repository which links to the files",
    "citation": "Kim 2024, Learning General Representation of 12-Lead Electrocardiogram with a "
    "Joint-Embedding Predictive Architecture, arXiv:2410.08559",
}
PREPARATIONS = ("auto",)
"""What goes with it."""
RATE_HZ = 250.0
HEADS = 16
"""Of the published models; a file does not say."""
_POSITION_TOLERANCE = 1e-3
"""Far above rounding, and far below what two places differ by."""

_BLOCK = re.compile(r"encoder_blocks\.blocks\.(\d+)\.")


def is_theirs(content: Mapping[str, Any]) -> bool:
    """Says whether the content of a file is laid out as their code writes it."""
    state = content.get("encoder")
    return isinstance(state, Mapping) and any(_BLOCK.match(str(name)) for name in state)


def build(content: Mapping[str, Any], *, leads: tuple[str, ...] = ()) -> ECGJEPA:
    """Builds the encoder.

    Args:
        content: Of a file.
        leads: One name a row of its grid; the eight independent leads where none is named.

    Raises:
        ConfigError: If its width is not divisible by the heads.
        CheckpointError: If a weight is missing, left over or of another shape, or its positions are others.
    """
    state = dict(content["encoder"])
    encoder = LeadTimeTransformer(encoder_config(state, leads=leads or INDEPENDENT_8))
    times = _times(state, encoder)
    del state["pos_embed"]
    load_weights(_places(encoder), state)
    epoch = content.get("epoch")
    return ECGJEPA(
        name=NAME,
        encoder=encoder,
        preparation=Preparation.default(rate_hz=RATE_HZ),
        window_s=times * encoder.samples_per_token / RATE_HZ,
        trained=f"after {epoch + 1} epochs" if isinstance(epoch, int) else "",
        assumed=(
            f"recordings are prepared as in its authors' code: millivolts at {RATE_HZ:g} Hz, neither "
            "filtered nor standardised.",
            f"its attention is assumed to have {HEADS} heads, as its authors' code loads it.",
            *(
                ()
                if leads
                else (f"its leads are assumed to be {','.join(encoder.leads)}; --leads names others.",)
            ),
        ),
        source=SOURCE,
    )


def encoder_config(state: Mapping[str, Any], *, leads: tuple[str, ...]) -> LeadTimeTransformerConfig:
    """Returns the configuration of an encoder, read off its weights.

    Raises:
        ConfigError: If its width is not divisible by the heads.
        CheckpointError: If a weight that tells a size is missing or has another number of dimensions.
    """
    dimension, patch = shape_of(state, "W_P.weight", dimensions=2)
    feedforward, _ = shape_of(state, "encoder_blocks.blocks.0.mlp.fc1.weight", dimensions=2)
    return LeadTimeTransformerConfig(
        leads=leads,
        sampling_rate_hz=RATE_HZ,
        patch_samples=patch,
        dimension=dimension,
        layers=1 + max(int(found[1]) for name in state if (found := _BLOCK.match(name))),
        heads=HEADS,
        feedforward=feedforward,
        attention="cross_pattern",
        lead_embedding=False,
        positions="lead_and_time",
        repeat_positions=True,
        centre_leads=False,
        qkv_bias=False,
        dropout=0.0,
    )


def _times(state: Mapping[str, Any], encoder: LeadTimeTransformer) -> int:
    """Returns the times of the grid, whose positions are stored and must be ours."""
    number, dimension = shape_of(state, "pos_embed", dimensions=2)
    times, left_over = divmod(number, len(encoder.leads))
    fits = times > 0 and not left_over and dimension == encoder.dimension
    if fits:
        place = torch.arange(number)
        ours = grid_sinusoid(place % times, place // times, dimension)
        fits = torch.allclose(state["pos_embed"].float(), ours, atol=_POSITION_TOLERANCE)
    if not fits:
        raise CheckpointError(
            f"weight pos_embed: these {number} positions are not the sines and cosines of a grid of the "
            f"leads {','.join(encoder.leads)} and times; name the leads of its rows, in order: learnt "
            "positions cannot be loaded."
        )
    return times


def _places(encoder: LeadTimeTransformer) -> dict[str, Place]:
    return {
        **module_places("W_P", encoder.patches),
        **layer_places("encoder_blocks.blocks", encoder.blocks),
        **module_places("norm", encoder.output_norm),
    }
