"""Our functions against numbers that fairseq-signals' classes gave (synthetic inputs, toy widths)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from anylead.errors import CheckpointError, ConfigError, InputError
from anylead.interop.fairseq import build, read_checkpoint, replay
from anylead.interop.fairseq.models import conv_layers

VECTORS = Path(__file__).parent / "vectors"
INPUTS = {"source", "mask_indices", "patient_id", "segment", "labels", "source_padding_mask"}
VALUE_TOLERANCE = 2e-5
GRADIENT_TOLERANCE = 2e-4


def load(name):
    arrays = dict(np.load(VECTORS / f"{name}.npz"))
    state = {k.removeprefix("state/"): arrays.pop(k) for k in list(arrays) if k.startswith("state/")}
    return json.loads((VECTORS / "w2v_cmsc.json").read_text()), state, arrays


def worst(got, expected):
    """max |a - b| relative to max(1, max |b|), infinities having to agree."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape
    if not expected.size:
        return 0.0
    assert (np.isinf(got) == np.isinf(expected)).all()
    finite = np.isfinite(expected)
    return np.abs(got[finite] - expected[finite]).max() / max(1.0, np.abs(expected[finite]).max())


def compare(results, arrays):
    compared = 0
    for name, expected in arrays.items():
        if name in INPUTS:
            continue
        if name.startswith("grad_of_mean/"):
            got = results["grad/" + name.removeprefix("grad_of_mean/")] / float(results["sample_size"])
            assert worst(got, expected) <= GRADIENT_TOLERANCE, name
        else:
            assert worst(results[name], expected) <= VALUE_TOLERANCE, name
        compared += 1
    return compared


def test_pretraining_forward_and_losses_match():
    config, state, arrays = load("w2v_cmsc")
    assert compare(replay(config, state, arrays), arrays) >= 20


def test_classifier_and_its_gradients_match():
    config, state, arrays = load("classifier")
    assert compare(replay(config, state, arrays, gradients=True), arrays) >= 10


@pytest.mark.real
def test_every_reference_vector_matches():
    folder = Path(os.environ.get("ANYLEAD_REAL_DATA", "absent")).parent / "reference"
    if not folder.is_dir():
        pytest.skip("no reference vectors beside the folder ANYLEAD_REAL_DATA names")
    config = json.loads((folder / "w2v_cmsc_config.json").read_text())
    for name in ("w2v_cmsc_eval", "classifier"):
        state = dict(np.load(folder / f"{name.removesuffix('_eval')}_state.npz"))
        arrays = dict(np.load(folder / f"{name}.npz"))
        assert compare(replay(config, state, arrays, gradients=True), arrays) >= 30
    checkpoint = read_checkpoint(folder / "ckpt_pretrained_small.pt")
    model = build(checkpoint.config, checkpoint.state)
    for name, parameter in model.parameters().items():
        assert torch.equal(parameter.reshape(-1), checkpoint.state[name].reshape(-1)), name


def training_arrays(state, arrays, seed=0):
    rng = np.random.default_rng(seed)
    places = int(arrays["mask_indices"].sum(1).max())
    rows = len(arrays["source"])
    noise = rng.gumbel(size=(rows * places * 2, 8)).astype(np.float32)
    return {**arrays, "out/gumbel_noise": noise, "out/gumbel_tau": np.float64(1.5)}


def slow_training_loss(state, results, arrays):
    """The loss from the quantiser on, written with one-hot codes, gathered negatives and loops."""
    rows, places = results["out/projected_context"].shape[:2]
    p = {
        k: torch.tensor(v, requires_grad=True) for k, v in state.items() if not k.startswith(("enc", "feat"))
    }
    y = torch.tensor(results["out/quantizer_input"]).reshape(rows * places, -1)
    logits = (y @ p["quantizer.weight_proj.weight"].T + p["quantizer.weight_proj.bias"]).view(-1, 8)
    soft = torch.softmax((logits + torch.tensor(arrays["out/gumbel_noise"])) / 1.5, dim=-1)
    hard = torch.nn.functional.one_hot(soft.argmax(-1), 8).float()
    one_hot = (hard - soft.detach() + soft).view(rows * places, 16)
    q = (one_hot.unsqueeze(-1) * p["quantizer.vars"]).view(rows * places, 2, 8, -1).sum(2)
    t = q.reshape(rows * places, -1) @ p["project_q.weight"].T + p["project_q.bias"]
    codes = hard.view(rows * places, 16)
    c = torch.tensor(results["out/projected_context"]).reshape(rows * places, -1)
    negatives = arrays["out/negative_indices"].reshape(rows * places, -1)
    total = 0.0
    for i in range(rows * places):
        candidates = [i, *negatives[i]]
        cosines = torch.stack([torch.cosine_similarity(c[i], t[j], dim=0) / 0.1 for j in candidates])
        banned = torch.tensor(
            [k > 0 and bool((codes[j] == codes[i]).all()) for k, j in enumerate(candidates)]
        )
        total = total - torch.log_softmax(cosines.masked_fill(banned, float("-inf")), 0)[0]
    mean = torch.softmax(logits.view(-1, 2, 8), -1).mean(0)
    perplexity = torch.exp(-(mean * (mean + 1e-7).log()).sum(-1)).sum()
    total = total + 0.1 * rows * places * (16 - perplexity) / 16
    return total, p


def test_training_mode_gradients_equal_a_slow_one_hot_quantiser():
    config, state, arrays = load("w2v_cmsc")
    arrays = training_arrays(state, arrays)
    results = replay(config, state, arrays, gradients=True)
    total, parameters = slow_training_loss(state, results, arrays)
    total.backward()
    expected = results["loss/infonce_sum"] + results["loss/diversity_weighted"]
    assert abs(float(total.detach()) - expected) <= 2e-5 * expected
    for name in (
        "quantizer.vars",
        "quantizer.weight_proj.weight",
        "quantizer.weight_proj.bias",
        "project_q.weight",
    ):
        assert worst(results[f"grad/{name}"], parameters[name].grad.numpy()) <= GRADIENT_TOLERANCE, name


def test_padding_changes_the_reference_mode_embedding_as_the_reference_does():
    """METHOD §8.2: zero padding with a right mask moves a short segment's embedding by several per cent."""
    config, state, arrays = load("w2v_cmsc")
    source = arrays["source"][:1, :, :640]
    alone = replay(config, state, {"source": source})["out/pooled_features"]
    for extra, low, high in ((160, 0.02, 0.12), (640, 0.08, 0.35), (2560, 0.15, 0.6)):
        padded = np.pad(source, ((0, 0), (0, 0), (0, extra)))
        mask = np.zeros_like(padded, dtype=bool)
        mask[:, :, 640:] = True
        moved = replay(config, state, {"source": padded, "source_padding_mask": mask})["out/pooled_features"]
        change = np.linalg.norm(moved - alone) / np.linalg.norm(alone)
        assert low < change < high, (extra, change)


def test_without_patients_there_is_no_agreement_term():
    config, state, arrays = load("w2v_cmsc")
    without = {k: v for k, v in arrays.items() if k not in ("patient_id", "segment")}
    difference = replay(config, state, arrays)["loss/total"] - replay(config, state, without)["loss/total"]
    assert difference == pytest.approx(float(arrays["loss/cmsc_weighted"]), rel=1e-4)


def arcface_model():
    config, state, arrays = load("classifier")
    rng = np.random.default_rng(0)
    state = {k: v for k, v in state.items() if not k.startswith("proj.")}
    state["kernel"] = rng.standard_normal((5, 32)).astype(np.float32)
    return config, state, {"source": arrays["source"], "labels": np.array([0, 1, 2, 3, 4, 0])}


def test_arcface_matches_a_loop():
    config, state, arrays = arcface_model()
    config = {**config, "criterion": {"scale": 192.0, "margin": 1.0}}
    results = replay(config, state, arrays, gradients=True)
    kernel = state["kernel"] / np.linalg.norm(state["kernel"], axis=1, keepdims=True)
    mean = results["encoder_out"].mean(axis=1)
    total = 0.0
    for row, label in enumerate(arrays["labels"]):
        cosine = kernel @ (mean[row] / np.linalg.norm(mean[row]))
        own = cosine[label]
        moved = np.cos(np.arccos(own) + 1.0) if own > np.cos(np.pi - 1.0) else own - np.sin(1.0)
        logits = 192.0 * np.where(np.arange(5) == label, moved, cosine)
        total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label]
    assert results["arcface_sum"] == pytest.approx(total, rel=1e-4)
    assert results["grad/kernel"].shape == (5, 32)


def test_missing_array_is_named():
    config, state, _ = load("w2v_cmsc")
    with pytest.raises(InputError, match="array source is missing"):
        replay(config, state, {})


def test_missing_and_surplus_weights_are_named():
    config, state, arrays = load("w2v_cmsc")
    partial = {k: v for k, v in state.items() if k != "final_proj.bias"}
    with pytest.raises(CheckpointError, match=r"weight final_proj\.bias: it is missing"):
        replay(config, partial, arrays)
    with pytest.raises(CheckpointError, match="weight extra: the configuration has no place"):
        replay(config, {**state, "extra": np.zeros(1)}, arrays)
    with pytest.raises(CheckpointError, match=r"weight final_proj.bias: its shape is \(3,\)"):
        replay(config, {**state, "final_proj.bias": np.zeros(3, np.float32)}, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_norm_first": True}, "model.layer_norm_first: got True"),
        ({"extractor_mode": "layer_norm"}, "model.extractor_mode: got 'layer_norm'"),
        ({"conv_feature_layers": "[(16, 3, 2)]"}, "equal layers of kernel and stride 2"),
        ({"conv_feature_layers": "__import__('os')"}, "give triples"),
    ],
)
def test_models_we_do_not_have_are_refused(change, message):
    config, state, arrays = load("w2v_cmsc")
    with pytest.raises(ConfigError, match=message):
        replay({**config, "model": {**config["model"], **change}}, state, arrays)


def test_conv_layers_are_read_without_evaluating():
    assert conv_layers("[(256, 2, 2)] * 4") == [(256, 2, 2)] * 4
    assert conv_layers("[(512,10,5)] + [(512,3,2)] * 2") == [(512, 10, 5), (512, 3, 2), (512, 3, 2)]
    assert conv_layers([[8, 2, 2]]) == [(8, 2, 2)]


def test_checkpoint_round_trip_and_refusals(tmp_path):
    config, state, _ = load("w2v_cmsc")
    tensors = {k: torch.tensor(v) for k, v in state.items()}
    old = {k.replace("parametrizations.weight.original0", "weight_g"): v for k, v in tensors.items()}
    old = {k.replace("parametrizations.weight.original1", "weight_v"): v for k, v in old.items()}
    torch.save({"cfg": config, "model": old, "optimizer_history": [{"num_updates": 7}]}, tmp_path / "old.pt")
    checkpoint = read_checkpoint(tmp_path / "old.pt")
    assert checkpoint.updates == 7
    assert set(build(checkpoint.config, checkpoint.state).parameters()) == set(state)
    torch.save({"weights": tensors}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="it has no cfg and model"):
        read_checkpoint(tmp_path / "other.pt")
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "broken.pt")
    torch.save({"cfg": config, "model": {}, "evil": Path}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "evil.pt")
