"""A bundle as ONNX gives what it gives in torch, at any length and through any leads."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import anylead
from anylead import encoders
from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.encoders import build_encoder, encoder_kind
from anylead.errors import ConfigError, FileError, InputError
from anylead.export import OnnxContract, OnnxNetwork, export_onnx
from anylead.export.network import ExportedNetwork
from anylead.leads import STANDARD_12
from onnx_files import ENCODERS, make_bundle, without_packages

pytestmark = pytest.mark.slow

LEAD_SETS = [STANDARD_12, ("I",), ("V2",), ("I", "II"), ("V6", "aVR", "III")]


def make_batch(samples: int, *, rows: int = 1, leads=STANDARD_12, offset_mv: float = 0.0) -> Batch:
    random = np.random.default_rng(samples)
    signal = 0.3 * random.standard_normal((rows, 12, samples)) + offset_mv * random.uniform(
        -1, 1, (rows, 12, 1)
    )
    present = torch.tensor([name in leads for name in STANDARD_12])
    numbers = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        signal=torch.from_numpy(signal.astype(np.float32)),
        lead_mask=present.repeat(rows, 1),
        sample_mask=torch.ones(rows, samples, dtype=torch.bool),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        padded=False,
        row=numbers,
        patient=numbers,
        segment=numbers,
    )


def in_torch(bundle: Bundle, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        return bundle.eval().reader()(batch).numpy()


@pytest.mark.parametrize("name", ENCODERS)
def test_any_length_any_number_and_any_leads_give_what_torch_gives(exported, name):
    bundle, path = exported(name)
    network = OnnxNetwork(path)
    for samples in (500, 777, 1250, 2500, 5001):
        for rows, leads in enumerate(LEAD_SETS, start=1):
            batch = make_batch(samples, rows=rows, leads=leads)
            found = network.reader()(batch).numpy()
            np.testing.assert_allclose(found, in_torch(bundle, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_absent_changes_nothing(exported, name):
    bundle, path = exported(name)
    network = OnnxNetwork(path)
    batch = make_batch(1250, rows=3)
    lengths = torch.tensor([1250, 801, 640])
    batch = replace(
        batch,
        lead_mask=torch.rand(3, 12, generator=torch.Generator().manual_seed(0)) > 0.5,
        sample_mask=torch.arange(1250) < lengths[:, None],
        padded=True,
    )
    present = batch.lead_mask[:, :, None] & batch.sample_mask[:, None]
    found = network.reader()(batch)
    for poison in (float("nan"), float("inf"), 1e6):
        poisoned = replace(batch, signal=torch.where(present, batch.signal, poison))
        assert torch.equal(network.reader()(poisoned), found)
    for row, length in enumerate(lengths.tolist()):
        alone = replace(make_batch(length), signal=batch.signal[row : row + 1, :, :length])
        alone = replace(alone, lead_mask=batch.lead_mask[row : row + 1])
        np.testing.assert_allclose(found[row : row + 1], in_torch(bundle, alone), atol=1e-5, rtol=1e-5)


def test_the_reference_code_s_ways_are_kept():
    bundle = make_bundle("conv_transformer", reference=True).eval()
    network = ExportedNetwork(bundle, heads=())
    for leads in LEAD_SETS:
        batch = make_batch(777, rows=2, leads=leads)
        (found,) = network(batch.signal, batch.lead_mask, batch.sample_mask)
        np.testing.assert_allclose(found, in_torch(bundle, batch), atol=1e-5, rtol=1e-5)


def test_an_offset_of_millivolts_costs_no_accuracy(exported):
    bundle, path = exported("conv_transformer")
    batch = make_batch(2500, rows=4, offset_mv=5.0)
    found = OnnxNetwork(path).reader()(batch).numpy()
    np.testing.assert_allclose(found, in_torch(bundle, batch), atol=2e-5)


def test_heads_give_their_probabilities(exported):
    bundle, path = exported("conv_transformer")
    network = OnnxNetwork(path)
    batch = make_batch(2500, rows=2, leads=("I", "II"))
    for head in ("rhythm", "form-1"):
        with torch.no_grad():
            expected = bundle.eval().classifier(head)(batch)
        np.testing.assert_allclose(network.classifier(head)(batch), expected, atol=1e-5)
    assert list(network.contract.heads) == ["rhythm", "form-1"]


def test_the_encoder_stands_in_the_file_once_however_many_heads_read_it(exported):
    graph = onnx.load(exported("conv_transformer")[1]).graph
    assert sum(node.op_type == "Conv" for node in graph.node) == 1


def test_the_file_says_what_it_takes_and_gives_without_anylead(exported):
    bundle, path = exported("conv_transformer")
    session = onnxruntime.InferenceSession(path)
    contract = json.loads(session.get_modelmeta().custom_metadata_map["anylead"])
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [
        ("signal", ["batch", 12, "samples"], "tensor(float)"),
        ("lead_mask", ["batch", 12], "tensor(bool)"),
        ("sample_mask", ["batch", "samples"], "tensor(bool)"),
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ("embedding", ["batch", 96]),
        ("probabilities_rhythm", ["batch", 2]),
        ("probabilities_form-1", ["batch", 3]),
    ]
    assert contract["bundle"] == bundle.fingerprint()
    assert contract["precision"] == "float32"
    assert contract["input"]["leads"] == list(STANDARD_12)
    assert (contract["input"]["sampling_rate"], contract["input"]["window_samples"]) == (500.0, 2500)
    assert contract["input"]["preparation"] == bundle.preparation.to_plain()
    assert contract["readout"] == {"layer": None, "pooling": "mean_std_max"}
    assert contract["heads"]["rhythm"] == {
        "output": "probabilities_rhythm",
        "classes": ["AF", "SB"],
        "thresholds": [0.2, 0.7],
        "leads": ["I", "II"],
    }


def test_the_file_names_no_folder_of_the_machine_that_wrote_it(exported):
    content = exported("conv_transformer")[1].read_bytes()
    assert str(Path(anylead.__file__).parent).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_exporting_leaves_the_bundle_as_it_is():
    bundle = make_bundle("conv_transformer").train()
    before = {name: tensor.clone() for name, tensor in bundle.state_dict().items()}
    layers = [type(module) for module in bundle.modules()]
    network = ExportedNetwork(bundle, heads=("rhythm",))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in bundle.modules())
    assert [type(module) for module in bundle.modules()] == layers
    assert "forward" not in vars(bundle.encoder)
    assert all(parameter.requires_grad for parameter in bundle.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in bundle.state_dict().items())


def test_every_encoder_is_exported_here():
    assert {encoder_kind(build_encoder(config)) for config in ENCODERS.values()} == set(encoders.ENCODERS)


def test_an_encoder_that_a_graph_cannot_hold_is_refused(monkeypatch, tmp_path):
    def fail(*given, **options):
        try:
            raise KeyError("linalg_inv")
        except KeyError as error:
            raise RuntimeError("step 3 of 3 failed") from error

    monkeypatch.setattr(torch.export, "export", fail)
    message = (
        r"the encoder s4 cannot be written as a graph for any number and length of windows \('linalg_inv'\)"
    )
    with pytest.raises(InputError, match=message):
        export_onnx(make_bundle("s4"), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_depends_on_the_length_of_the_example_is_refused(folders):
    message = (folders["s4"] / "length.txt").read_text()
    assert re.match(
        r"export onnx: the encoder s4 as a graph gives another embedding for windows of 833 "
        r"samples \(by \d.*\); its code depends on the length, use it in torch\.$",
        message,
    )
    assert not (folders["s4"] / "length.onnx").exists()


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_in_fewer_bits_it_is_nearly_the_same(exported, name, precision):
    bundle, whole = exported(name)
    network = OnnxNetwork(whole.with_name(f"model_{precision}.onnx"))
    assert network.contract == replace(OnnxNetwork(whole).contract, precision=precision)
    for samples in (777, 2500):
        for rows, leads in enumerate(LEAD_SETS, start=1):
            batch = make_batch(samples, rows=rows, leads=leads)
            found, expected = network.reader()(batch).numpy(), in_torch(bundle, batch)
            assert cosines(found, expected).min() > 0.999
            # The files are not mistaken for one another; convolutions of a ResNet stay in single precision.
            assert (name, precision) == ("resnet1d", "int8") or not np.allclose(found, expected, atol=1e-5)


def test_files_in_fewer_bits_are_smaller(exported):
    whole = exported("conv_transformer")[1]

    def weights(path: Path) -> dict[str, int]:
        found = onnx.load(path).graph.initializer
        return {one.name: len(one.raw_data) for one in found if np.prod(one.dims) >= 256}

    single, short = weights(whole), weights(whole.with_name("model_bfloat16.onnx"))
    # The taps of the first convolution are there in double precision too.
    assert sum(short.values()) < 0.55 * sum(single.values())
    # Taps of the positional convolution have zeros around them: nearly as many as there are of so few.
    assert sum(weights(whole.with_name("model_int8.onnx")).values()) < 0.4 * sum(single.values())


def test_int8_computes_every_product_with_weights_in_integers(exported):
    nodes = onnx.load(exported("conv_transformer")[1].with_name("model_int8.onnx")).graph.node
    kinds = [node.op_type for node in nodes]
    # One of the front end and its projection; six of the layer; keys and values of a head.
    assert kinds.count("MatMulIntegerToFloat") == 1 + 1 + 6 + 2
    assert kinds.count("MatMulInteger") == 1, "the positional convolution"
    assert "Conv" not in kinds


def test_int8_gives_a_window_the_same_whatever_is_beside_it(exported):
    """One window is a hundred times as large as another, and one has an artefact and few leads."""
    bundle, path = exported("conv_transformer")
    read = OnnxNetwork(path.with_name("model_int8.onnx")).reader()
    batch = make_batch(2500, rows=3)
    signal = batch.signal * torch.tensor([0.1, 1.0, 10.0])[:, None, None]
    signal[1, :, 200:210] += 5.0
    lead_mask = batch.lead_mask & torch.tensor([[True], [False], [True]]).logical_or(torch.arange(12) < 2)
    batch = replace(batch, signal=signal, lead_mask=lead_mask)
    found = read(batch)
    for row in range(3):
        alone = replace(make_batch(2500), signal=signal[[row]], lead_mask=lead_mask[[row]])
        np.testing.assert_allclose(found[[row]], read(alone), atol=1e-4)
    assert cosines(found.numpy(), in_torch(bundle, batch)).min() > 0.999


def test_int8_does_not_depend_on_what_is_absent(exported):
    read = OnnxNetwork(exported("conv_transformer")[1].with_name("model_int8.onnx")).reader()
    batch = make_batch(1250, rows=2)
    batch = replace(batch, sample_mask=torch.arange(1250) < torch.tensor([[1250], [801]]), padded=True)
    found = read(batch)
    poisoned = torch.where(batch.sample_mask[:, None], batch.signal, torch.nan)
    assert torch.equal(read(replace(batch, signal=poisoned)), found)
    alone = replace(make_batch(801), signal=batch.signal[1:, :, :801])
    np.testing.assert_allclose(read(alone), found[1:], atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_runtime_that_joins_no_operators_gives_the_same(exported, precision):
    """Joined, the sum of a product of integers and a bias is wrong in some graphs."""
    path = exported("conv_transformer")[1]
    path = path if precision == "float32" else path.with_name("model_int8.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    batch = make_batch(1250, rows=3)
    inputs = {name: getattr(batch, name).numpy() for name in ("signal", "lead_mask", "sample_mask")}
    found = session.run(["embedding"], inputs)[0]
    np.testing.assert_allclose(found, OnnxNetwork(path).reader()(batch), atol=1e-4)


def test_a_package_that_is_not_installed_is_a_sentence(exported, monkeypatch, tmp_path):
    bundle, path = exported("conv_transformer")
    without_packages(monkeypatch)
    with pytest.raises(ConfigError, match=r"onnxruntime is needed and is not installed; install anylead\["):
        OnnxNetwork(path)
    with pytest.raises(ConfigError, match=r"onnxscript\.optimizer is needed and is not installed"):
        export_onnx(bundle, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_bundle_is_refused(exported):
    network = OnnxNetwork(exported("conv_transformer")[1])
    network.require_bundle(make_bundle("conv_transformer"))
    with pytest.raises(FileError, match=r"was made of bundle \w+ and this is bundle \w+; export it again"):
        network.require_bundle(make_bundle("s4"))


def test_what_is_not_one_of_our_files_is_refused(exported, tmp_path):
    with pytest.raises(FileError, match="there is no such file; write it with `anylead export onnx`"):
        OnnxNetwork(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("no")
    with pytest.raises(FileError, match=r"onnxruntime cannot load the file \(.*\); export it again"):
        OnnxNetwork(tmp_path / "text.onnx")
    model = onnx.load(exported("s4")[1])
    contract = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {"author": "somebody"})
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(FileError, match="does not say what it takes and gives; give one that"):
        OnnxNetwork(tmp_path / "foreign.onnx")
    with pytest.raises(FileError, match="has format 9 and this anylead reads formats up to 1; install"):
        OnnxContract.from_json(json.dumps({**contract, "format": 9}), where="x")
    for text in ("{", "[]", "{}", json.dumps({**contract, "colour": "red"})):
        with pytest.raises(FileError, match=r"what the file says about itself cannot be read \(.*\); export"):
            OnnxContract.from_json(text, where="x")
