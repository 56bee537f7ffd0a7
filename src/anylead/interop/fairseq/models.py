"""fairseq-signals' configuration and weights as our encoder, objective and head, in reference mode."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.errors import CheckpointError, ConfigError
from anylead.heads import ArcFaceConfig, ArcFaceHead, Head, HeadConfig, LinearHead
from anylead.interop.fairseq.names import encoder_name, head_name, modern, objective_name
from anylead.leads import STANDARD_12
from anylead.objectives import W2VCMSC, W2VCMSCConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class FairseqModel:
    """A model of theirs in our parts."""

    encoder: ConvTransformer
    objective: W2VCMSC | None
    """Where the state holds the pre-training modules."""
    head: Head | None
    """Where the state holds a classifier or an ArcFace kernel."""

    def parameters(self) -> dict[str, nn.Parameter]:
        """Returns every parameter under its fairseq-signals name."""
        prefix = "encoder." if self.head is not None else ""
        named = {prefix + encoder_name(name): p for name, p in self.encoder.named_parameters()}
        if self.objective is not None:
            named |= {objective_name(name): p for name, p in self.objective.named_parameters()}
        if self.head is not None:
            named |= {head_name(name): p for name, p in self.head.named_parameters()}
        return named


def build(config: Mapping[str, Any], state: Mapping[str, Any]) -> FairseqModel:
    """Builds the model of a fairseq-signals configuration and loads its weights.

    Args:
        config: Nested; ``config["model"]`` and, where there is one, ``config["criterion"]``.
        state: Name -> array or tensor, in either spelling of weight normalisation.

    Raises:
        ConfigError: If the configuration asks for what our encoder does not have.
        CheckpointError: If a weight is missing, left over or of another shape; the first one is named.
    """
    model = config["model"]
    criterion = config.get("criterion") or {}
    tensors = {modern(name): torch.as_tensor(value) for name, value in state.items()}
    finetuned = "proj.weight" in tensors or "kernel" in tensors
    encoder = ConvTransformer(encoder_config(model, frozen_stem=finetuned))
    objective = W2VCMSC(objective_config(model, criterion), encoder) if "mask_emb" in tensors else None
    result = FairseqModel(
        encoder=encoder, objective=objective, head=_head(encoder, tensors, {**model, **criterion})
    )
    _load(result, tensors)
    return result


def encoder_config(model: Mapping[str, Any], *, frozen_stem: bool) -> ConvTransformerConfig:
    """Returns our encoder configuration for one of theirs.

    Raises:
        ConfigError: If it differs in something our encoder fixes.
    """
    get: Callable[..., Any] = lambda key, default: default if model.get(key) is None else model[key]  # noqa: E731
    fixed = {"layer_norm_first": False, "extractor_mode": "default", "conv_bias": False}
    for key, accepted in fixed.items():
        if get(key, accepted) != accepted:
            raise ConfigError(f"model.{key}: got {model[key]!r}; only {accepted!r} can be loaded.")
    layers = conv_layers(get("conv_feature_layers", "[(256, 2, 2)] * 4"))
    if len(set(layers)) != 1 or layers[0][1:] != (2, 2):
        raise ConfigError(
            f"model.conv_feature_layers: got {layers}; equal layers of kernel and stride 2 are needed."
        )
    count = int(get("in_d", 12))
    return ConvTransformerConfig(
        leads=STANDARD_12[:count],
        conv_channels=layers[0][0],
        conv_layers=len(layers),
        dimension=int(get("encoder_embed_dim", 768)),
        layers=int(get("encoder_layers", 12)),
        heads=int(get("encoder_attention_heads", 12)),
        feedforward=int(get("encoder_ffn_embed_dim", 3072)),
        position_kernel=int(get("conv_pos", 128)),
        position_groups=int(get("conv_pos_groups", 16)),
        dropout=float(get("dropout", 0.1)),
        attention_dropout=float(get("attention_dropout", 0.1)),
        activation_dropout=float(get("activation_dropout", 0.0)),
        input_dropout=float(get("dropout_input", 0.1)),
        feature_gradient_scale=0.0 if frozen_stem else float(get("feature_grad_mult", 0.1)),
        reference=True,
    )


def objective_config(model: Mapping[str, Any], criterion: Mapping[str, Any]) -> W2VCMSCConfig:
    """Returns our objective's configuration for one of theirs."""
    start, floor, decay = model.get("latent_temp") or (2.0, 0.5, 0.999995)
    diversity, penalty = criterion.get("loss_weights") or (0.1, 10.0)
    weights = criterion.get("cmsc_weights")
    if isinstance(weights, list | tuple):
        weights = weights[0] if weights else None
    return W2VCMSCConfig(
        reference_probability=float(model.get("mask_prob", 0.65)),
        span=int(model.get("mask_length", 10)),
        negatives=int(model.get("num_negatives", 100)),
        contrast_temperature=float(model.get("logit_temp", 0.1)),
        groups=int(model.get("latent_groups", 2)),
        entries=int(model.get("latent_vars", 320)),
        final_dimension=int(model.get("final_dim") or model.get("encoder_embed_dim", 768)),
        feature_dropout=float(model.get("dropout_features", 0.1)),
        gumbel_start=float(start),
        gumbel_floor=float(floor),
        gumbel_decay=float(decay),
        diversity_weight=float(diversity),
        penalty_weight=float(penalty),
        cmsc_weight=1.0 if weights is None else float(weights),
        cmsc_temperature=float(criterion.get("temp", 0.1)),
    )


def conv_layers(value: Any) -> list[tuple[int, ...]]:
    """Reads ``[(256, 2, 2)] * 4`` or a list of triples, without evaluating anything.

    Raises:
        ConfigError: If it is neither.
    """
    if isinstance(value, str):
        items = re.findall(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)\s*\]?\s*(?:\*\s*(\d+))?", value)
        layers = [tuple(map(int, item[:3])) for item in items for _ in range(int(item[3] or 1))]
    else:
        layers = [tuple(map(int, item)) for item in value]
    if not layers or any(len(layer) != 3 for layer in layers):
        raise ConfigError(
            f"model.conv_feature_layers: got {value!r}; give triples such as [(256, 2, 2)] * 4."
        )
    return layers


def _head(encoder: ConvTransformer, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> Head | None:
    if "proj.weight" in tensors:
        classes = tuple(str(i) for i in range(tensors["proj.weight"].shape[0]))
        return LinearHead(HeadConfig(classes=classes), encoder)
    if "kernel" in tensors:
        classes = tuple(str(i) for i in range(tensors["kernel"].shape[0]))
        scale, margin = float(options.get("scale", 32.0)), float(options.get("margin", 0.5))
        return ArcFaceHead(ArcFaceConfig(classes=classes, scale=scale, margin=margin), encoder)
    return None


def _load(model: FairseqModel, tensors: Mapping[str, Tensor]) -> None:
    parameters = model.parameters()
    for name in (*parameters, *tensors):
        if name not in tensors:
            raise CheckpointError(
                f"weight {name}: it is missing; the configuration and the weights do not belong together."
            )
        if name not in parameters:
            raise CheckpointError(f"weight {name}: the configuration has no place for it.")
        if parameters[name].numel() != tensors[name].numel():
            raise CheckpointError(
                f"weight {name}: its shape is {tuple(tensors[name].shape)}; the configuration "
                f"needs {tuple(parameters[name].shape)}."
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            # The codebook alone has another shape: (1, groups x entries, width) there.
            parameter.data = tensors[name].reshape(parameter.shape).clone()
