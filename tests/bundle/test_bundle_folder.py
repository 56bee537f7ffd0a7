"""A bundle on disk: the same bits back, one sentence for everything that is wrong, nothing half-written."""

import json
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import hub_mixin
from safetensors.torch import load_file, save_file

import anylead
from anylead.bundle import BUNDLE_FORMAT, Bundle, HeadManifest, folder, read_manifest
from anylead.bundle.preprocessor import preprocessor_config
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.encoders.base import Readout
from anylead.errors import BundleError
from anylead.heads import ArcFaceConfig, ArcFaceHead, HeadConfig, LinearHead
from anylead.preparation import Preparation

CONFIG = ConvTransformerConfig(
    leads=("I", "II", "V1"), conv_channels=16, dimension=16, layers=1, heads=2, feedforward=32,
    position_kernel=16, position_groups=4,
)  # fmt: skip


def make_bundle(seed: int = 0) -> Bundle:
    torch.manual_seed(seed)
    encoder = ConvTransformer(CONFIG)
    return Bundle.assemble(
        encoder,
        preparation=Preparation.default(),
        readout=Readout(layer=1, pooling="mean_std"),
        heads={
            "rhythm": LinearHead(HeadConfig(classes=("AF", "SB"), readout=Readout(layer=1)), encoder),
            "who": ArcFaceHead(ArcFaceConfig(classes=("1", "2", "3"), margin=0.3), encoder),
        },
        thresholds={"rhythm": (0.25, 0.75)},
        head_leads={"rhythm": ("I", "II")},
        numbers={"auroc": 0.5},
        provenance={"seed": seed},
    )


@pytest.fixture
def saved(tmp_path):
    make_bundle().save_pretrained(tmp_path / "bundle")
    return tmp_path / "bundle"


def change(path, **values):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | values))


def test_what_is_read_is_what_was_saved(saved, capsys):
    original, loaded = make_bundle(), anylead.load(saved)
    assert not loaded.training
    assert loaded.manifest.encoder == original.manifest.encoder
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    signal = np.random.default_rng(0).normal(0, 0.1, (2, 4000)).astype(np.float32)
    assert np.array_equal(
        original.embed(signal, fs=500, leads="I,V1"), loaded.embed(signal, fs=500, leads="I,V1")
    )
    assert np.array_equal(
        original.predict_proba(signal, fs=500, leads="I,V1"),
        loaded.predict_proba(signal, fs=500, leads="I,V1"),
    )
    assert loaded.encoder.config == CONFIG
    assert loaded.heads["rhythm"].config == original.heads["rhythm"].config
    assert loaded.heads["who"].config.margin == 0.3
    assert loaded.manifest.readout == Readout(layer=1, pooling="mean_std")
    assert loaded.thresholds() == (0.25, 0.75)
    assert loaded.manifest.heads["rhythm"].leads == ("I", "II")
    assert loaded.fingerprint() == original.fingerprint()
    assert capsys.readouterr().out == ""


def test_the_fingerprint_is_of_weights_and_use_only(saved):
    assert make_bundle(1).fingerprint() != make_bundle().fingerprint()
    change(saved, numbers={}, provenance={})
    assert anylead.load(saved).fingerprint() == make_bundle().fingerprint()
    change(saved, window_s=4.0)
    assert anylead.load(saved).fingerprint() != make_bundle().fingerprint()


def test_a_second_trip_writes_the_same_bytes(saved, tmp_path):
    anylead.load(saved).save_pretrained(tmp_path / "again")
    names = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in saved.iterdir()) == names
    for name in names:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_card_says_what_it_is_and_what_it_is_not_for(saved):
    card = (saved / "README.md").read_text()
    assert "library_name: anylead" in card
    assert "`rhythm` | linear | 2 | I, II" in card
    assert "not a medical device" in card
    assert "biometrics" in card
    assert "| auroc | 0.5 |" in card


def test_the_preparation_for_other_libraries_is_that_of_the_manifest(saved):
    told = json.loads((saved / "preprocessor_config.json").read_text())
    config = json.loads((saved / "config.json").read_text())
    assert told == preprocessor_config(read_manifest(saved))
    assert told["preparation"] == config["preparation"]
    assert (told["sampling_rate"], told["unit"]) == (config["sampling_rate_hz"], "mV")
    assert (told["leads"], told["feature_size"]) == (config["leads"], 3)
    assert told["window_samples"] == config["window_s"] * config["sampling_rate_hz"] == 2500


@pytest.mark.parametrize("text", [None, "{", '{"sampling_rate": 1.0, "preparation": {"steps": []}}'])
def test_a_bundle_is_read_by_its_manifest_alone(saved, text):
    (saved / "preprocessor_config.json").unlink()
    if text is not None:
        (saved / "preprocessor_config.json").write_text(text)
    assert anylead.load(saved).fingerprint() == make_bundle().fingerprint()


def test_a_manifest_can_be_read_without_weights(saved):
    manifest = read_manifest(saved)
    assert manifest.format == BUNDLE_FORMAT
    assert manifest.window_samples == 2500
    assert manifest.heads["rhythm"].classes == ("AF", "SB")
    assert manifest.provenance["anylead"]


def test_a_newer_format_is_refused(saved):
    change(saved, format=BUNDLE_FORMAT + 1)
    with pytest.raises(
        BundleError, match=r"has format 2 and this anylead reads formats up to 1; install a newer"
    ):
        anylead.load(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused(saved, name):
    (saved / name).unlink()
    with pytest.raises(BundleError, match=f"the bundle is incomplete, {name} is missing"):
        anylead.load(saved)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"config.json and model.safetensors is missing"):
        anylead.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config.json cannot be read"),
        ("[]", "names no bundle format"),
        ('{"layers": 12}', "names no bundle format"),
        ('{"format": 1}', "encoder_kind.*config.json cannot be used"),
        ('{"format": 1, "heads": 3}', "a mapping of names to heads is needed"),
    ],
)
def test_a_config_that_is_not_ours_is_refused(saved, text, message):
    (saved / "config.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        anylead.load(saved)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"encoder_kind": "mamba"},
            "holds an encoder of kind 'mamba' and this anylead knows conv_transformer",
        ),
        (
            {"heads": {"x": {"kind": "tree", "config": {}}}},
            "holds a head of kind 'tree' .* knows linear, attentive, arcface",
        ),
        ({"encoder": {"layers": "two"}}, r"encoder.layers: got 'two'.*config.json cannot be used"),
        ({"preparation": {"steps": [{"kind": "magic"}]}}, "unknown step 'magic'.*config.json cannot be used"),
        ({"colour": "red"}, "unknown name colour"),
    ],
)
def test_a_manifest_this_version_cannot_build_is_refused(saved, values, message):
    change(saved, **values)
    with pytest.raises(BundleError, match=message):
        anylead.load(saved)


def test_damaged_weights_are_refused(saved):
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(
        BundleError, match=r"model.safetensors cannot be read .*copy or download the bundle again"
    ):
        anylead.load(saved)


def test_weights_of_another_network_are_refused(saved):
    weights = load_file(saved / "model.safetensors")
    name = "heads.rhythm.project.weight"
    save_file(weights | {name: torch.zeros(5, 16)}, saved / "model.safetensors")
    with pytest.raises(
        BundleError, match=rf"holds {name} with shape \(5, 16\) and config.json describes \(2, 16\)"
    ):
        anylead.load(saved)
    save_file(weights | {"surplus": torch.zeros(1)}, saved / "model.safetensors")
    with pytest.raises(
        BundleError, match=r"has the unknown surplus; it does not belong to this config\.json"
    ):
        anylead.load(saved)
    del weights[name]
    save_file(weights, saved / "model.safetensors")
    with pytest.raises(BundleError, match=f"lacks {name}; it does not belong"):
        anylead.load(saved)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        BundleError, match="there is no such folder; give the folder of a bundle or a repository"
    ):
        anylead.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="this is a file; give the folder of a bundle"):
        anylead.load(tmp_path / "file")


def test_a_repository_is_fetched_and_its_absence_is_a_sentence(saved, monkeypatch):
    monkeypatch.setattr(folder, "snapshot_download", lambda name, **options: str(saved))
    assert Bundle.from_pretrained("somebody/ecg").fingerprint() == make_bundle().fingerprint()

    def offline(name, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(folder, "snapshot_download", offline)
    with pytest.raises(BundleError, match=r"the Hugging Face Hub did not give it \(no route to host\)"):
        Bundle.from_pretrained("somebody/ecg")


class LeavesMark:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def plant_code(folder, mark):
    """Puts into a folder what other libraries would run, or unpickle, and would leave a mark."""
    for name in ("modeling.py", "modeling_anylead.py", "configuration.py", "__init__.py", "bundle.py"):
        (folder / name).write_text(f"open({str(mark)!r}, 'w').close()\n")
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "optimizer.pt"):
        torch.save(LeavesMark(mark), folder / name)


def test_nothing_that_comes_with_a_bundle_is_run(saved, tmp_path, monkeypatch):
    mark = tmp_path / "ran"
    plant_code(saved, mark)
    monkeypatch.chdir(saved)
    assert anylead.load(saved).fingerprint() == make_bundle().fingerprint()
    assert anylead.load(".").embed(np.zeros((1, 4000)), fs=500, leads="I").shape == (1, 32)
    change(saved, auto_map={"AutoModel": "modeling.Model"})
    with pytest.raises(BundleError, match="unknown name auto_map"):
        anylead.load(saved)
    assert not mark.exists()
    torch.load(saved / "model.pt", weights_only=False)
    assert mark.exists(), "the trap itself works"


def test_weights_that_would_have_to_be_unpickled_are_none(saved, tmp_path):
    plant_code(saved, tmp_path / "ran")
    (saved / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"incomplete, model\.safetensors is missing"):
        anylead.load(saved)
    torch.save(LeavesMark(tmp_path / "ran"), saved / "model.safetensors")
    with pytest.raises(BundleError, match=r"model\.safetensors cannot be read"):
        anylead.load(saved)
    assert not (tmp_path / "ran").exists()


def test_only_what_a_bundle_is_made_of_is_fetched(saved, monkeypatch):
    asked = {}
    monkeypatch.setattr(folder, "snapshot_download", lambda name, **given: asked.update(given) or str(saved))
    anylead.load("somebody/ecg")
    assert not [name for name in asked["allow_patterns"] if name.endswith((".py", ".bin", ".pt", "*"))]


def test_a_folder_is_saved_loaded_and_used_without_a_network(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("somebody asked the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    make_bundle().save_pretrained(tmp_path / "bundle")
    assert anylead.load(tmp_path / "bundle").embed(np.zeros((1, 4000)), fs=500, leads="I").shape == (1, 32)
    with pytest.raises(AssertionError, match="asked the network"):
        socket.create_connection(("localhost", 9))


class FakeApi:
    """The Hub: keeps what it gets, unless `fails` says otherwise."""

    got: dict[str, object]
    fails: Exception | None = None

    def __init__(self, token=None):
        pass

    def create_repo(self, repo_id, **options):
        if self.fails is not None:
            raise self.fails
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.got[repo_id] = sorted(path.name for path in Path(folder_path).iterdir())
        return f"https://hub.example/{repo_id}"


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(FakeApi, "got", {}, raising=False)
    monkeypatch.setattr(hub_mixin, "HfApi", FakeApi)
    return FakeApi


def test_what_is_pushed_is_what_is_saved(hub, tmp_path):
    files = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert make_bundle().push_to_hub("me/a", private=True) == "https://hub.example/me/a"
    address = make_bundle().save_pretrained(tmp_path / "b", push_to_hub=True, repo_id="me/b")
    assert address == "https://hub.example/me/b"
    make_bundle().save_pretrained(tmp_path / "c", push_to_hub=True)
    assert hub.got == dict.fromkeys(("me/a", "me/b", "c"), files)
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == files
    assert make_bundle().save_pretrained(tmp_path / "d") is None
    assert "d" not in hub.got


def test_a_hub_that_refuses_is_one_sentence_and_what_was_saved_is_there(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeApi, "fails", ConnectionError("no route to host.\nmore"))
    message = (
        r"^me/b: could not be pushed to the Hugging Face Hub \(no route to host\); check .* try again\.$"
    )
    with pytest.raises(BundleError, match=message):
        make_bundle().save_pretrained(tmp_path / "b", push_to_hub=True, repo_id="me/b")
    assert anylead.load(tmp_path / "b").fingerprint() == make_bundle().fingerprint()


def test_saving_replaces_a_bundle_and_nothing_else(saved, tmp_path):
    make_bundle(1).save_pretrained(saved)
    assert anylead.load(saved).fingerprint() == make_bundle(1).fingerprint()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"the folder holds other files \(thesis\.txt\); choose an empty"):
        make_bundle().save_pretrained(tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["thesis.txt"]
    # A clone of a repository is a bundle and more.
    (saved / ".git").mkdir()
    (saved / "mine.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"the folder holds other files \(\.git and more\)"):
        make_bundle().save_pretrained(saved)
    assert (saved / "mine.txt").read_text() == "mine"
    with pytest.raises(BundleError, match="this is a file; choose another folder"):
        make_bundle().save_pretrained(tmp_path / "work" / "thesis.txt")


def test_a_full_disk_leaves_what_was_there(saved, tmp_path, monkeypatch):
    before = anylead.load(saved).fingerprint()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "save_file", full)
    with pytest.raises(
        BundleError, match=r"could not be written \(No space left on device\); nothing was changed"
    ):
        make_bundle(1).save_pretrained(saved)
    with pytest.raises(BundleError, match="No space left"):
        make_bundle(1).save_pretrained(tmp_path / "new")
    assert anylead.load(saved).fingerprint() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_replacement_that_fails_at_the_last_moment_keeps_the_old_bundle(saved, tmp_path, monkeypatch):
    before = anylead.load(saved).fingerprint()
    real = type(saved).rename

    def refuse(path, target):
        if path.name == "new":
            raise OSError(13, "Permission denied")
        return real(path, target)

    monkeypatch.setattr(type(saved), "rename", refuse)
    with pytest.raises(BundleError, match="Permission denied"):
        make_bundle(1).save_pretrained(saved)
    assert anylead.load(saved).fingerprint() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_thresholds_belong_to_classes():
    with pytest.raises(BundleError, match="head linear: 1 thresholds for 2 classes"):
        HeadManifest(kind="linear", config={"classes": ["A", "B"]}, thresholds=(0.5,))


@pytest.mark.parametrize("name", ["a.b", "", "keys", "my head"])
def test_a_head_needs_a_name_that_can_be_stored(name):
    torch.manual_seed(0)
    encoder = ConvTransformer(CONFIG)
    head = LinearHead(HeadConfig(classes=("A",)), encoder)
    with pytest.raises(BundleError, match=f"head '{name}': this name cannot be stored"):
        Bundle.assemble(encoder, preparation=Preparation.default(), heads={name: head})
