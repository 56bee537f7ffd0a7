"""A bundle as ONNX gives what it gives in torch, at any length and through any leads."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import anylead
from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, ResNet1dConfig, S4Config, build_encoder
from anylead.encoders.base import Readout
from anylead.errors import ConfigError, FileError
from anylead.export import OnnxContract, OnnxNetwork, export_onnx, packages
from anylead.export.network import ExportedNetwork
from anylead.heads import ArcFaceConfig, ArcFaceHead, AttentiveConfig, AttentiveHead, HeadConfig, LinearHead
from anylead.leads import STANDARD_12
from anylead.preparation import Preparation

pytestmark = pytest.mark.slow

CONV = ConvTransformerConfig(
    conv_channels=16, dimension=32, layers=2, heads=2, feedforward=32, position_kernel=16, position_groups=4
)
ENCODERS = {
    "conv_transformer": CONV,
    "reference": replace(CONV, reference=True, conv_layers=2, layers=1),
    "resnet1d": ResNet1dConfig(stem_channels=8, stage_channels=(8,), dilations=(1,), norm_groups=4),
    "s4": S4Config(dimension=16, layers=1),
}
LEAD_SETS = [STANDARD_12, ("I",), ("V2",), ("I", "II"), ("V6", "aVR", "III")]


def make_bundle(name: str) -> Bundle:
    torch.manual_seed(0)
    encoder = build_encoder(ENCODERS[name])
    heads = {
        "rhythm": LinearHead(HeadConfig(classes=("AF", "SB"), readout=Readout(layer=1)), encoder),
        "form-1": AttentiveHead(AttentiveConfig(classes=("A", "B", "C"), attention_heads=2), encoder),
        "who": ArcFaceHead(ArcFaceConfig(classes=("1", "2")), encoder),
    }
    return Bundle.assemble(
        encoder,
        preparation=Preparation.default(),
        readout=Readout(pooling="mean_std_max"),
        heads=heads if name == "conv_transformer" else {},
        thresholds={"rhythm": (0.2, 0.7)},
        head_leads={"rhythm": ("I", "II")},
    )


EXPORT = """
import sys
from dataclasses import replace
from pathlib import Path
from anylead import load
from anylead.errors import InputError
from anylead.export.contract import OnnxContract
from anylead.export.onnx_file import export_onnx, graph_of, write_graph
first, *others = map(Path, sys.argv[1:])
for folder in others:
    export_onnx(load(folder), folder / "model.onnx")
whole = OnnxContract.of(load(first), precision="float32")
graph = graph_of(load(first), whole)
for name, precision in (("model", "float32"), ("model_int8", "int8")):
    write_graph(graph, first / f"{name}.onnx", replace(whole, precision=precision))
bundle = load(others[0])
bundle.encoder.blocks[-1].register_forward_hook(lambda _, x, y: 2 * y if y.shape[1] % 5 else y)
try:
    export_onnx(bundle, others[0] / "length.onnx")
except InputError as error:
    Path(others[0], "length.txt").write_text(str(error))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Returns a folder an encoder, with bundle and file; the first has one in int8 too.

    Exported in a process of its own, for here shapes are checked, and the exporter's are symbols.
    """
    made = {name: tmp_path_factory.mktemp(name) for name in ENCODERS}
    for name, folder in made.items():
        make_bundle(name).save_pretrained(folder)
    subprocess.run([sys.executable, "-c", EXPORT, *map(str, made.values())], check=True)
    return made


@pytest.fixture
def exported(folders):
    """Returns the bundle and the file of an encoder."""
    return lambda name: (anylead.load(folders[name]), folders[name] / "model.onnx")


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


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "reference"])
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


def test_an_encoder_that_depends_on_the_length_of_the_example_is_refused(folders):
    message = (folders["reference"] / "length.txt").read_text()
    assert re.match(
        r"export onnx: the encoder conv_transformer as a graph gives another embedding for windows of 833 "
        r"samples \(by \d.*\); its code depends on the length, use it in torch\.$",
        message,
    )
    assert not (folders["reference"] / "length.onnx").exists()


def test_int8_is_smaller_and_nearly_the_same(exported):
    bundle, whole = exported("conv_transformer")
    network = OnnxNetwork(whole.with_name("model_int8.onnx"))
    assert network.contract == replace(OnnxNetwork(whole).contract, precision="int8")
    graph = onnx.load(network.path).graph
    # Three convolutions as products, the projection, and four products a layer.
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) >= 3 + 1 + 2 * 4
    batch = make_batch(2500, rows=4)
    found, expected = network.reader()(batch).numpy(), in_torch(bundle, batch)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999
    assert not np.allclose(found, expected, atol=1e-5)


def test_a_package_that_is_not_installed_is_a_sentence(exported, monkeypatch, tmp_path):
    bundle, path = exported("conv_transformer")

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(packages.importlib, "import_module", absent)
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
