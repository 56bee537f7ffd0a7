"""The two ECG-JEPAs: our encoders compute what their published equations do, and other files are refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import ecg_jepa_files as files
from anylead.batch import Batch
from anylead.errors import CheckpointError, ConfigError, LeadError
from anylead.interop.ecg_jepa import kim, weimann
from anylead.leads import STANDARD_12
from anylead.nn.places import places_of
from anylead.preparation import ScaleLeads, StandardizeLeads
from anylead.record import Record

TOLERANCE = 1e-5


def batch_of(signal: torch.Tensor, leads: tuple[str, ...], rate_hz: float) -> Batch:
    rows, columns, samples = signal.shape
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        signal=signal,
        lead_mask=torch.ones(rows, columns, dtype=torch.bool),
        sample_mask=torch.ones(rows, samples, dtype=torch.bool),
        leads=leads,
        sampling_rate_hz=rate_hz,
        padded=False,
        row=torch.arange(rows),
        patient=zeros,
        segment=zeros,
    )


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(
    ("settings", "samples"), [({}, 5000), ({"registers": 0}, 1250), ({"registers": 3, "patch": 50}, 2500)]
)
def test_weimann_s_encoder_gives_what_the_equations_give(settings, samples):
    content = files.weimann(**settings)
    encoder = weimann.build(content).encoder.eval()
    signal = noise(2, 12, samples)
    with torch.no_grad():
        found = encoder(batch_of(signal, STANDARD_12, 500.0)).tokens
    torch.testing.assert_close(found.double(), files.weimann_tokens(content, signal), atol=TOLERANCE, rtol=0)


def test_weimann_s_absent_lead_is_a_flat_one():
    content = files.weimann()
    encoder = weimann.build(content).encoder.eval()
    signal = noise(1, 2, 1250)
    whole = torch.zeros(1, 12, 1250)
    whole[:, [1, 6]] = signal
    with torch.no_grad():
        found = encoder(batch_of(signal, ("II", "V1"), 500.0)).tokens
    torch.testing.assert_close(found.double(), files.weimann_tokens(content, whole), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("leads", [files.EIGHT, ("I", "V2"), ("V6",)])
def test_kim_s_encoder_gives_what_the_equations_give_for_any_of_its_leads(leads):
    content = files.kim()
    encoder = kim.build(content).encoder.eval()
    signal = noise(2, len(leads), 2500) + 0.5  # an offset stays
    with torch.no_grad():
        found = encoder(batch_of(signal, leads, 250.0))
    expected = files.kim_tokens(content, signal, leads=leads)
    torch.testing.assert_close(found.tokens.double(), expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(found.pooled.double(), expected.mean(dim=1), atol=TOLERANCE, rtol=0)


def test_kim_s_encoder_sees_only_the_shown_times_as_in_pre_training():
    content = files.kim(times=10)
    encoder = kim.build(content).encoder.eval()
    signal, times = noise(2, 8, 500), [0, 3, 4, 8]
    batch = batch_of(signal, files.EIGHT, 250.0)
    visible = torch.tensor([number % 10 in times for number in range(80)]).expand(2, -1)
    with torch.no_grad():
        found = encoder.contextualize(encoder.tokenize(batch), padded=False, shown=places_of(visible, 32))
    expected = files.kim_tokens(content, signal, shown_times=times)
    torch.testing.assert_close(found.tokens.double(), expected, atol=TOLERANCE, rtol=0)


def test_what_is_read_off_the_files():
    model = weimann.build(files.weimann(width=48, depth=3, heads=4))
    assert (model.encoder.layers, model.encoder.dimension, model.encoder.config.heads) == (3, 48, 4)
    assert model.encoder.leads == STANDARD_12
    assert (model.window_s, model.trained) == (10.0, "after 100000 updates")
    small = kim.build(files.kim(depth=1, times=25))
    assert (small.encoder.layers, small.encoder.leads, small.encoder.config.feedforward) == (
        1,
        files.EIGHT,
        128,
    )
    assert (small.window_s, small.trained) == (5.0, "after 100 epochs")
    assert kim.build({"encoder": files.kim()["encoder"]}).trained == ""
    assert weimann.build({name: v for name, v in files.weimann().items() if name != "step"}).trained == ""


def test_leads_of_kim_s_grid_can_be_named_and_are_then_not_assumed():
    named = ("V6", "V5", "V4", "V3", "V2", "V1", "II", "I")
    model = kim.build(files.kim(), leads=named)
    assert model.encoder.leads == named
    assert len(model.assumed) == 2
    assert kim.build(files.kim()).assumed[2].endswith("V4,V5,V6; --leads names others.")


def test_half_precision_was_for_storage():
    content = files.kim()
    content["encoder"] = {name: value.half() for name, value in content["encoder"].items()}
    assert {p.dtype for p in kim.build(content).encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("datasets", "asked", "chosen", "told"),
    [
        ({"mimic-iv-ecg": 1.0}, "auto", "mimic-iv-ecg", "(100% of its training set), whatever data set"),
        ({"ptb-xl": 0.6, "mimic-iv-ecg": 0.4}, "auto", "ptb-xl", "--preparation mimic-iv-ecg says otherwise"),
        ({"georgia": 1.0}, "auto", "mimic-iv-ecg", "(though its training set names neither)"),
        ({"mimic-iv-ecg": 1.0}, "ptb-xl", "ptb-xl", "over ptb-xl, as was asked for."),
    ],
)
def test_recordings_are_scaled_by_a_data_set_s_constants(datasets, asked, chosen, told):
    model = weimann.build(files.weimann(datasets=datasets), preparation=asked)
    assert model.preparation == weimann.steps(chosen)
    assert told in model.assumed[0]
    signal = np.full((2, 1000), 0.1, dtype=np.float32)
    signal[1, :500] = 9.0
    record = Record(signal=signal, leads=("aVF", "V1"), sampling_rate_hz=500.0)
    mean, deviation = weimann.SCALES[chosen]
    prepared = model.preparation(record).signal
    np.testing.assert_allclose(prepared[0], (0.1 - mean[5]) / deviation[5], rtol=1e-5)
    assert prepared[1, 0] == 5.0


def test_constants_are_those_of_each_lead_s_name():
    """Their table of MIMIC-IV-ECG has aVF before aVL, as its files do."""
    mean, _ = weimann.SCALES["mimic-iv-ecg"]
    assert abs(mean[5] - (mean[1] + mean[2]) / 2) < 0.001  # aVF = (II + III) / 2
    assert abs(mean[4] - (mean[0] - mean[2]) / 2) < 0.0015  # aVL = (I - III) / 2
    assert all(len(values) == 12 for scale in weimann.SCALES.values() for values in scale)


def test_kim_s_recordings_stay_millivolts():
    steps = kim.build(files.kim()).preparation.steps
    assert not [step for step in steps if isinstance(step, ScaleLeads | StandardizeLeads)]
    assert kim.build(files.kim()).preparation.rate_hz == 250.0


def without(content: dict, part: str, name: str) -> dict:
    return {**content, part: {key: value for key, value in content[part].items() if key != name}}


def with_weight(content: dict, part: str, name: str, value) -> dict:
    return {**content, part: {**content[part], name: value}}


QKV = "target_encoder.blocks.1.attn.qkv.weight"
W = files.weimann()
K = files.kim()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without(W, "model", QKV), f"weight {QKV}: it is missing."),
        (
            with_weight(W, "model", QKV, torch.zeros(24, 24)),
            "its shape is (24, 24); the model needs (72, 24).",
        ),
        (with_weight(W, "model", QKV, [1.0]), f"weight {QKV}: it is a list, no tensor."),
        (
            with_weight(W, "model", "target_encoder.blocks.0.attn_ls.weight", torch.zeros(24)),
            "weight target_encoder.blocks.0.attn_ls.weight: the model has no place for it.",
        ),
        (
            {**W, "eval_config": {}},
            "this is a classifier fine-tuned with ECG-JEPA's code; give the pre-trained",
        ),
    ],
)
def test_other_weights_than_weimann_s_are_refused(content, message):
    assert weimann.is_theirs(content)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        weimann.build(content)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"qkv_bias": True}, ConfigError, "config.qkv_bias: got True; only False can be loaded."),
        ({"norm_eps": 1e-5}, ConfigError, "config.norm_eps: got 1e-05; only 1e-06 can be loaded."),
        ({"layer_scale_eps": 0.1}, ConfigError, "config.layer_scale_eps: got 0.1; only 0.0 can be loaded."),
        ({"num_heads": 5}, ConfigError, "got dimension 24, 5 heads"),
        ({"dim": "wide"}, ConfigError, "config.dim: got 'wide'"),
        ({"channels": ["I", "DI"]}, LeadError, "config.channels: lead I is named more than once"),
    ],
)
def test_other_configurations_than_weimann_s_are_refused(changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        weimann.build(files.weimann(**changes))


def test_a_configuration_without_a_size_is_refused():
    with pytest.raises(ConfigError, match=r"config: .*'depth'"):
        weimann.build(without(W, "config", "depth"))


FC1 = "encoder_blocks.blocks.0.mlp.fc1.weight"
OTHER_GRID = "not the sines and cosines of a grid of the leads I,II,V1,V2,V3,V4,V5,V6 and times"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without(K, "encoder", "W_P.weight"), "weight W_P.weight: it is missing."),
        (without(K, "encoder", "W_P.bias"), "weight W_P.bias: it is missing."),
        (without(K, "encoder", "pos_embed"), "weight pos_embed: it is missing."),
        (with_weight(K, "encoder", FC1, torch.zeros(3)), "its shape is (3,); 2 dimensions are needed."),
        (
            with_weight(K, "encoder", FC1, torch.zeros(64, 16)),
            "its shape is (64, 16); the model needs (64, 32).",
        ),
        (
            with_weight(K, "encoder", "mask_token", torch.zeros(1)),
            "weight mask_token: the model has no place",
        ),
        (
            with_weight(K, "encoder", "pos_embed", torch.zeros(400, 32)),
            f"these 400 positions are {OTHER_GRID}",
        ),
        (
            with_weight(K, "encoder", "pos_embed", torch.zeros(399, 32)),
            f"these 399 positions are {OTHER_GRID}",
        ),
        (
            with_weight(K, "encoder", "pos_embed", torch.zeros(400, 16)),
            f"these 400 positions are {OTHER_GRID}",
        ),
    ],
)
def test_other_weights_than_kim_s_are_refused(content, message):
    assert kim.is_theirs(content)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        kim.build(content)


def test_a_width_that_16_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="got dimension 24, 16 heads"):
        kim.build(files.kim(width=24))


def test_neither_is_taken_for_the_other_or_for_a_file_of_fairseq_signals():
    fairseq = {"cfg": {"model": {}}, "model": {"mask_emb": torch.zeros(2)}}
    assert [theirs.is_theirs(content) for theirs in (weimann, kim) for content in (W, K, fairseq, {})] == [
        True, False, False, False, False, True, False, False,
    ]  # fmt: skip


def test_imported_encoders_go_on_learning():
    """Gradients reach every weight, so that fine-tuning works."""
    for model, leads, rate in ((weimann.build(W), STANDARD_12, 500.0), (kim.build(K), files.EIGHT, 250.0)):
        encoder = model.encoder.train()
        batch = batch_of(noise(1, len(leads), 500), leads, rate)
        encoder(replace(batch, padded=True)).tokens.square().sum().backward()
        assert all(p.grad is not None for p in encoder.parameters())
