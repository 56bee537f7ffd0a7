"""anylead export fairseq: our weights in their code."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class ExportFairseqArguments:
    """Writes a checkpoint that fairseq-signals loads.

    A run of `anylead pretrain` gives a pre-training checkpoint of W2V+CMSC, from its newest checkpoint. A
    bundle gives a classifier where it has a linear head, an identification model where it has an ArcFace
    head, and the encoder alone where it has none.
    """

    source: tyro.conf.Positional[Path]
    """Folder of a run or of a bundle."""
    out: Path
    """File to write, such as model.pt."""
    head: str | None = None
    """Name of the head, where a bundle has several."""


def run(argv: list[str]) -> None:
    """Runs ``anylead export fairseq``."""
    given, _ = parse(ExportFairseqArguments, argv, prog="anylead export fairseq")

    from anylead.workflows.export_fairseq import ExportFairseqConfig, export_fairseq

    result = export_fairseq(ExportFairseqConfig(source=given.source, out=given.out, head=given.head))
    print("\n".join([f"{result.out}: {result.kind}, {result.tensors} tensors", *result.notes]))
