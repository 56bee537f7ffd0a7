"""A bundle written as ONNX."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from anylead.bundle import Bundle
from anylead.errors import InputError
from anylead.export.contract import INPUTS, METADATA_NAME, OnnxContract
from anylead.export.integers import with_integer_products
from anylead.export.network import ExportedNetwork
from anylead.export.packages import onnx_package
from anylead.export.short_weights import with_bfloat16_weights
from anylead.provenance import atomic_path

Precision = Literal["float32", "bfloat16", "int8"]

_OPSET = 20
_AXES: tuple[dict[int, str], ...] = (
    {0: "batch", 2: "samples"},
    {0: "batch"},
    {0: "batch", 1: "samples"},
)
"""Names of the dimensions that may change, of each input."""
_SHORTEST = 64
"""Samples; shorter windows may be fed all the same."""
_SAME = 1e-3
"""Largest difference, as a part of the largest number of an output, of a graph that holds for any length."""
_FOLDED = 1 << 40
"""Bytes up to which weights are put together beforehand: all, or they could not be quantised."""


def export_onnx(bundle: Bundle, path: Path, *, precision: Precision = "float32") -> OnnxContract:
    """Writes one ONNX file: windows of any number, any length and any leads to embeddings and probabilities.

    The bundle stays as it is. Inputs are ``signal`` (batch, leads, samples), float32 in mV, ``lead_mask``
    (batch, leads) and ``sample_mask`` (batch, samples), True where something was recorded; the signal may
    hold anything elsewhere. Outputs are ``embedding`` (batch, E), by the bundle's read-out, and
    ``probabilities_HEAD`` (batch, classes) of each classification head.

    Args:
        bundle: What to write.
        path: File to write; the weights are inside.
        precision: ``bfloat16`` stores weights in half the bytes, and computes in single precision as
            ``float32`` does. ``int8`` makes products with weights those of 8-bit integers (see
            `with_integer_products`): smaller and faster. Convolutions other than the conv transformer's stay
            in single precision.

    Returns:
        What the file says about itself.

    Raises:
        ConfigError: If a package of the extra ``onnx`` is not installed.
        InputError: If the encoder does something that a graph cannot hold.
        FileError: If the disk refuses.
    """
    contract = OnnxContract.of(bundle, precision=precision)
    write_graph(graph_of(bundle, contract), path, contract)
    return contract


def graph_of(bundle: Bundle, contract: OnnxContract) -> Any:
    """Returns the ``onnx_ir.Model`` of a bundle, in single precision; errors are those of `export_onnx`."""
    optimizer = onnx_package("onnxscript.optimizer")
    network = ExportedNetwork(bundle, heads=tuple(contract.heads))
    kind = bundle.manifest.encoder_kind
    rows, leads, samples = 2, len(contract.leads), bundle.manifest.window_samples
    example = (
        torch.zeros(rows, leads, samples),
        torch.ones(rows, leads, dtype=torch.bool),
        torch.ones(rows, samples, dtype=torch.bool),
    )
    # Relations that the tracer cannot prove, such as that twice half the samples are no more than all, are
    # taken for granted; `_compare` notices where a graph does not hold for other lengths.
    sizes = {"batch": torch.export.Dim.DYNAMIC(min=1), "samples": torch.export.Dim.DYNAMIC(min=_SHORTEST)}
    with _silence():
        try:
            traced = torch.export.export(
                network,
                example,
                dynamic_shapes=[{place: sizes[name] for place, name in axes.items()} for axes in _AXES],
            )
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=list(INPUTS),
                output_names=list(contract.outputs),
                dynamic_shapes=list(_AXES),
                opset_version=_OPSET,
                optimize=False,  # done below, for larger weights too
                verbose=False,
            )
        except Exception as error:  # what a graph cannot hold is refused in many ways, without a common base
            reason = next(iter(str(_first(error)).strip().splitlines()), type(error).__name__)
            raise InputError(
                f"export onnx: the encoder {kind} cannot be written as a graph for any number and length of "
                f"windows ({reason}); use it in torch."
            ) from error
        assert program is not None
        model: Any = program.model
        optimizer.optimize(model, input_size_limit=_FOLDED, output_size_limit=_FOLDED)
        _sum_in_double(model)
        _keep_norms_apart(model)
        # Where in the code each node comes from, with the paths of the machine that wrote the file.
        onnx_package("onnx_ir.passes.common").ClearMetadataAndDocStringPass()(model)
        _compare(model, network, samples=max(samples // 3 | 1, _SHORTEST), kind=kind)
    return model


def write_graph(model: Any, path: Path, contract: OnnxContract) -> None:
    """Writes a graph in the precision that its contract names.

    Args:
        model: From `graph_of`; may be written again in another precision.
        path: File to write.
        contract: What the file says about itself.

    Raises:
        FileError: If the disk refuses.
    """
    if contract.precision == "int8":
        model = with_integer_products(model)
    elif contract.precision == "bfloat16":
        model = with_bfloat16_weights(model)
    model.metadata_props[METADATA_NAME] = contract.to_json()
    with atomic_path(path) as temporary:
        onnx_package("onnx_ir").save(model, temporary)


def _first(error: BaseException) -> BaseException:
    """Returns the error that led to the others."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _compare(model: Any, network: ExportedNetwork, *, samples: int, kind: str) -> None:
    """Compares a graph with the network it was made of, at another number and length of windows."""
    runtime, ir = onnx_package("onnxruntime"), onnx_package("onnx_ir")
    leads = model.graph.inputs[0].shape[1]
    random = torch.Generator().manual_seed(0)
    windows = {
        "signal": torch.randn(3, leads, samples, generator=random),
        "lead_mask": torch.arange(leads).repeat(3, 1) % 3 != torch.arange(1, 4)[:, None],
        "sample_mask": torch.ones(3, samples, dtype=torch.bool),
    }
    session = runtime.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {name: values.numpy() for name, values in windows.items()})
    with torch.no_grad():
        expected = [values.numpy() for values in network(*windows.values())]
    for name, a, b in zip((output.name for output in session.get_outputs()), found, expected, strict=True):
        difference = float(np.abs(a - b).max())
        if not difference <= _SAME * float(np.abs(b).max()):
            raise InputError(
                f"export onnx: the encoder {kind} as a graph gives another {name} for windows of {samples} "
                f"samples (by {difference:.2g}); its code depends on the length, use it in torch."
            )


def _sum_in_double(model: Any) -> None:
    """Makes sums over time those of double precision, in place.

    torch adds in pairs and onnxruntime one after the other: with an offset of some millivolts the means that
    a norm takes off would differ, and embeddings by 1e-4.
    """
    ir = onnx_package("onnx_ir")
    for node in list(model.graph):
        if node.op_type not in ("ReduceSum", "ReduceMean") or node.inputs[0].dtype != ir.DataType.FLOAT:
            continue
        wide = ir.node("Cast", [node.inputs[0]], {"to": ir.DataType.DOUBLE})
        total = ir.node(node.op_type, [wide.outputs[0], *node.inputs[1:]], node.attributes)
        narrow = ir.node("Cast", [total.outputs[0]], {"to": ir.DataType.FLOAT})
        old, new = node.outputs[0], narrow.outputs[0]
        new.name, new.shape, new.dtype = old.name, old.shape, old.dtype
        ir.convenience.replace_nodes_and_values(
            model.graph, node, [node], [wide, total, narrow], [old], [new]
        )


def _keep_norms_apart(model: Any) -> None:
    """Names sums in front of a norm so that onnxruntime does not join the two, in place.

    Its joint operator takes several times as long as its sum and its norm.
    """
    for node in model.graph:
        if node.op_type == "LayerNormalization":
            sum_before = node.inputs[0].producer()
            if sum_before is not None and sum_before.op_type == "Add":
                sum_before.op_type = "Sum"


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps to itself what the exporter has to say about packages that we do not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
