"""export fairseq: a run or a bundle becomes a checkpoint that fairseq-signals loads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from anylead.bundle import Bundle, load
from anylead.config import read_yaml
from anylead.encoders import Encoder, build_encoder
from anylead.engine.checkpoint import checkpoints
from anylead.errors import CheckpointError, InputError
from anylead.heads import ArcFaceHead, Head
from anylead.interop.fairseq.checkpoint import write_checkpoint
from anylead.interop.fairseq.export import to_checkpoint
from anylead.leads import STANDARD_12
from anylead.objectives import build_objective
from anylead.workflows.pretrain import BUNDLE, CHECKPOINTS, CONFIG_FILE, read_pretrain_config

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExportFairseqConfig:
    """Configuration of `export_fairseq`."""

    source: Path
    """Folder of a run or of a bundle."""
    out: Path
    """File to write."""
    head: str | None = None
    """Name of the head, where a bundle has several."""


@dataclass(frozen=True, kw_only=True)
class ExportedFairseq:
    """What was written."""

    out: Path
    kind: str
    """Their name of the model."""
    tensors: int
    notes: tuple[str, ...]
    """What a user should know, one sentence each."""


def export_fairseq(config: ExportFairseqConfig) -> ExportedFairseq:
    """Writes the checkpoint.

    A run of pre-training gives its newest checkpoint, with all that pre-training needs; a bundle gives its
    encoder and, where it has one, its head.

    Raises:
        InputError: If there is no such head, or there are several and none is named.
        ConfigError: If their code has no such encoder, objective, head or read-out.
        CheckpointError: If no checkpoint of the run can be read.
        BundleError: If there is no bundle, or it cannot be read.
        FileError: If the disk refuses.
    """
    saved = checkpoints(config.source / CHECKPOINTS)
    if saved and config.head is not None:
        raise InputError(
            f"{config.source}: got head {config.head!r}; a run of pre-training has none: leave it out, or "
            "name a bundle."
        )
    content, encoder, notes = _of_run(config.source, saved) if saved else _of_bundle(config)
    write_checkpoint(content, config.out)
    return ExportedFairseq(
        out=config.out,
        kind=content["cfg"]["model"]["_name"],
        tensors=len(content["model"]),
        notes=(*notes, *_encoder_notes(encoder)),
    )


def _of_run(run: Path, saved: list[Path]) -> tuple[dict[str, Any], Encoder, list[str]]:
    config = read_pretrain_config(read_yaml(run / CONFIG_FILE), where=str(run / CONFIG_FILE))
    encoder = build_encoder(config.encoder_config)
    objective = build_objective(config.objective, encoder)
    newest = _newest(run, saved)
    encoder.load_state_dict(newest["encoder"])
    objective.load_state_dict(newest["objective"])
    notes = [
        "the optimizer's state stays behind: to go on training there, give checkpoint.finetune_from_model.",
    ]
    return to_checkpoint(encoder, objective=objective, updates=newest["step"]), encoder, notes


def _newest(run: Path, saved: list[Path]) -> Mapping[str, Any]:
    for path in reversed(saved):
        try:
            content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return content
        except Exception:  # torch, zipfile and pickle raise many kinds for damaged files
            _log.warning("%s cannot be read; it is passed over.", path)
    raise CheckpointError(
        f"{run}: none of its {len(saved)} checkpoints can be read; export its bundle instead."
    )


def _of_bundle(config: ExportFairseqConfig) -> tuple[dict[str, Any], Encoder, list[str]]:
    inside = config.source / BUNDLE
    bundle = load(inside if inside.is_dir() else config.source)
    head = _head(bundle, config)
    encoder = bundle.encoder
    steps = ", ".join(str(step["kind"]) for step in bundle.manifest.preparation["steps"])
    notes = [
        f"fairseq-signals prepares nothing: feed it segments of {bundle.manifest.window_s:g} s at "
        f"{encoder.sampling_rate_hz:g} Hz that went through this bundle's steps ({steps}).",
    ]
    if head is None:
        notes.append("it has no head: give it as model.model_path to fine-tune it there.")
    elif not isinstance(head, ArcFaceHead):
        notes.append(
            f"fairseq-signals keeps no names of classes; in order they are {', '.join(head.config.classes)}."
        )
    return to_checkpoint(encoder, head=head), encoder, notes


def _head(bundle: Bundle, config: ExportFairseqConfig) -> Head | None:
    heads = dict(bundle.heads.items())
    if config.head is None and len(heads) < 2:
        return cast(Head | None, next(iter(heads.values()), None))
    if config.head in heads:
        return cast(Head, heads[config.head])
    asked = "no head was named" if config.head is None else f"got head {config.head!r}"
    there = (
        f"the heads of this bundle are {', '.join(heads)}: name one of them" if heads else "it has no head"
    )
    raise InputError(f"{config.source}: {asked}; {there}.")


def _encoder_notes(encoder: Encoder) -> list[str]:
    notes = []
    if not encoder.reference:
        notes.append(
            "outputs are equal where nothing is padded; with padding they differ, as fairseq-signals counts "
            "padded samples in its norm and anylead does not."
        )
    if encoder.leads != STANDARD_12:
        notes.append(f"its input columns are {', '.join(encoder.leads)}, in this order.")
    return notes
