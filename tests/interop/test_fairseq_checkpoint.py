"""What can be read of fairseq-signals, what is assumed where the file does not say, and what is refused."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import fairseq_files
from anylead.errors import CheckpointError, ConfigError
from anylead.interop.fairseq import build, ecg_fm, read_checkpoint, replay
from anylead.interop.fairseq.models import conv_layers, input_leads
from anylead.leads import STANDARD_12


def built(path: Path, **options):
    checkpoint = read_checkpoint(path)
    return build(checkpoint.config, checkpoint.state, **options)


def old_spelling(name: str) -> str:
    return name.replace("parametrizations.weight.original0", "weight_g").replace(
        "parametrizations.weight.original1", "weight_v"
    )


def weights(model) -> dict[str, torch.Tensor]:
    return dict(model.encoder.state_dict())


@pytest.mark.parametrize(
    "rename", [old_spelling, lambda name: f"encoder.{name}", lambda name: f"encoder.{old_spelling(name)}"]
)
def test_other_spellings_and_a_prefix_give_the_same_encoder(tmp_path, rename):
    plain = built(fairseq_files.write(tmp_path / "a.pt"))
    other = built(fairseq_files.write(tmp_path / "b.pt", rename=rename))
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(plain).items())


def test_pre_training_modules_that_are_not_the_paper_s_are_left_out(tmp_path):
    whole = fairseq_files.content(model={"quantize_targets": False})
    whole["model"] = {k: v for k, v in whole["model"].items() if not k.startswith("quantizer.")}
    torch.save(whole, tmp_path / "a.pt")
    assert built(tmp_path / "a.pt").objective is None
    whole = fairseq_files.content(model={"apply_mask": False})
    del whole["model"]["mask_emb"]
    assert build(whole["cfg"], whole["model"]).objective is None
    whole = fairseq_files.content("classifier")
    whole["model"]["encoder.mask_emb"] = torch.zeros(32)
    torch.save(whole, tmp_path / "b.pt")
    assert built(tmp_path / "b.pt").head is not None


def test_a_fine_tuned_model_has_the_sizes_of_its_weights_and_a_pre_trained_one_must():
    """Fine-tuning of the "small" model keeps its 8 layers and writes a configuration of 12."""
    sizes = {"encoder_layers": 12, "encoder_ffn_embed_dim": 3072, "conv_feature_layers": "[(256, 2, 2)] * 4"}
    whole, plain = fairseq_files.content("classifier", model=sizes), fairseq_files.content("classifier")
    model = build(whole["cfg"], whole["model"])
    assert model.encoder.config == build(plain["cfg"], plain["model"]).encoder.config
    assert model.corrected == ("encoder_layers 12 is 2", "encoder_ffn_embed_dim 3072 is 64")
    del whole["model"]["encoder.encoder.layers.0.fc1.weight"]
    with pytest.raises(CheckpointError, match=r"weight encoder\.\S+: it"):
        build({**whole["cfg"], "model": {**whole["cfg"]["model"], "encoder_layers": 2}}, whole["model"])
    whole = fairseq_files.content(model={"encoder_layers": 3})
    with pytest.raises(
        CheckpointError, match=r"weight encoder.layers.2.self_attn.q_proj.weight: it is missing"
    ):
        build(whole["cfg"], whole["model"])


def test_half_precision_was_for_storage(tmp_path):
    whole = fairseq_files.content()
    whole["model"] = {name: value.half() for name, value in whole["model"].items()}
    torch.save(whole, tmp_path / "half.pt")
    assert {p.dtype for p in built(tmp_path / "half.pt").encoder.parameters()} == {torch.float32}


def test_a_classifier_blanks_padded_frames_also_in_what_it_returns():
    whole, arrays = fairseq_files.content("classifier"), fairseq_files.vectors("classifier")
    state = {name: value.numpy() for name, value in whole["model"].items()}
    mask = np.zeros_like(arrays["source"], dtype=bool)
    mask[1, :, 640:] = True
    returned = replay(whole["cfg"], state, {"source": arrays["source"], "source_padding_mask": mask})
    blank = (returned["encoder_out"] == 0).all(axis=2)
    assert blank.sum(axis=1).tolist() == [0, 10, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("columns", "task", "expected"),
    [
        (12, {}, STANDARD_12),
        (12, {"leads_to_load": "[0, 1]", "enable_padding_leads": True}, STANDARD_12),
        (2, {"leads_to_load": "['I', 'V2']"}, ("I", "V2")),
        (2, {"leads_to_load": "[1, 6]"}, ("II", "V1")),
        (2, {"leads_to_load": "[0, 1, 2]"}, ("I", "II")),
        (3, {}, ("I", "II", "III")),
    ],
)
def test_input_columns_are_the_leads_the_task_loaded_or_the_first_ones(columns, task, expected):
    assert input_leads({"model": {"in_d": columns}, "task": task}) == expected


def test_more_columns_than_leads_must_be_named():
    with pytest.raises(ConfigError, match=r"model\.in_d: got 15 input columns; name the lead of each"):
        input_leads({"model": {"in_d": 15}})
    whole = fairseq_files.content()
    with pytest.raises(
        ConfigError, match=r"model\.in_d: got 12 input columns and 1 leads; name one a column"
    ):
        build(whole["cfg"], whole["model"], leads=["I"])
    named = [f"X{number}" for number in range(12)]
    assert build(whole["cfg"], whole["model"], leads=named).encoder.leads == tuple(named)


def test_the_rate_is_the_task_s():
    whole = fairseq_files.content(task={"sample_rate": 250})
    assert build(whole["cfg"], whole["model"]).encoder.sampling_rate_hz == 250.0


@pytest.mark.parametrize(
    "text",
    [
        "[(16, 2, 2)] * 4",
        "4 * [(16,2,2)]",
        "[(16, 2, 2)] + [(16, 2, 2)] * 3",
        "[(16, 2, 2), (16, 2, 2)] * 2",
        "[[16, 2, 2], [16, 2, 2], [16, 2, 2], [16, 2, 2]]",
    ],
)
def test_every_way_to_write_four_equal_layers(text):
    assert conv_layers(text) == [(16, 2, 2)] * 4


@pytest.mark.parametrize(
    "text", ["[(16, 2, 2)] * n", "16", "[(16, 2)] * 4", "[", "[(1, 2, 2)] ** 2", "[] * 3"]
)
def test_other_texts_are_no_layers(text):
    with pytest.raises(ConfigError, match=r"model\.conv_feature_layers: got"):
        conv_layers(text)


def test_quantised_inputs_are_refused():
    whole = fairseq_files.content(model={"quantize_input": True})
    with pytest.raises(ConfigError, match=r"model\.quantize_input: got True; only False"):
        build(whole["cfg"], whole["model"])


def test_one_name_an_output_is_needed():
    whole = fairseq_files.content("classifier")
    with pytest.raises(ConfigError, match="classes: got 2 names for 26 outputs"):
        build(whole["cfg"], whole["model"], classes=["AF", "SB"])


def test_an_equal_number_of_weights_in_another_shape_is_refused():
    whole = fairseq_files.content()
    whole["model"]["post_extract_proj.weight"] = whole["model"]["post_extract_proj.weight"].T.contiguous()
    with pytest.raises(CheckpointError, match=r"weight post_extract_proj.weight: its shape is \(16, 32\)"):
        build(whole["cfg"], whole["model"])
    whole = fairseq_files.content()
    whole["model"]["quantizer.vars"] = whole["model"]["quantizer.vars"].reshape(2, 8, 8)
    with pytest.raises(CheckpointError, match=r"quantizer.vars: .*the configuration needs \(1, 16, 8\)"):
        build(whole["cfg"], whole["model"])


@pytest.mark.parametrize(
    "name",
    [
        "encoder.pos_conv.0.weight_g",
        "encoder.encoder.layers.0.self_attn.W_Q.weight",
        "encoder.encoder.layers.1.norm_layer1.bias",
        "encoder.encoder.layers.1.pos_ffn.fc1.bias",
    ],
)
def test_names_from_before_the_attention_was_mended_are_refused(name):
    whole = fairseq_files.content()
    with pytest.raises(CheckpointError, match=f"weight {name}: this name is from before October 2022"):
        build(whole["cfg"], {**whole["model"], name: torch.zeros(1)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no such file; give a file of fairseq-signals"),
        (lambda path: path.mkdir(), "this is a folder; give"),
        (lambda path: (path / "checkpoints").mkdir(parents=True), "a run's folder: take the bundle in it"),
        (lambda path: path.write_bytes(b""), "no checkpoint that can be read safely"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 500), "no checkpoint that can be read safely"),
        (lambda path: save_file({"w": torch.zeros(2)}, path), "bare weights .safetensors. without"),
        (lambda path: torch.save(torch.zeros(2), path), "it holds a Tensor, not a checkpoint"),
        (lambda path: torch.save([1], path), "it holds a list, not a checkpoint"),
        (lambda path: torch.save({"mask_emb": torch.zeros(2)}, path), "cfg is missing or is no mapping"),
        (lambda path: torch.save({"cfg": {}, "model": {}}, path), "cfg.model is missing or is no mapping"),
        (lambda path: torch.save({"cfg": {"model": {}}}, path), ": model is missing or is no mapping"),
        (
            lambda path: torch.save({"cfg": {"model": {}}, "model": {"w": 1.0}}, path),
            "weight w is a float, no tensor",
        ),
        (
            lambda path: torch.save({"format": 1, "encoder": {}, "objective": {}}, path),
            "a checkpoint of an anylead run.*take the run's bundle",
        ),
        (
            lambda path: torch.save({"args": argparse.Namespace(a=1), "model": {}}, path),
            "can be read safely: reading it would run code of argparse.Namespace; if you trust it",
        ),
    ],
)
def test_what_is_no_checkpoint_of_theirs_is_refused_in_a_sentence(tmp_path, make, message):
    make(tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=message) as refused:
        read_checkpoint(tmp_path / "file.pt")
    assert str(refused.value).count("\n") == 0


def test_a_truncated_file_is_refused(tmp_path):
    path = fairseq_files.write(tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="no checkpoint that can be read safely"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"file_name": "MIMIC_iv_ecg_finetuned.pt"}, "the file is called MIMIC_iv_ecg_finetuned.pt"),
        (
            {"config": {"task": {"data": "/data/mimic_iv_ecg/cmsc"}}},
            "its configuration names /data/mimic_iv_ecg/cmsc",
        ),
        ({"outputs": 17}, "its head has 17 outputs"),
        ({"outputs": 26}, None),
        ({"sha256": next(iter(ecg_fm.SHA256))}, "it is the published mimic_iv_ecg_physionet_pretrained.pt"),
    ],
)
def test_what_shows_that_a_file_is_ecg_fm_s(facts, expected):
    given = {"config": {"model": {"in_d": 12}}, "file_name": "a.pt", "sha256": "0", "outputs": None, **facts}
    assert ecg_fm.evidence(given.pop("config"), **given) == expected


def test_ecg_fm_s_seventeen_labels():
    assert len(set(ecg_fm.LABELS)) == 17
    assert (ecg_fm.LABELS[1], ecg_fm.LABELS[16]) == ("Sinus rhythm", "Electronic pacemaker")
