"""Our encoder, objective and head as a checkpoint that fairseq-signals loads."""

from typing import Any

from torch import Tensor

from anylead.encoders import ConvTransformer, Encoder, encoder_kind
from anylead.errors import ConfigError
from anylead.heads import ArcFaceHead, Head, LinearHead, head_kind
from anylead.interop.fairseq.models import FairseqModel
from anylead.interop.fairseq.names import stored_shape
from anylead.objectives import W2VCMSC, Objective


def to_checkpoint(
    encoder: Encoder, *, objective: Objective | None = None, head: Head | None = None, updates: int = 0
) -> dict[str, Any]:
    """Returns what `torch.save` is to write: plain values and tensors, in the layout of METHOD §7.1.

    Args:
        encoder: A `ConvTransformer`; their code has no other of ours.
        objective: Makes it a pre-training model, ``wav2vec2_cmsc``; not together with a head.
        head: Makes it an ``ecg_transformer_classifier`` or an ``arcface`` model.
        updates: Optimizer updates done.

    Raises:
        ConfigError: If their code has no such encoder, head or read-out.

    Source: METHOD §7.1 and §7.2.
    """
    if not isinstance(encoder, ConvTransformer):
        raise ConfigError(
            f"export fairseq: the encoder is {encoder_kind(encoder)}; fairseq-signals has only "
            "conv_transformer."
        )
    if not (objective is None or isinstance(objective, W2VCMSC)):
        raise ConfigError(
            f"export fairseq: the objective is {type(objective).__name__}; fairseq-signals has W2VCMSC alone."
        )
    for name, needed in (("norm_first", False), ("conv_kernels", None)):
        given = getattr(encoder.config, name)
        if given != needed:
            raise ConfigError(
                f"export fairseq: the encoder has {name}={given}; only {needed} can be exported."
            )
    _check_head(head)
    model = FairseqModel(encoder=encoder, objective=objective, head=head)
    return {
        "args": None,
        "cfg": _config(encoder, objective, head),
        "model": {name: _stored(name, value) for name, value in model.parameters().items()},
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": _CRITERIA[_kind(objective, head)][1],
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {},
                "num_updates": updates,
            }
        ],
        "task_state": {},
        "extra_state": {
            "metrics": {},
            "previous_training_time": 0.0,
            "train_iterator": {"epoch": 1, "iterations_in_epoch": 0, "shuffle": True},
            "val_loss": None,
        },
        "last_optimizer_state": {"state": {}, "param_groups": []},
    }


_CRITERIA = {
    "wav2vec2_cmsc": ("wav2vec2_with_cmsc", "Wav2Vec2WithCMSCCriterion", "ecg_pretraining"),
    "ecg_transformer": ("wav2vec2_with_cmsc", "Wav2Vec2WithCMSCCriterion", "ecg_pretraining"),
    "ecg_transformer_classifier": (
        "binary_cross_entropy_with_logits",
        "BinaryCrossEntropyWithLogitsCriterion",
        "ecg_classification",
    ),
    "arcface": ("arcface", "ArcFaceCriterion", "ecg_identification"),
}
"""Their model -> names of criterion, criterion class and task."""


def _kind(objective: W2VCMSC | None, head: Head | None) -> str:
    if isinstance(head, LinearHead):
        return "ecg_transformer_classifier"
    if isinstance(head, ArcFaceHead):
        return "arcface"
    return "ecg_transformer" if objective is None else "wav2vec2_cmsc"


def _check_head(head: Head | None) -> None:
    if head is None:
        return
    if not isinstance(head, LinearHead | ArcFaceHead):
        raise ConfigError(
            f"export fairseq: the head is {head_kind(head)}; fairseq-signals has linear and arcface: "
            "fine-tune one of these, or export a bundle without heads."
        )
    readout = head.config.readout
    if readout.layer is not None or readout.pooling != "mean":
        raise ConfigError(
            f"export fairseq: the head reads layer {readout.layer} with pooling {readout.pooling}; "
            "fairseq-signals reads the last layer's mean."
        )


def _stored(name: str, value: Tensor) -> Tensor:
    return value.detach().reshape(stored_shape(name, value.shape)).contiguous().clone()


def _config(encoder: ConvTransformer, objective: W2VCMSC | None, head: Head | None) -> dict[str, Any]:
    config = encoder.config
    kind = _kind(objective, head)
    criterion, _, task = _CRITERIA[kind]
    model: dict[str, Any] = {
        "_name": kind,
        "all_gather": False,
        "apply_mask": objective is not None,
        "conv_feature_layers": f"[({config.conv_channels}, 2, 2)] * {config.conv_layers}",
        "in_d": len(config.leads),
        "extractor_mode": "default",
        "conv_bias": False,
        "feature_grad_mult": config.feature_gradient_scale,
        "conv_pos": config.position_kernel,
        "conv_pos_groups": config.position_groups,
        "encoder_layers": config.layers,
        "encoder_embed_dim": config.dimension,
        "encoder_ffn_embed_dim": config.feedforward,
        "encoder_attention_heads": config.heads,
        "encoder_layerdrop": 0.0,
        "layer_norm_first": False,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "dropout_input": config.input_dropout,
    }
    criterion_config: dict[str, Any] = {"_name": criterion}
    if objective is not None:
        settings = objective.config
        model |= {
            "dropout_features": settings.feature_dropout,
            "mask_prob": settings.reference_probability,
            "mask_length": settings.span,
            "quantize_targets": True,
            "final_dim": settings.final_dimension,
            "latent_vars": settings.entries,
            "latent_groups": settings.groups,
            "latent_temp": [settings.gumbel_start, settings.gumbel_floor, settings.gumbel_decay],
            "num_negatives": settings.negatives,
            "logit_temp": settings.contrast_temperature,
        }
        criterion_config |= {
            "infonce": True,
            "loss_weights": [settings.diversity_weight, settings.penalty_weight],
            "temp": settings.cmsc_temperature,
            "eps": 1e-8,
            "cmsc_weights": None if settings.cmsc_weight == 1.0 else settings.cmsc_weight,
            "log_keys": ["prob_perplexity", "code_perplexity", "temp"],
        }
    if head is not None:
        model |= {"num_labels": len(head.config.classes), "model_path": None, "no_pretrained_weights": True}
    if isinstance(head, ArcFaceHead):
        criterion_config |= {"scale": head.config.scale, "margin": head.config.margin}
    return {
        "_name": None,
        "common": {"seed": 1, "fp16": False},
        "model": model,
        # Their fine-tuning sets `data`, and can only where it is there.
        "task": {"_name": task, "data": "", "normalize": False, "filter": False},
        "criterion": criterion_config,
        "optimizer": {"_name": "adam"},
        "lr_scheduler": {"_name": "fixed"},
    }
