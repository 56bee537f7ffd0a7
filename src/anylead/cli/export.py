"""anylead export: a model in another format."""

import importlib

from anylead.cli.arguments import choose

FORMATS = {
    "fairseq": "a checkpoint for fairseq-signals",
    "hub": "a folder for the Hugging Face Hub, with a model card",
    "onnx": "one file for onnxruntime, without torch",
}
"""Format -> what it is. Its code is `run` in the module ``export_FORMAT``, loaded when it is called."""


def run(argv: list[str]) -> None:
    """Runs ``anylead export`` for one format."""
    name, rest = choose(argv, FORMATS, prog="anylead export")
    importlib.import_module(f"anylead.cli.export_{name}").run(rest)
