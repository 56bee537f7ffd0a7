"""Parameter names: ours and fairseq-signals'.

Source: METHOD §7.2.
"""

import re

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
