"""Parameter names: ours and fairseq-signals'.

Source: METHOD §7.2.
"""

import re
from collections.abc import Iterable

# Ours -> theirs, for parameters of the encoder; `{i}` is a layer.
_ENCODER = (
    (r"stem\.weights\.(\d+)", r"feature_extractor.conv_layers.\1.0.weight"),
    (r"stem\.norm\.(weight|bias)", r"feature_extractor.conv_layers.0.2.\1"),
    (r"frame_norm\.(weight|bias)", r"layer_norm.\1"),
    (r"project\.(weight|bias)", r"post_extract_proj.\1"),
    (r"position\.convolution\.(.+)", r"conv_pos.pos_conv.0.\1"),
    (r"context_norm\.(weight|bias)", r"encoder.layer_norm.\1"),
    (r"blocks\.(\d+)\.attention\.query\.(.+)", r"encoder.layers.\1.self_attn.q_proj.\2"),
    (r"blocks\.(\d+)\.attention\.key\.(.+)", r"encoder.layers.\1.self_attn.k_proj.\2"),
    (r"blocks\.(\d+)\.attention\.value\.(.+)", r"encoder.layers.\1.self_attn.v_proj.\2"),
    (r"blocks\.(\d+)\.attention\.output\.(.+)", r"encoder.layers.\1.self_attn.out_proj.\2"),
    (r"blocks\.(\d+)\.attention_norm\.(.+)", r"encoder.layers.\1.self_attn_layer_norm.\2"),
    (r"blocks\.(\d+)\.expand\.(.+)", r"encoder.layers.\1.fc1.\2"),
    (r"blocks\.(\d+)\.contract\.(.+)", r"encoder.layers.\1.fc2.\2"),
    (r"blocks\.(\d+)\.output_norm\.(.+)", r"encoder.layers.\1.final_layer_norm.\2"),
)
_OBJECTIVE = {
    "hidden_embedding": "mask_emb",
    "quantizer.codebook": "quantizer.vars",
    "quantizer.project.weight": "quantizer.weight_proj.weight",
    "quantizer.project.bias": "quantizer.weight_proj.bias",
    "project_targets.weight": "project_q.weight",
    "project_targets.bias": "project_q.bias",
    "project_context.weight": "final_proj.weight",
    "project_context.bias": "final_proj.bias",
}
_HEAD = {"project.weight": "proj.weight", "project.bias": "proj.bias", "persons": "kernel"}

_OLD_WEIGHT_NORM = {
    "conv_pos.pos_conv.0.weight_g": "conv_pos.pos_conv.0.parametrizations.weight.original0",
    "conv_pos.pos_conv.0.weight_v": "conv_pos.pos_conv.0.parametrizations.weight.original1",
}

PRETRAINING = ("mask_emb", "quantizer.", "project_q.", "final_proj.", "target_glu.")
"""What their names of pre-training modules begin with."""

_PAPER_ERA = re.compile(r"encoder\.pos_conv\.|\.self_attn\.(W_[QKV]|linear)\.|\.norm_layer[12]\.|\.pos_ffn\.")


def encoder_name(ours: str) -> str:
    """Returns fairseq-signals' name of an encoder parameter.

    Raises:
        KeyError: If the encoder has no such parameter.
    """
    for pattern, replacement in _ENCODER:
        if re.fullmatch(pattern, ours):
            return re.sub(pattern, replacement, ours)
    raise KeyError(ours)


def objective_name(ours: str) -> str:
    """Returns fairseq-signals' name of a parameter of the pre-training objective."""
    return _OBJECTIVE[ours]


def head_name(ours: str) -> str:
    """Returns fairseq-signals' name of a parameter of a head."""
    return _HEAD[ours]


def modern(theirs: str) -> str:
    """Returns a name in the newer of their two spellings of weight normalisation."""
    for old, new in _OLD_WEIGHT_NORM.items():
        if theirs.endswith(old):
            return theirs[: -len(old)] + new
    return theirs


def stored_shape(theirs: str, shape: Iterable[int]) -> tuple[int, ...]:
    """Returns the shape fairseq-signals gives a parameter that has `shape` here.

    The codebook alone differs: (groups, entries, width) here, (1, groups * entries, width) there.
    """
    if theirs != "quantizer.vars":
        return tuple(shape)
    groups, entries, width = shape
    return 1, groups * entries, width


def paper_era(names: Iterable[str]) -> str | None:
    """Returns the first name that only models from before October 2022 have. Source: METHOD §7.2 and §9.1."""
    return next((name for name in names if _PAPER_ERA.search(name)), None)


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Returns each name as a bare encoder has it, where one was saved from inside a classifier."""
    names = list(names)
    wrapped = all(name.startswith("encoder.") for name in names)
    inside = "encoder.feature_extractor.conv_layers.0.0.weight" in names
    return {name: name.removeprefix("encoder.") if wrapped and inside else name for name in names}
