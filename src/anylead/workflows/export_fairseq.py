"""export fairseq: a run or a bundle becomes a checkpoint that fairseq-signals loads."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from anylead.bundle import load
from anylead.errors import InputError
from anylead.heads import Head
from anylead.interop.fairseq.export import to_checkpoint
from anylead.provenance import atomic_path


@dataclass(frozen=True, kw_only=True)
class ExportFairseqConfig:
    """Configuration of `export_fairseq`."""

    source: Path
    """Folder of a bundle."""
    out: Path
    """File to write."""
    head: str | None = None
    """Name of the head, where the bundle has several."""


@dataclass(frozen=True, kw_only=True)
class ExportedFairseq:
    """What was written."""

    out: Path
    kind: str
    """Their name of the model."""
    tensors: int
    notes: tuple[str, ...] = ()
    """What a user should know, one sentence each."""


def export_fairseq(config: ExportFairseqConfig) -> ExportedFairseq:
    """Writes the checkpoint.

    Raises:
        InputError: If the bundle has no such head, or several and none is named.
        ConfigError: If their code has no such model.
        BundleError: If the bundle cannot be read.
        FileError: If the disk refuses.
    """
    bundle = load(config.source)
    content = to_checkpoint(bundle.encoder, head=_head(config, dict(bundle.heads.items())))
    with atomic_path(config.out) as temporary:
        torch.save(content, temporary)
    return ExportedFairseq(
        out=config.out, kind=content["cfg"]["model"]["_name"], tensors=len(content["model"])
    )


def _head(config: ExportFairseqConfig, heads: dict[str, torch.nn.Module]) -> Head | None:
    if config.head is None and len(heads) < 2:
        return cast(Head, next(iter(heads.values()), None))
    if config.head not in heads:
        asked = "no head was named" if config.head is None else f"got head {config.head!r}"
        raise InputError(
            f"{config.source}: {asked}; the heads of this bundle are {', '.join(heads)}: name one of them."
        )
    return cast(Head, heads[config.head])
