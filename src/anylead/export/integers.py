"""A graph whose products with weights are those of 8-bit integers."""

from typing import Any

import numpy as np

from anylead.export.packages import onnx_package

_LARGEST = 127
"""Of a quantised number; activations are moved up by `_ZERO`, for processors multiply unsigned by signed."""
_STEP = np.float32(1 / _LARGEST)
"""Between neighbouring integers, as a part of the largest number."""
_ZERO = np.uint8(128)
_GELU_LOWEST = np.float32(0.17)
"""How far below 0 a GELU goes, to the nearest hundredth: its largest number need be looked for only above."""
_NARROW = 16
"""Channels a group of the positional convolution has at most to be computed by blocks of 8 frames, not 4."""


def with_integer_products(model: Any) -> Any:
    """Returns a copy of a graph with products of 8-bit integers.

    Weights are quantised once, each output channel by its largest number. Activations are quantised as they
    come, each frame by its own largest number (for the positional convolution, which mixes frames, each
    window): what a window gives depends neither on its batch mates nor on what is absent, and an artefact
    coarsens no other frame. Products of two activations, norms, softmax and what comes after pooling stay in
    single precision.

    Args:
        model: ``onnx_ir.Model`` in single precision; stays as it is.
    """
    ir = onnx_package("onnx_ir")
    copy = model.clone()
    copy.graph.opset_imports["com.microsoft"] = 1
    writer = _Writer(ir, copy.graph)
    for node in list(copy.graph):
        if node.op_type == "MatMul" and _is_weight(node.inputs[1], rank=2) and _has_frames(node.inputs[0]):
            writer.product(node)
        elif node.op_type == "Conv" and _is_weight(node.inputs[1], rank=3) and _slides(node):
            writer.convolution(node)
    passes = onnx_package("onnx_ir.passes.common")
    passes.RemoveUnusedNodesPass()(copy)
    return copy


def _is_weight(value: Any, *, rank: int) -> bool:
    return value.const_value is not None and len(value.shape) == rank


def _has_frames(value: Any) -> bool:
    """Whether there are more than batch and channels: what is pooled is small, and stays as it is."""
    return value.shape is not None and len(value.shape) > 2


def _producer(value: Any) -> str | None:
    """Returns which operator made the numbers of a value, however they have been laid out since."""
    node = value.producer()
    while node is not None and node.op_type in ("Reshape", "Slice", "Transpose"):
        node = node.inputs[0].producer()
    return None if node is None else str(node.op_type)


def _slides(node: Any) -> bool:
    """Whether a convolution is the positional one: frame by frame, in groups, padded by half its taps."""
    told = {name: attribute.value for name, attribute in node.attributes.items()}
    filters, width, taps = node.inputs[1].shape
    before = node.inputs[0].producer()
    return (
        told.get("group", 1) > 1
        and filters == width * told["group"]
        and list(told.get("pads", ())) == [taps // 2, taps // 2]
        and set(told.get("strides", ())) | set(told.get("dilations", ())) <= {1}
        and before is not None
        and before.op_type == "Transpose"
        and list(before.attributes["perm"].value) == [0, 2, 1]
    )


def _quantised_weight(weight: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns integers, and what they are multiplied by: one number for all along `axes`."""
    scale = np.abs(weight).max(axis=axes, keepdims=True) / _LARGEST
    scale = np.where(scale > 0, scale, 1.0)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)


class _Writer:
    """Replaces nodes of a graph.

    Args:
        ir: The package.
        graph: Is changed.
    """

    def __init__(self, ir: Any, graph: Any) -> None:
        self.ir = ir
        self.graph = graph
        self.constants: dict[tuple[str, str], Any] = {}
        self.integers: dict[Any, tuple[Any, Any]] = {}
        self.nodes: list[Any] = []

    def product(self, node: Any) -> None:
        """Replaces a product of frames (B, ..., K) with a weight (K, N)."""
        x, weight = node.inputs
        self.nodes = []
        if x not in self.integers:
            self.integers[x] = self.quantised(x, axes=[-1])
        integers, scale = self.integers[x]
        constant, weight_scale = _quantised_weight(weight.const_value.numpy(), axes=(0,))
        # onnxruntime's own operator: the sums are made floating-point numbers as they are written.
        scaled = self.op(
            "MatMulIntegerToFloat",
            *(integers, self.constant(constant)),
            *(self.constant(_STEP), self.constant(weight_scale[0]), self.constant(_ZERO)),
            domain="com.microsoft",
        )
        self.replace(node, self.op("Mul", scaled, scale))

    def convolution(self, node: Any) -> None:
        """Replaces the positional convolution of (B, D, T).

        As one product a group: a block of `step` frames is made of the `step + taps` frames around it, by a
        matrix that holds the taps once for each frame of the block, moved down by one each time.
        """
        x = node.inputs[0].producer().inputs[0]
        weight = node.inputs[1].const_value.numpy()
        dimension, width, taps = weight.shape
        groups, half = dimension // width, taps // 2
        step = 8 if width <= _NARROW else 4
        around = -(-taps // step) + 1
        self.nodes = []
        rows, frames = self.op("Shape", x, start=0, end=1), self.op("Shape", x, start=1, end=2)
        one, steps, halves = (self.constant(np.array([n])) for n in (1, step, half))
        # As many blocks as hold the frames, and the one more that an even kernel makes.
        blocks = self.op("Add", self.op("Div", frames, steps), one)
        length = self.op("Mul", blocks, steps)
        after = self.op("Sub", self.constant(np.array([(around - 1) * step - half])), frames)
        pads = self.op("Concat", halves, self.op("Add", length, after), axis=0)
        padded = self.op("Pad", x, pads, None, one)
        integers, scale = self.quantised(padded, axes=[1, 2])
        joined = self.constant(np.array([0, -1, step, groups, width]))
        apart = self.op("Transpose", self.op("Reshape", integers, joined), perm=[3, 0, 1, 2, 4])
        apart = self.op("Reshape", apart, self.constant(np.array([0, 0, 0, step * width])))
        count = self.op("Squeeze", blocks, self.constant(np.array([0])))
        first = self.op("Range", self.constant(np.array(0)), count, self.constant(np.array(1)))
        first = self.op("Unsqueeze", first, one)
        seen = self.op("Add", first, self.constant(np.arange(around)[None]))
        windows = self.op("Gather", apart, seen, axis=2)
        flat = self.constant(np.array([groups, -1, around * step * width]))
        windows = self.op("Reshape", windows, flat)
        quantised, weight_scale = _quantised_weight(weight, axes=(1, 2))
        matrix = self.matrix(quantised.reshape(groups, width, width, taps), step=step, around=around)
        total = self.op("MatMulInteger", windows, matrix, self.constant(_ZERO))
        shape = self.op(
            "Concat",
            self.constant(np.array([groups])),
            rows,
            blocks,
            self.constant(np.array([step, width])),
            axis=0,
        )
        total = self.op("Transpose", self.op("Reshape", total, shape), perm=[1, 2, 3, 0, 4])
        whole = self.op("Concat", rows, length, self.constant(np.array([dimension])), axis=0)
        wide = self.op("Cast", self.op("Reshape", total, whole), to=self.ir.DataType.FLOAT)
        y = self.op("Mul", self.op("Mul", wide, self.constant(_STEP * weight_scale[:, 0, 0])), scale)
        if len(node.inputs) > 2:
            y = self.op("Add", y, node.inputs[2])
        kept = self.op("Add", frames, self.constant(np.array([1 - taps % 2])))
        y = self.op("Slice", y, self.constant(np.array([0])), kept, one)
        self.replace(node, self.op("Transpose", y, perm=[0, 2, 1]))

    def matrix(self, quantised: np.ndarray, *, step: int, around: int) -> Any:
        """Lays the taps (G, out, in, taps) out as G matrices; runtimes do it once, as they load the file."""
        groups, width, _, taps = quantised.shape
        padded = np.zeros((groups, around * step + step - 1, width, width), np.int8)
        padded[:, step - 1 : step - 1 + taps] = quantised.transpose(0, 3, 2, 1)
        place = np.arange(around * step)[:, None] - np.arange(step) + step - 1
        laid = self.op("Gather", self.constant(padded), self.constant(place), axis=1)
        laid = self.op("Transpose", laid, perm=[0, 1, 3, 2, 4])
        return self.op(
            "Reshape", laid, self.constant(np.array([groups, around * step * width, step * width]))
        )

    def quantised(self, x: Any, *, axes: list[int]) -> tuple[Any, Any]:
        """Returns `x` as integers, and what they are multiplied by: one number for all along `axes`."""
        over = self.constant(np.array(axes))
        largest = self.op("ReduceMax", x, over, keepdims=1)
        if _producer(x) == "Gelu":
            below = self.constant(_GELU_LOWEST)
        else:
            below = self.op("Neg", self.op("ReduceMin", x, over, keepdims=1))
        peak = self.op("Max", largest, below, self.constant(np.float32(1e-20)))
        parts = self.op("Div", x, peak)
        return self.op("QuantizeLinear", parts, self.constant(_STEP), self.constant(_ZERO)), peak

    def op(self, name: str, *inputs: Any, domain: str = "", **attributes: Any) -> Any:
        """Appends a node, and returns its only output."""
        node = self.ir.node(name, inputs, attributes, domain=domain)
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, array: np.ndarray | np.generic) -> Any:
        """Returns a value of the graph that is always this array; equal small ones are one."""
        array = np.asarray(array)
        key = (
            f"{array.dtype}{array.shape}",
            array.tobytes().hex() if array.size < 99 else str(len(self.constants)),
        )
        if key not in self.constants:
            tensor = self.ir.tensor(array, name=f"constant_{len(self.constants)}")
            value = self.ir.Value(
                name=tensor.name,
                const_value=tensor,
                shape=tensor.shape,
                type=self.ir.TensorType(tensor.dtype),
            )
            self.graph.register_initializer(value)
            self.constants[key] = value
        return self.constants[key]

    def replace(self, node: Any, value: Any) -> None:
        """Puts the appended nodes in the place of a node."""
        old = node.outputs[0]
        value.name, value.shape, value.dtype = old.name, old.shape, old.dtype
        self.ir.convenience.replace_nodes_and_values(self.graph, node, [node], self.nodes, [old], [value])
