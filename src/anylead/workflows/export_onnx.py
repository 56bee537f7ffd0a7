"""export onnx: a bundle becomes a file that onnxruntime runs, without torch and without anylead."""

from dataclasses import dataclass
from pathlib import Path

from anylead.bundle import load
from anylead.errors import ConfigError
from anylead.export import OnnxContract, Precision, export_onnx


@dataclass(frozen=True, kw_only=True)
class ExportOnnxConfig:
    """What to export, and where to.

    Raises:
        ConfigError: If there is no file to write to.
    """

    bundle: Path
    out: Path | None = None
    """File to write; `default_file` of the bundle's folder where None."""
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.out is None and not self.bundle.is_dir():
            raise ConfigError(
                f"export onnx: {self.bundle} is not a folder to write to; say where with --out model.onnx."
            )


@dataclass(frozen=True, kw_only=True)
class ExportedOnnx:
    """What was written."""

    out: Path
    contract: OnnxContract


def default_file(bundle: Path, precision: Precision = "float32") -> Path:
    """Returns where the ONNX file of a bundle's folder lies, unless somebody says otherwise."""
    return bundle / ("model.onnx" if precision == "float32" else f"model_{precision}.onnx")


def write_onnx(config: ExportOnnxConfig) -> ExportedOnnx:
    """Writes the file.

    Raises:
        BundleError: If the bundle cannot be read.
        ConfigError: If a package of the extra ``onnx`` is not installed.
        FileError: If the disk refuses.
    """
    out = config.out or default_file(config.bundle, config.precision)
    contract = export_onnx(load(config.bundle), out, precision=config.precision)
    return ExportedOnnx(out=out, contract=contract)
