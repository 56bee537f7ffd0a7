import json

import numpy as np
import pytest
import yaml

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.errors import BundleError, FileError, RecordFileError, StoreError
from anylead.preparation import Preparation
from anylead.workflows.info import info, lines


@pytest.fixture
def bundle(tmp_path):
    config = ConvTransformerConfig(conv_channels=16, dimension=16, layers=1, heads=2, feedforward=16)
    folder = tmp_path / "bundle"
    Bundle.assemble(build_encoder(config), preparation=Preparation.default()).save_pretrained(folder)
    return folder


@pytest.fixture
def recording(tmp_path):
    """A WFDB record of leads I and V2, one sample missing."""
    samples = np.zeros((2, 500), dtype="<i2")
    samples[:, 100] = 1000
    samples[1, 7] = -32768
    samples.T.tofile(tmp_path / "r1.dat")
    signal = "r1.dat 16 1000(0)/mV 16 0 0 0 0"
    (tmp_path / "r1.hea").write_text(f"r1 2 250 500\n{signal} I\n{signal} V2\n")
    return tmp_path / "r1.hea"


def test_a_recording(recording):
    facts = info(recording)
    assert (facts["kind"], facts["record_id"]) == ("record", "r1")
    assert (facts["leads"], facts["sampling_rate_hz"], facts["duration_s"]) == (["I", "V2"], 250.0, 2.0)
    assert (facts["range_mv"], facts["missing_samples"]) == ([0.0, 1.0], 1)
    assert facts["standard_leads_absent"][:2] == ["II", "III"]


def test_what_has_commas_of_its_own_is_told_apart():
    assert lines({"leads": ["I,II", "V1"]}) == ["leads  I,II; V1"]
    assert lines({"leads": ["I", "II"]}) == ["leads  I, II"]


def test_a_store(synthetic_store):
    facts = info(synthetic_store)
    assert (facts["kind"], facts["source"], facts["recordings"], facts["persons"]) == (
        "store",
        "synthetic",
        40,
        20,
    )
    assert facts["splits"] == {"train": 24, "valid": 4, "test": 12}
    assert facts["preparation"][-1] == "resample(rate_hz=500.0)"
    assert facts["leads"] == ["I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"]


def test_a_bundle(bundle):
    facts = info(bundle)
    assert (facts["kind"], facts["encoder"], facts["window_s"]) == ("bundle", "conv_transformer", 5.0)
    assert facts["encoder_options"]["dimension"] == 16
    assert facts["weights_mb"] > 0


def test_a_run(tmp_path, bundle):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n')
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"steps": 2}))
    (tmp_path / "environment.json").write_text(json.dumps({"anylead": "0.1.0", "time": "then"}))
    facts = info(tmp_path)
    assert (facts["kind"], facts["steps"], facts["last"]) == ("run", 2, {"loss": 1.5})
    assert facts["bundles"] == ["bundle"]
    assert facts["configuration"] == {"steps": 2}
    assert facts["made_by"] == "anylead 0.1.0, then"


@pytest.mark.parametrize("what", ["recording", "synthetic_store", "bundle"])
def test_is_told_in_about_fifteen_lines(what, request):
    told = lines(info(request.getfixturevalue(what)))
    assert 8 <= len(told) <= 22
    assert told[0].split()[0] == "kind"
    assert max(map(len, told)) < 500


def test_facts_are_json(synthetic_store, bundle, recording):
    for path in (synthetic_store, bundle, recording):
        assert json.loads(json.dumps(info(path)))["kind"]


def test_lines_leave_out_what_is_unknown():
    told = lines({"kind": "x", "nothing": None, "empty": [], "no": False, "zero": 0, "long": ["y" * 300] * 3})
    assert told[:3] == ["kind  x", "no    no", "zero  0"]
    assert told[3].endswith("(--json shows all)")


def test_refuses_a_folder_of_something_else(tmp_path):
    with pytest.raises(FileError, match="the folder is neither a store, nor a run, nor a bundle"):
        info(tmp_path)


def test_refuses_a_damaged_run(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(FileError, match=r"config\.yaml: cannot be read .* the folder is damaged"):
        info(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("preparing.json", "{}", StoreError),
        ("model.safetensors", "", BundleError),
        ("r.hea", "", RecordFileError),
    ],
)
def test_says_what_is_wrong_with_what_it_knows(tmp_path, name, content, error):
    (tmp_path / name).write_text(content)
    with pytest.raises(error):
        info(tmp_path / name if name == "r.hea" else tmp_path)
