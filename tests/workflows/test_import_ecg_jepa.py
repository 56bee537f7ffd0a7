"""import-checkpoint of the two ECG-JEPAs: bundles give what the published equations give for recordings."""

import numpy as np
import pytest
import torch

import anylead
import ecg_jepa_files as files
from anylead.cli import main
from anylead.errors import CheckpointError, ConfigError
from anylead.interop.ecg_jepa import weimann
from anylead.leads import STANDARD_12
from anylead.workflows.import_checkpoint import ImportCheckpointConfig, import_checkpoint
from anylead.workflows.info import info

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def of_weimann(tmp_path_factory):
    return files.write(tmp_path_factory.mktemp("files") / "chkpt_100000.pt", files.weimann())


@pytest.fixture(scope="module")
def of_kim(tmp_path_factory):
    return files.write(tmp_path_factory.mktemp("files") / "epoch100.pth", files.kim())


def imported(file, out, **options):
    made = import_checkpoint(ImportCheckpointConfig(checkpoint=file, out=out, **options))
    return made, anylead.load(made.out)


def millivolts(leads: int, samples: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0.02, 0.3, (leads, samples)).astype(np.float32)


@pytest.mark.parametrize("data_set", ["mimic-iv-ecg", "ptb-xl"])
def test_weimann_s_bundle_scales_recordings_and_reads_ten_seconds_at_a_time(of_weimann, tmp_path, data_set):
    _, bundle = imported(of_weimann, tmp_path / "b", preparation=data_set)
    signal = millivolts(12, 10_000)
    mean, deviation = (np.array(values)[:, None] for values in weimann.SCALES[data_set])
    scaled = torch.from_numpy(((signal - mean) / deviation).clip(-5, 5))
    windows = torch.stack([scaled[:, :5000], scaled[:, 5000:]])
    expected = files.weimann_tokens(files.weimann(), windows).mean(dim=(0, 1))
    found = bundle.embed(signal, fs=500, leads=STANDARD_12)[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("leads", [files.EIGHT, ("V2", "I")])
def test_kim_s_bundle_reads_millivolts_of_any_of_its_leads(of_kim, tmp_path, leads):
    _, bundle = imported(of_kim, tmp_path / "b")
    signal = millivolts(len(leads), 2500)
    expected = files.kim_tokens(files.kim(), torch.from_numpy(signal)[None], leads=leads).mean(dim=(0, 1))
    found = bundle.embed(signal, fs=250, leads=leads)[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=TOLERANCE)
    more = np.concatenate([signal, millivolts(1, 2500)])
    np.testing.assert_allclose(bundle.embed(more, fs=250, leads=[*leads, "aVR"])[0], found, atol=1e-6)


def test_the_bundles_say_where_they_come_from(of_weimann, of_kim, tmp_path):
    made, bundle = imported(of_weimann, tmp_path / "w")
    told = bundle.manifest.provenance["imported"]
    assert (told["file"], told["model"]) == ("chkpt_100000.pt", "ECG-JEPA of Weimann and Conrad")
    assert told["licence"].startswith("MIT")
    assert "arXiv:2410.13867" in told["citation"]
    assert told["assumed"] == list(made.assumed)
    assert info(tmp_path / "w")["imported"] == told
    assert made.assumed == (
        "each lead is taken off its mean and divided by its deviation over mimic-iv-ecg (70% of its training "
        "set), whatever data set it is from; --preparation ptb-xl says otherwise.",
    )
    made, bundle = imported(of_kim, tmp_path / "k")
    told = bundle.manifest.provenance["imported"]
    assert (len(told["sha256"]), told["trained"]) == (64, "after 100 epochs")
    assert "arXiv:2410.08559" in told["citation"]
    assert "assumed to have 16 heads" in made.assumed[1]
    card = (tmp_path / "k" / "README.md").read_text()
    assert "Licence of the weights that were imported: MIT" in card


def test_what_the_commands_print(of_weimann, of_kim, tmp_path, capsys):
    assert main(["import-checkpoint", str(of_weimann), "--out", str(tmp_path / "w")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{tmp_path / 'w'}: ECG-JEPA of Weimann and Conrad, 2 layers of 24, 12 leads, no head, "
        "after 100000 updates"
    )
    assert main(["import-checkpoint", str(of_kim), "--out", str(tmp_path / "k")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{tmp_path / 'k'}: ECG-JEPA of Kim, 2 layers of 32, 8 leads, no head, after 100 epochs"
    )
    assert main(["import-checkpoint", str(of_kim), "--out", str(tmp_path / "x"), "--leads", "I"]) == 1
    assert "of a grid of the leads I and times; name the leads of its rows" in capsys.readouterr().err


def test_a_shorter_file_without_predictor_and_optimizer_gives_the_same(of_weimann, tmp_path):
    """Their script for it keeps the target encoder and the configuration."""
    whole = files.weimann()
    kept = {name: value for name, value in whole["model"].items() if name.startswith("target_encoder")}
    short = files.write(tmp_path / "chkpt.min.pt", {"model": kept, "config": whole["config"]})
    made, bundle = imported(short, tmp_path / "b")
    assert made.model.endswith("no head")
    assert bundle.fingerprint() == imported(of_weimann, tmp_path / "w")[1].fingerprint()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "weimann",
            {"preparation": "ecg-fm"},
            "of Weimann and Conrad, with which auto, mimic-iv-ecg, ptb-xl can go",
        ),
        ("kim", {"preparation": "ptb-xl"}, "of ECG-JEPA of Kim, with which auto can go; choose one of them"),
        ("weimann", {"classes": ("AF",)}, "classes were named and the model has no head; name none"),
        ("kim", {"classes": ("AF",)}, "classes were named and the model has no head; name none"),
        ("weimann", {"leads": ("I",)}, "chkpt.pt: leads were named and the file names its own; name none"),
    ],
)
def test_options_that_do_not_go_with_the_file_are_refused(kind, options, message, tmp_path):
    file = files.write(tmp_path / "chkpt.pt", getattr(files, kind)())
    with pytest.raises(ConfigError, match=message):
        imported(file, tmp_path / "b", **options)


def test_errors_name_the_file_and_nothing_is_written(tmp_path):
    whole = files.kim()
    del whole["encoder"]["norm.bias"]
    with pytest.raises(CheckpointError, match=r"a\.pth: weight norm.bias: it is missing"):
        imported(files.write(tmp_path / "a.pth", whole), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_store_can_be_prepared_as_weimann_s_bundle_needs(of_weimann, tmp_path):
    imported(of_weimann, tmp_path / "b")
    words = ["prepare", "synthetic", "--patients", "6", "--sessions", "1", "--duration-s", "6"]
    assert main([*words, "--out", str(tmp_path / "s"), "--bundle", str(tmp_path / "b")]) == 0
    signal = anylead.Store.open(tmp_path / "s").signal(0, 0, 3000)
    assert 1.0 < np.abs(signal).max() <= 5.0
