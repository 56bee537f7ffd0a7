"""Export: a bundle's networks for runtimes without torch."""

from anylead.export.contract import ONNX_FORMAT, OnnxContract, OnnxHead
from anylead.export.onnx_file import Precision, export_onnx
from anylead.export.onnx_network import OnnxNetwork

__all__ = [
    "ONNX_FORMAT",
    "OnnxContract",
    "OnnxHead",
    "OnnxNetwork",
    "Precision",
    "export_onnx",
]
