"""Replaying fairseq-signals' computations on given draws: how this package is checked against it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders import ConvTransformer
from anylead.errors import InputError
from anylead.heads import ArcFaceHead, LinearHead
from anylead.heads.arcface import arcface_loss, margin_logits
from anylead.heads.classification import multilabel_loss
from anylead.interop.fairseq.models import FairseqModel, build
from anylead.objectives.masked_contrast import hidden_from_mask
from anylead.objectives.w2v_cmsc import W2VCMSC, W2VDraws, W2VOutputs

Arrays = dict[str, np.ndarray]


def replay(
    config: Mapping[str, Any],
    state: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    *,
    gradients: bool = False,
) -> Arrays:
    """Runs our encoder, objective and heads on a fairseq-signals model's weights, inputs and draws.

    Nothing is computed here a second time: the production functions run in reference mode and their
    results are returned under the names fairseq-signals' dumps use.

    Args:
        config: ``{"model": ..., "criterion": ...}`` as fairseq-signals writes them.
        state: Parameter name -> array. ``proj.*`` makes it a classifier, ``kernel`` an ArcFace model,
            ``mask_emb`` a pre-training model; otherwise it is an encoder alone.
        arrays: ``source`` (B, L, N) in mV and, where they apply: ``source_padding_mask`` (B, L, N) or
            (B, N), True where padded; ``mask_indices`` (B, T); ``out/negative_indices`` (B, M*K) into the
            flattened targets; ``out/gumbel_noise`` (B*M*G, V) and ``out/gumbel_tau``, which mean training
            mode; ``patient_id`` (B) and ``segment`` (B), without which there is no CMSC term; ``labels``
            (B, C) for a classifier, (B) for ArcFace.
        gradients: Also return the gradient of the summed total loss as ``grad/<parameter>``; a parameter
            that gets none has an array of size 0.

    Returns:
        Name -> array: ``out/*`` for every stage, ``loss/*``, ``accuracy_*`` for pre-training;
        ``encoder_out``, ``logits``, ``bce_sum``, ``sample_size`` for a classifier; ``encoder_out``,
        ``embedding``, ``cosine``, ``logits``, ``arcface_sum``, ``sample_size`` for ArcFace.

    Raises:
        InputError: If an array that is needed is missing.
        ConfigError: If the configuration is of a model we do not have.
        CheckpointError: If configuration and weights do not belong together.
    """
    _need(arrays, "source")
    model = build(config, state)
    batch = _batch(model.encoder, arrays)
    if model.head is not None:
        results, loss = _replay_head(model, batch, arrays)
    elif model.objective is not None and "mask_indices" in arrays:
        results, loss = _replay_objective(model, batch, arrays)
    else:
        model.encoder.eval()
        features = model.encoder(batch)
        results, loss = {"encoder_out": features.tokens, "out/encoder_out": features.tokens}, None
        results["out/pooled_features"] = features.pooled
    arrays_out = {name: _array(value) for name, value in results.items()}
    if gradients and loss is not None:
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.parameters().items():
            gradient = parameter.grad
            empty = np.zeros(0, dtype=np.float32)
            shape = tuple(state[name].shape) if name in state else tuple(parameter.shape)
            arrays_out[f"grad/{name}"] = empty if gradient is None else _array(gradient).reshape(shape)
    return arrays_out


def _need(arrays: Mapping[str, np.ndarray], *names: str) -> None:
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(
            f"replay: array {', '.join(missing)} is missing; it has {', '.join(sorted(arrays))}."
        )


def _batch(encoder: ConvTransformer, arrays: Mapping[str, np.ndarray]) -> Batch:
    signal = torch.as_tensor(arrays["source"])
    rows, leads, samples = signal.shape
    present = torch.ones(rows, samples, dtype=torch.bool)
    if "source_padding_mask" in arrays:
        padding = torch.as_tensor(arrays["source_padding_mask"]).bool()
        present = ~(padding[:, 0] if padding.ndim == 3 else padding)
    zeros = torch.zeros(rows, dtype=torch.int64)
    patient = torch.as_tensor(arrays["patient_id"]).long() if "patient_id" in arrays else zeros
    segment = torch.as_tensor(arrays["segment"]).long() if "segment" in arrays else zeros
    return Batch(
        signal=signal,
        lead_mask=torch.ones(rows, leads, dtype=torch.bool),
        sample_mask=present,
        leads=encoder.leads,
        sampling_rate_hz=encoder.sampling_rate_hz,
        padded=not bool(present.all()),
        row=torch.arange(rows),
        patient=patient,
        segment=segment,
    )


def _replay_objective(
    model: FairseqModel, batch: Batch, arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Tensor]:
    objective = model.objective
    assert objective is not None
    _need(arrays, "out/negative_indices")
    training = "out/gumbel_noise" in arrays
    model.encoder.train(training)
    objective.train(training)
    draws = _draws(objective, arrays)
    with _Recorder(model.encoder) as recorded:
        outputs = objective.outputs(model.encoder, batch, draws)
    loss = objective.loss_of(outputs, batch, draws)
    stem = [frames.mT for frames in model.encoder.stem.layer_outputs(model.encoder.signal_of(batch), None)]
    value = loss.value
    if "patient_id" not in arrays:
        value = value - loss.count * objective.config.cmsc_weight * loss.terms["cmsc"]
    return {
        **{f"out/conv_layer{i}": frames for i, frames in enumerate(stem)},
        "out/conv_features": stem[-1],
        **recorded.results(),
        **_objective_results(objective, outputs, draws, arrays),
        **_loss_results(objective, loss.terms, loss.count, value),
        "accuracy_correct": (loss.terms["contrast_accuracy"] * loss.count).round().long(),
        "accuracy_count": loss.count,
    }, value


def _draws(objective: W2VCMSC, arrays: Mapping[str, np.ndarray]) -> W2VDraws:
    mask = torch.as_tensor(arrays["mask_indices"]).bool()
    rows = mask.shape[0]
    places = int(mask.sum(dim=1).max())
    first = (torch.arange(rows) * places)[:, None, None]
    negatives = torch.as_tensor(arrays["out/negative_indices"]).long().view(rows, places, -1) - first
    noise = None
    if "out/gumbel_noise" in arrays:
        config = objective.config
        noise = torch.as_tensor(arrays["out/gumbel_noise"]).view(rows, places, config.groups, config.entries)
    return W2VDraws(
        hidden=hidden_from_mask(mask, places),
        negatives=negatives,
        noise=noise,
        temperature=float(arrays.get("out/gumbel_tau", np.float64(objective.config.gumbel_start))),
    )


def _objective_results(
    objective: W2VCMSC, outputs: W2VOutputs, draws: W2VDraws, arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    quantized, hidden = outputs.quantized, draws.hidden
    rows, places, width = outputs.targets.shape
    index = draws.negatives.permute(2, 0, 1).reshape(-1, rows, places, 1).expand(-1, -1, -1, width)
    pick = hidden.places.unsqueeze(-1).expand(-1, -1, outputs.tokens.values.shape[-1])
    return {
        "out/quantizer_input": outputs.tokens.values.gather(1, pick),
        "out/quantizer_logits": quantized.logits.flatten(0, 1).flatten(1),
        "out/quantized": quantized.values,
        "out/prob_perplexity": quantized.soft_perplexity,
        "out/code_perplexity": quantized.hard_perplexity,
        "out/num_vars": np.int64(objective.config.groups * objective.config.entries),
        "out/temp": np.float64(draws.temperature),
        "out/projected_targets": outputs.targets,
        "out/negative_indices": np.asarray(arrays["out/negative_indices"]),
        "out/negatives": outputs.targets.unsqueeze(0).expand(len(index), -1, -1, -1).gather(2, index),
        "out/projected_context": outputs.context,
        # Their rows run over the batch first, then over places.
        "out/infonce_logits": outputs.logits.transpose(0, 1).flatten(0, 1),
        "out/pooled_features": outputs.features.pooled,
    }


def _loss_results(
    objective: W2VCMSC, terms: Mapping[str, Tensor], count: Tensor | float, total: Tensor
) -> dict[str, Any]:
    config = objective.config
    return {
        "loss/total": total,
        "loss/sample_size": count,
        "loss/infonce_sum": terms["contrast"] * count,
        "loss/infonce_mean": terms["contrast"],
        "loss/diversity_weighted": config.diversity_weight * count * terms["diversity"],
        "loss/feature_penalty_weighted": config.penalty_weight * count * terms["penalty"],
        "loss/cmsc_weighted": config.cmsc_weight * count * terms["cmsc"],
        "loss/cmsc_mean": terms["cmsc"],
    }


def _replay_head(
    model: FairseqModel, batch: Batch, arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Tensor | None]:
    head = model.head
    model.encoder.eval()
    with _Recorder(model.encoder) as recorded:
        if isinstance(head, ArcFaceHead):
            embedding = head.embed(model.encoder, batch)
            output = head.cosines(embedding)
        else:
            assert isinstance(head, LinearHead)
            output = head(model.encoder, batch)
    encoded = recorded.results()
    results: dict[str, Any] = {**encoded, "encoder_out": encoded["out/encoder_out"]}
    labels = torch.as_tensor(arrays["labels"]) if "labels" in arrays else None
    if isinstance(head, LinearHead):
        # Their classifier blanks padded frames in place, also in what it returns.
        present = model.encoder.token_mask(batch).unsqueeze(-1)
        results["encoder_out"] = torch.where(present, results["encoder_out"], 0.0)
        results["logits"] = output
        if labels is None:
            return results, None
        loss = multilabel_loss(output, labels.to(output.dtype))
        return {
            **results,
            "bce_sum": loss.value,
            "loss/total": loss.value,
            "sample_size": loss.count,
        }, loss.value
    assert isinstance(head, ArcFaceHead)
    results |= {"embedding": embedding, "cosine": output}
    if labels is None:
        return results, None
    scale, margin = head.config.scale, head.config.margin
    value = arcface_loss(output, labels.long(), scale=scale, margin=margin)
    results["logits"] = margin_logits(output, labels.long(), scale=scale, margin=margin)
    return {**results, "arcface_sum": value, "loss/total": value, "sample_size": np.int64(len(batch))}, value


class _Recorder:
    """Keeps what the encoder's modules return during one forward pass, under fairseq-signals' names."""

    def __init__(self, encoder: ConvTransformer) -> None:
        self._seen: dict[str, Tensor] = {}
        self._encoder = encoder
        self._names: dict[str, nn.Module] = {
            "features_normed": encoder.frame_norm,
            "post_extract_proj": encoder.project,
            "conv_pos_out": encoder.position,
            "encoder_layer_norm_out": encoder.context_norm,
            **{f"layer{i}": block for i, block in enumerate(encoder.blocks)},
        }
        self._handles: list[Any] = []

    def __enter__(self) -> "_Recorder":
        for name, module in self._names.items():
            self._handles.append(module.register_forward_hook(self._keep(name)))
        self._handles.append(self._encoder.position.register_forward_pre_hook(self._keep_input))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._seen[name] = output

        return hook

    def _keep_input(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._seen["masked_input"] = inputs[0]

    def results(self) -> dict[str, Tensor]:
        layers = len(self._encoder.blocks)
        named = {f"out/{name}": value for name, value in self._seen.items() if not name.startswith("layer")}
        named |= {f"out/encoder_layer{i}_TBC": self._seen[f"layer{i}"].transpose(0, 1) for i in range(layers)}
        return {**named, "out/encoder_out": self._seen[f"layer{layers - 1}"]}


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
