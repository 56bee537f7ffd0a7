"""anylead embed: recordings to vectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from anylead.cli.arguments import leads, parse
from anylead.cli.dispatch import FAILED, OK


@dataclass(frozen=True, kw_only=True)
class EmbedArguments:
    """Turns recordings into vectors: one row a recording, with id, path, leads used, flags and embedding.

    Patient, split, source and labels stand beside them where they are known.
    A vector can identify the person it came from; treat it as personal data.
    """

    bundle: tyro.conf.Positional[Path]
    """Folder of a bundle, or its name on the Hugging Face Hub."""
    files: tyro.conf.Positional[tuple[Path, ...]]
    """Recordings, folders of recordings, and stores that were prepared as the bundle's recordings are."""
    out: Path
    """Parquet file to write."""
    leads: tuple[str, ...] = ()
    """Leads to use: I,II or a set (12, 8, 6, 4, 3, 2); by default all the encoder knows."""
    batch_size: int = 64
    """Windows at a time."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the encoder."""
    model: Path | None = None
    """File from `anylead export onnx` for the runtime onnx; by default model.onnx in the bundle's folder."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the runtime torch: bfloat16 is faster where the processor has it."""


def run(argv: list[str]) -> int:
    """Runs ``anylead embed``; a recording that cannot be embedded makes it a failure; the rest is written."""
    given, _ = parse(EmbedArguments, argv, prog="anylead embed")

    from anylead.workflows.embed import EmbedConfig, embed

    summary = embed(
        EmbedConfig(
            bundle=given.bundle,
            files=given.files,
            out=given.out,
            leads=leads(given.leads) or None,
            batch_size=given.batch_size,
            runtime=given.runtime,
            model=given.model,
            precision=given.precision,
            progress=True,
        )
    )
    where = f"{summary.out}: " if summary.out else ""
    print(f"{where}embedded {summary.embedded}, failed {len(summary.failed)}")
    return FAILED if summary.failed else OK
