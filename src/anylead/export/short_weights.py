"""A graph whose weights are stored in half the bytes."""

from typing import Any

import numpy as np

from anylead.export.packages import onnx_package

_SHORTEST = 256
"""Numbers from which a weight is worth the node that makes it long again."""


def with_bfloat16_weights(model: Any) -> Any:
    """Returns a copy of a graph with weights stored in bfloat16, and everything computed in single precision.

    Runtimes make the weights single precision as they load the file. onnxruntime has no matrix product in
    bfloat16 on a CPU: what this saves is half the file, not time.

    Args:
        model: ``onnx_ir.Model`` in single precision; stays as it is.
    """
    ir = onnx_package("onnx_ir")
    brain_float = np.dtype(onnx_package("ml_dtypes").bfloat16)
    copy = model.clone()
    for value in list(copy.graph.initializers.values()):
        if value.dtype != ir.DataType.FLOAT or len(value.shape) < 2 or value.const_value.size < _SHORTEST:
            continue
        short = ir.tensor(value.const_value.numpy().astype(brain_float), name=f"{value.name}_short")
        stored = ir.Value(
            name=short.name, const_value=short, shape=short.shape, type=ir.TensorType(short.dtype)
        )
        longer = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT})
        longer.outputs[0].shape, longer.outputs[0].dtype = value.shape, ir.DataType.FLOAT
        ir.convenience.replace_all_uses_with(value, longer.outputs[0])
        copy.graph.insert_before(copy.graph[0], longer)
        copy.graph.initializers.pop(value.name)
        copy.graph.register_initializer(stored)
    return copy
