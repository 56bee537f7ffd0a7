"""anylead export onnx: one file for onnxruntime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class ExportOnnxArguments:
    """Writes a file that onnxruntime runs, without torch and without anylead.

    It takes windows of any number, length and set of leads, and gives embeddings and the probabilities of
    every classification head. What it takes and gives stands in its metadata.
    """

    bundle: tyro.conf.Positional[Path]
    """Folder of a bundle, or its name on the Hugging Face Hub."""
    out: Path | None = None
    """File to write; by default model.onnx, or model_PRECISION.onnx, in the bundle's folder."""
    precision: Literal["float32", "bfloat16", "int8"] = "float32"
    """int8: smaller, faster, not quite the same numbers; bfloat16: half as large, as fast."""


def run(argv: list[str]) -> None:
    """Runs ``anylead export onnx``."""
    given, _ = parse(ExportOnnxArguments, argv, prog="anylead export onnx")

    from anylead.workflows.export_onnx import ExportOnnxConfig, write_onnx

    done = write_onnx(ExportOnnxConfig(bundle=given.bundle, out=given.out, precision=given.precision))
    print(f"{done.out}: {done.contract.precision}, gives {', '.join(done.contract.outputs)}")
