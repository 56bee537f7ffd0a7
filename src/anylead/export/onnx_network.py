"""An ONNX file as what a bundle runs over windows."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.errors import FileError
from anylead.export.contract import EMBEDDING, METADATA_NAME, OnnxContract
from anylead.export.packages import onnx_package


class OnnxNetwork:
    """The networks of a bundle, run by onnxruntime on the CPU.

    What it gives has the shape of `Bundle.reader` and `Bundle.classifier`, so that recordings are prepared,
    cut and averaged for it as they are for the bundle's own networks.

    Args:
        path: File from `export_onnx`.

    Raises:
        ConfigError: If onnxruntime is not installed.
        FileError: If the file is absent, damaged, not one of `export_onnx`, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        runtime = onnx_package("onnxruntime")
        if not Path(path).is_file():
            raise FileError(f"{path}: there is no such file; write it with `anylead export onnx`.")
        try:
            self._session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no base but Exception
            reason = " ".join(str(error).split())
            raise FileError(
                f"{path}: onnxruntime cannot load the file ({reason}); export it again."
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_NAME not in metadata:
            raise FileError(
                f"{path}: the file does not say what it takes and gives; give one that "
                "`anylead export onnx` wrote."
            )
        self.path = Path(path)
        self.contract = OnnxContract.from_json(metadata[METADATA_NAME], where=str(path))

    def require_bundle(self, bundle: Bundle) -> None:
        """Checks that the file was made of a bundle.

        Raises:
            FileError: If it was made of another, or of this one before it was changed.
        """
        if self.contract.bundle != bundle.fingerprint():
            raise FileError(
                f"{self.path}: the file was made of bundle {self.contract.bundle} and this is bundle "
                f"{bundle.fingerprint()}; export it again."
            )

    def reader(self) -> Callable[[Batch], Tensor]:
        """Returns what makes embeddings (B, E) of a batch."""
        return lambda batch: self._run(EMBEDDING, batch)

    def classifier(self, head: str) -> Callable[[Batch], Tensor]:
        """Returns what makes probabilities (B, C) of a batch, by one of the contract's heads."""
        output = self.contract.heads[head].output
        return lambda batch: self._run(output, batch)

    def _run(self, output: str, batch: Batch) -> Float[Tensor, "B _"]:
        chosen = batch.select(self.contract.leads)
        inputs = {
            "signal": chosen.signal.numpy(),
            "lead_mask": chosen.lead_mask.numpy(),
            "sample_mask": chosen.sample_mask.numpy(),
        }
        (values,) = self._session.run([output], inputs)
        return torch.from_numpy(values)
