"""fairseq-signals' configuration and weights as our encoder, objective and head, in reference mode."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.errors import CheckpointError, ConfigError
from anylead.heads import ArcFaceConfig, ArcFaceHead, Head, HeadConfig, LinearHead
from anylead.interop.fairseq.names import (
    PRETRAINING,
    encoder_name,
    head_name,
    modern,
    objective_name,
    paper_era,
    stored_shape,
    unwrapped,
)
from anylead.interop.fairseq.sizes import encoder_sizes
from anylead.leads import STANDARD_12, canonical_leads
from anylead.objectives import W2VCMSC, W2VCMSCConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class FairseqModel:
    """A model of theirs in our parts."""

    encoder: ConvTransformer
    objective: W2VCMSC | None
    """Where the state holds the pre-training modules."""
    head: Head | None
    """Where the state holds a classifier or an ArcFace kernel."""
    corrected: tuple[str, ...] = ()
    """What the configuration of a fine-tuned model says otherwise than its weights, which are believed."""

    def parameters(self) -> dict[str, nn.Parameter]:
        """Returns every parameter under its fairseq-signals name."""
        prefix = "encoder." if self.head is not None else ""
        named = {prefix + encoder_name(name): p for name, p in self.encoder.named_parameters()}
        if self.objective is not None:
            named |= {objective_name(name): p for name, p in self.objective.named_parameters()}
        if self.head is not None:
            named |= {head_name(name): p for name, p in self.head.named_parameters()}
        return named


def build(
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    leads: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> FairseqModel:
    """Builds the model of a fairseq-signals configuration and loads its weights.

    Args:
        config: Nested; ``config["model"]`` and, where there are, ``config["criterion"]`` and
            ``config["task"]``.
        state: Name -> array or tensor, in either spelling of weight normalisation; an encoder may have been
            saved from inside a classifier.
        leads: What the input columns are; without, as `input_leads` says.
        classes: Names of the head's outputs; without, their numbers.

    Raises:
        ConfigError: If the configuration asks for what our encoder does not have, or there is not one lead a
            column or one name a class.
        CheckpointError: If a weight is missing, left over or of another shape; the first one is named.
    """
    model = config["model"]
    criterion = config.get("criterion") or {}
    found = paper_era(state)
    if found is not None:
        raise CheckpointError(
            f"weight {found}: this name is from before October 2022, when the attention of fairseq-signals "
            "mixed the recordings of a batch instead of time: such weights mean something else here; "
            "train again with a later fairseq-signals."
        )
    names = unwrapped(state)
    tensors = {modern(names[name]): torch.as_tensor(value) for name, value in state.items()}
    finetuned = "proj.weight" in tensors or "kernel" in tensors
    said = dict(model)
    if finetuned:
        model = {**model, **encoder_sizes(tensors, prefix="encoder.")}
    settings = encoder_config(
        model,
        frozen_stem=finetuned,
        leads=tuple(leads) or input_leads({**config, "model": model}),
        rate_hz=_rate_hz(config),
    )
    encoder = ConvTransformer(settings)
    head = _head(encoder, tensors, {**model, **criterion}, classes)
    pretraining = {name for name in tensors if name.removeprefix("encoder.").startswith(PRETRAINING)}
    objective = None
    if pretraining and head is None and _has_our_objective(model):
        objective = W2VCMSC(objective_config(model, criterion), encoder)
    else:
        # Neither the encoder nor a head uses them.
        tensors = {name: value for name, value in tensors.items() if name not in pretraining}
    corrected = tuple(
        f"{name} {said[name]} is {value}"
        for name, value in model.items()
        if said.get(name) not in (None, value) and name != "conv_feature_layers"
    )
    result = FairseqModel(encoder=encoder, objective=objective, head=head, corrected=corrected)
    _load(result, tensors)
    return result


def input_leads(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the leads of a model's input columns.

    Twelve columns are the standard leads; fewer are the leads its task loaded, where it says so, and are
    taken to be the first of the standard ones where it does not.

    Raises:
        ConfigError: If there are more columns than standard leads.

    Source: METHOD §1.5.
    """
    count = int(config["model"].get("in_d") or 12)
    task = config.get("task") or {}
    loaded = task.get("leads_to_load")
    if loaded and not task.get("enable_padding_leads"):
        chosen = ast.literal_eval(loaded) if isinstance(loaded, str) else loaded
        named = canonical_leads([STANDARD_12[lead] if isinstance(lead, int) else lead for lead in chosen])
        if len(named) == count:
            return named
    if count > len(STANDARD_12):
        raise ConfigError(f"model.in_d: got {count} input columns; name the lead of each of them.")
    return STANDARD_12[:count]


def encoder_config(
    model: Mapping[str, Any],
    *,
    frozen_stem: bool,
    leads: tuple[str, ...] = STANDARD_12,
    rate_hz: float = 500.0,
) -> ConvTransformerConfig:
    """Returns our encoder configuration for one of theirs.

    Args:
        model: Theirs.
        frozen_stem: Let the convolutions learn nothing, as in fine-tuning.
        leads: One name an input column.
        rate_hz: Samples per second.

    Raises:
        ConfigError: If it differs in something our encoder fixes, or there is not one lead a column.
    """
    get: Callable[..., Any] = lambda key, default: default if model.get(key) is None else model[key]  # noqa: E731
    fixed = {
        "layer_norm_first": False,
        "extractor_mode": "default",
        "conv_bias": False,
        "quantize_input": False,
    }
    for key, accepted in fixed.items():
        if get(key, accepted) != accepted:
            raise ConfigError(f"model.{key}: got {model[key]!r}; only {accepted!r} can be loaded.")
    layers = conv_layers(get("conv_feature_layers", "[(256, 2, 2)] * 4"))
    if len(set(layers)) != 1 or layers[0][1:] != (2, 2):
        raise ConfigError(
            f"model.conv_feature_layers: got {layers}; equal layers of kernel and stride 2 are needed."
        )
    count = int(get("in_d", 12))
    if len(leads) != count:
        raise ConfigError(f"model.in_d: got {count} input columns and {len(leads)} leads; name one a column.")
    return ConvTransformerConfig(
        leads=leads,
        sampling_rate_hz=rate_hz,
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
    """Reads ``[(256, 2, 2)] * 4``, sums of such, or a list of triples; nothing else is evaluated.

    Raises:
        ConfigError: If it is something else.
    """
    try:
        listed = _literal(ast.parse(value, mode="eval").body) if isinstance(value, str) else value
        layers = [tuple(int(number) for number in layer) for layer in listed]
    except (SyntaxError, TypeError, ValueError):
        layers = []
    if not layers or any(len(layer) != 3 for layer in layers):
        raise ConfigError(
            f"model.conv_feature_layers: got {value!r}; give triples such as [(256, 2, 2)] * 4."
        )
    return layers


def _literal(node: ast.expr) -> Any:
    """Evaluates literals, and lists that are added or repeated a few times."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_literal(node.left), *_literal(node.right)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        one, other = _literal(node.left), _literal(node.right)
        listed, times = (one, other) if isinstance(other, int) else (other, one)
        return [*listed] * min(int(times), 100)
    return ast.literal_eval(node)


def _rate_hz(config: Mapping[str, Any]) -> float:
    return float((config.get("task") or {}).get("sample_rate") or 500.0)


def _has_our_objective(model: Mapping[str, Any]) -> bool:
    """Says whether the pre-training modules are those of `W2VCMSC`."""
    return bool(
        model.get("apply_mask", True)
        and model.get("quantize_targets", True)
        and not model.get("target_glu")
        and not model.get("latent_dim")
    )


def _head(
    encoder: ConvTransformer,
    tensors: Mapping[str, Tensor],
    options: Mapping[str, Any],
    classes: Sequence[str],
) -> Head | None:
    weight = tensors.get("proj.weight", tensors.get("kernel"))
    if weight is None:
        return None
    if classes and len(classes) != len(weight):
        raise ConfigError(f"classes: got {len(classes)} names for {len(weight)} outputs; name every output.")
    names = tuple(classes) or tuple(str(i) for i in range(len(weight)))
    if "proj.weight" in tensors:
        return LinearHead(HeadConfig(classes=names), encoder)
    scale, margin = float(options.get("scale", 32.0)), float(options.get("margin", 0.5))
    return ArcFaceHead(ArcFaceConfig(classes=names, scale=scale, margin=margin), encoder)


def _load(model: FairseqModel, tensors: Mapping[str, Tensor]) -> None:
    parameters = model.parameters()
    for name in (*parameters, *tensors):
        if name not in tensors:
            raise CheckpointError(
                f"weight {name}: it is missing; the configuration and the weights do not belong together."
            )
        if name not in parameters:
            raise CheckpointError(f"weight {name}: the configuration has no place for it.")
        needed = stored_shape(name, parameters[name].shape)
        if tensors[name].shape != needed:
            raise CheckpointError(
                f"weight {name}: its shape is {tuple(tensors[name].shape)}; the configuration needs {needed}."
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            value = tensors[name].reshape(parameter.shape)
            # Half precision was for storage only.
            parameter.data = value.clone() if value.dtype == torch.float64 else value.float().clone()
