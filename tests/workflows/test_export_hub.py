"""export hub: a folder a stranger can use, numbers only of this bundle, nothing half-written, no network."""

import json
import os
import re
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest
from downstream_setup import make_bundle
from huggingface_hub import ModelCard

import anylead
from anylead.bundle import Bundle, read_manifest
from anylead.bundle.preprocessor import preprocessor_config
from anylead.cli import main
from anylead.encoders import Readout
from anylead.errors import BundleError, ConfigError, FileError, InputError
from anylead.workflows import export_hub as workflow
from anylead.workflows.export_hub import ExportHubConfig, export_hub
from anylead.workflows.finetune import ClassifyConfig, finetune_classify
from suite_report import write_suite_report

FILES = ("README.md", "any_leads.png", "config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with a bundle that says what it was pre-trained on, and a report about it."""
    folder = tmp_path_factory.mktemp("made")
    bundle = anylead.load(make_bundle(folder / "plain"))
    provenance = {
        **bundle.manifest.provenance,
        "command": ["anylead", "pretrain", "--store", "/data/hospital/ptb", "--out=../private/run"],
        "pretraining": {"seed": 0},
        "stores": [{"source": "ptb-xl", "fingerprint": "f1"}],
        "steps": 20,
    }
    manifest = replace(bundle.manifest, provenance=provenance, numbers={"pretraining": {"loss": 2.0}})
    Bundle(encoder=bundle.encoder, heads={}, manifest=manifest).save_pretrained(folder / "run" / "bundle")
    write_suite_report(folder / "report", bundle.fingerprint())
    return folder


@pytest.fixture
def place(made, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(made, tmp_path / "place")


@pytest.fixture(scope="module")
def released(made, tmp_path_factory):
    """What was exported of it, and its card; only to be looked at."""
    return release(made, out=tmp_path_factory.mktemp("released") / "out", licence="cc-by-4.0")


def config(place, **changes):
    values = {"bundle": place / "run", "out": place / "out", "report": place / "report"}
    return ExportHubConfig(**{**values, **changes})


def release(place, **changes):
    done = export_hub(config(place, **changes))
    return done, (done.out / "README.md").read_text()


def line(card, start):
    (found,) = [one for one in card.splitlines() if one.startswith(start)]
    return found


def left_over(place):
    return sorted(path.name for path in place.iterdir() if path.name.startswith(".") or path.name == "out")


def test_the_folder_holds_everything_and_is_the_same_bundle(made, released):
    done, card = released
    assert done.files == FILES == tuple(sorted(os.listdir(done.out)))
    assert anylead.load(done.out).fingerprint() == anylead.load(made / "run" / "bundle").fingerprint()
    told = json.loads((done.out / "preprocessor_config.json").read_text())
    assert told == preprocessor_config(read_manifest(done.out))
    data = ModelCard(card).data.to_dict()
    assert (data["library_name"], data["license"], data["datasets"]) == ("anylead", "cc-by-4.0", ["ptb-xl"])
    assert done.notes == ()
    assert done.url is None


def test_the_card_tells_the_report_with_intervals_beside_baselines(released):
    _, card = released
    assert "120 test recordings of 80 patients, 2 classes" in card
    assert "(anylead 9.9, commit abc, 2030-01-02)" in card
    assert line(card, "| **this encoder, probe**").startswith(
        "| **this encoder, probe** | 0.750 [0.70, 0.80] |"
    )
    assert "| **this encoder, fine-tuned** | 0.760" in card
    assert "| theirs, probe (another model) | 0.740" in card
    # Of several untrained encoders the hardest is shown, and how many were beaten.
    assert "| untrained 1, gain 2, probe; hardest of 2 (baseline) | 0.720" in card
    assert line(card, "| untrained 1").endswith("| +0.030 [-0.02, +0.08] | 0 of 2 |")
    assert line(card, "| hand-made features").endswith("| -0.070 [-0.12, -0.02] | 0 of 1 |")
    assert line(card, "| supervised S4").endswith("| +0.070 [+0.02, +0.12] | 1 of 1 |")
    assert "| CLBBB\\|LBBB | complete left bundle branch block or left bundle branch block | 20 |" in card


def test_the_card_tells_who_is_recognised_and_by_which_reading(released):
    _, card = released
    assert "50 later recordings of 30 persons are looked up among 40 enrolled" in card
    assert "The claim rests on: this encoder, whitened." in card
    assert "| **this encoder, whitened** | 0.600 [0.55, 0.65] | 0.500 [0.45, 0.55] | 0.200" in card
    assert line(card, "| median beat").endswith("| -0.100 [-0.15, -0.05] | 0 of 1 |")
    # Readings that the claim was not compared with are no opponents of it.
    assert "untrained 0, cosine" not in card


def test_the_curve_over_the_number_of_leads_is_drawn_and_tabled(released):
    done, card = released
    assert (done.out / "any_leads.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"!\[macro AUROC of this encoder and of baselines[^\[\]]*\]\(any_leads\.png\)", card)
    assert "| leads | **this encoder** | untrained 0 (baseline) |" in card
    assert "Judged on the 110 test recordings of 75 patients that have all twelve leads." in card
    shift = card.split("by number of leads, shift:")[1]
    assert [row.split(" | ")[1][:5] for row in shift.splitlines()[4:16]] == [
        f"{0.75 - (12 - leads) / 100:.3f}" for leads in range(1, 13)
    ]
    assert "| 12 leads | 0.750 [0.70, 0.80] | 0.700 [0.65, 0.75] |" in card


def test_pre_training_is_said_to_help_only_where_the_report_says_so(place, released):
    _, card = released
    assert "- That pre-training helps is not shown." in card
    assert "better than all" not in card
    won = "mine, probe is better than all 5 baselines at finding classes."
    bundle = anylead.load(place / "run" / "bundle").fingerprint()
    write_suite_report(place / "won", bundle, wins=True, summary=(won,))
    _, card = release(place, report=place / "won")
    assert f"- {won}" in card
    assert line(card, "| untrained 1").endswith("| 2 of 2 |")


def test_a_short_report_has_no_curve_and_the_card_says_so(place):
    bundle = anylead.load(place / "run" / "bundle").fingerprint()
    write_suite_report(place / "quick", bundle, quick=True)
    done, card = release(place, report=place / "quick" / "report.json")
    assert "any_leads.png" not in done.files
    assert "![" not in card
    assert "is not in a short report" in card
    assert done.notes[0].startswith("the report has no any-lead curve")


def test_how_the_encoder_was_read_is_said_where_it_is_not_its_own_way(place):
    bundle = anylead.load(place / "run" / "bundle")
    for readout, told in (((1, "mean_std"), True), ((None, "mean"), False)):
        write_suite_report(place / "read", bundle.fingerprint(), quick=True, readout=readout)
        assert bundle.manifest.readout == Readout(layer=None, pooling="mean")
        _, card = release(place, report=place / "read")
        assert ('`readout=Readout(layer=1, pooling="mean_std")`' in card) is told


def test_a_report_about_another_bundle_is_refused(place):
    write_suite_report(place / "other", "00ff00ff00ff00ff", name="other")
    with pytest.raises(
        InputError, match="is about other, a bundle with the fingerprint 00ff00ff00ff00ff, and this one has"
    ):
        export_hub(config(place, report=place / "other"))
    write_suite_report(place / "table", "", provenance={"bundles": {}})
    with pytest.raises(InputError, match="judges no bundle; give a report that anylead evaluate suite made"):
        export_hub(config(place, report=place / "table"))
    assert left_over(place) == []


def test_a_report_that_cannot_be_used_is_refused(place):
    with pytest.raises(FileError, match=r"nowhere: the report cannot be read .* give the folder"):
        export_hub(config(place, report=place / "nowhere"))
    path = place / "report" / "report.json"
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "format": 99}))
    with pytest.raises(FileError, match="is no report of format 1; give the folder"):
        export_hub(config(place))
    del plain["provenance"]["config"]["resamples"]
    path.write_text(json.dumps(plain))
    with pytest.raises(
        FileError, match=r"cannot be understood \(KeyError: 'resamples'\); evaluate the bundle"
    ):
        export_hub(config(place))
    assert left_over(place) == []


def test_folders_of_this_machine_are_not_published(made, released):
    done, _ = released
    assert read_manifest(done.out).provenance["command"][2:] == ["--store", "ptb", "--out=run"]
    text = "".join((done.out / name).read_text() for name in FILES if name.endswith((".md", ".json")))
    assert "hospital" not in text
    assert "private/" not in text
    assert str(made) not in text


def test_what_was_released_can_be_released_again_without_its_report(place, released):
    done, card = released
    again = export_hub(ExportHubConfig(bundle=done.out, out=place / "again"))
    assert (again.files, again.notes) == (FILES, ())
    for name in FILES:
        assert (again.out / name).read_bytes() == (done.out / name).read_bytes(), name
    # As saved by itself it keeps every number, and shows no picture that is not there.
    anylead.load(done.out).save_pretrained(place / "saved")
    saved = (place / "saved" / "README.md").read_text()
    picture = line(card, "![")
    assert saved == card.replace(f"{picture}\n\n", "")


def test_numbers_of_another_bundle_do_not_travel_along(place, released):
    done, _ = released
    bundle = anylead.load(done.out)
    changed = replace(bundle.manifest, window_s=4.0)
    Bundle(encoder=bundle.encoder, heads={}, manifest=changed).save_pretrained(place / "changed")
    found = export_hub(ExportHubConfig(bundle=place / "changed", out=place / "again"))
    assert found.notes[0].startswith("the numbers that the bundle carries are of another one")
    assert "No evaluation came with this bundle" in (found.out / "README.md").read_text()


def test_without_a_report_nothing_is_claimed(place):
    done, card = release(place, report=None)
    assert "No evaluation came with this bundle" in card
    assert done.notes == (
        "nothing was measured, and the card says so; --report takes the folder of a report.",
        "nobody stated a licence of the weights, and the card says so; --licence states one.",
    )


@pytest.mark.parametrize("known", [True, False])
def test_published_weights_keep_their_licence_where_their_hash_is_known(place, monkeypatch, known):
    bundle = anylead.load(place / "plain")
    provenance = {"imported": {"file": "mimic.pt", "sha256": "00ff", "licence": "MIT"}}
    manifest = replace(bundle.manifest, provenance=provenance)
    Bundle(encoder=bundle.encoder, heads={}, manifest=manifest).save_pretrained(place / "imported")
    monkeypatch.setattr(workflow.ecg_fm, "SHA256", {"00ff": "mimic.pt"} if known else {})
    done, card = release(place, bundle=place / "imported", report=None)
    assert ModelCard(card).data.to_dict().get("license") == ("mit" if known else None)
    assert any("licence of the weights" in note for note in done.notes) is not known


def test_no_network_is_asked(place, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("somebody asked the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    done, _ = release(place)
    vector = anylead.load(done.out).embed(np.zeros((1, 4000)), fs=500, leads="I")
    assert np.isfinite(vector).all()


@pytest.mark.parametrize("kind", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_export_leaves_nothing_or_what_was_there(place, monkeypatch, kind):
    def fail(curves, path):
        path.write_bytes(b"half")
        raise kind

    monkeypatch.setattr(workflow, "draw_any_lead_curve", fail)
    expected = (
        pytest.raises(BundleError, match=r"could not be written \(No space left on device\); nothing was")
        if isinstance(kind, OSError)
        else pytest.raises(KeyboardInterrupt)
    )
    with expected:
        export_hub(config(place))
    assert left_over(place) == []
    make_bundle(place / "out", seed=5)
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    with expected:
        export_hub(config(place))
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
    assert left_over(place) == ["out"]


class FakeApi:
    """Takes down what it is asked; `fails` says where it does."""

    calls: list[tuple[str, dict[str, object]]]
    fails: Exception | None = None

    def create_repo(self, repo_id, **given):
        self.calls.append(("create", {"repo_id": repo_id, **given}))
        if self.fails is not None:
            raise self.fails
        return f"https://hub.example/{repo_id}"

    def upload_folder(self, **given):
        self.calls.append(("upload", given))


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(FakeApi, "calls", [], raising=False)
    monkeypatch.setattr(workflow, "HfApi", FakeApi)
    monkeypatch.setattr(workflow, "get_token", lambda: "hf_secret")
    return FakeApi


def test_what_is_pushed_is_the_folder(place, hub):
    done, card = release(place, push="me/ecg-encoder", private=True)
    assert done.url == "https://hub.example/me/ecg-encoder"
    (first, created), (second, uploaded) = hub.calls
    assert (first, created) == ("create", {"repo_id": "me/ecg-encoder", "private": True, "exist_ok": True})
    assert (second, uploaded["repo_id"]) == ("upload", "me/ecg-encoder")
    assert uploaded["folder_path"] == done.out
    assert uploaded["allow_patterns"] == list(FILES)
    assert "# ecg-encoder: an ECG encoder for any set of leads" in card
    assert 'model = anylead.load("me/ecg-encoder")  # or the path of a folder' in card


def test_without_a_token_nothing_is_begun(place, hub, monkeypatch):
    monkeypatch.setattr(workflow, "get_token", lambda: None)
    with pytest.raises(BundleError, match=r"me/x: nothing can be pushed, as no token .* run `hf auth login`"):
        export_hub(config(place, push="me/x"))
    assert hub.calls == []
    assert left_over(place) == []


def test_a_hub_out_of_reach_leaves_a_whole_folder_and_one_sentence(place, hub, monkeypatch):
    monkeypatch.setattr(FakeApi, "fails", ConnectionError("no route to host\nand more"))
    with pytest.raises(
        BundleError, match=r"me/x: could not be pushed .* \(no route to host\); .*out is complete"
    ):
        export_hub(config(place, push="me/x", report=None))
    assert tuple(sorted(os.listdir(place / "out"))) == (FILES[0], *FILES[2:])
    monkeypatch.setattr(FakeApi, "fails", RuntimeError())
    with pytest.raises(BundleError, match=r"could not be pushed .* \(RuntimeError\)"):
        export_hub(config(place, push="me/x", report=None))


def test_the_client_s_own_offline_mode_is_one_sentence(place, monkeypatch, capsys):
    monkeypatch.setattr(workflow, "get_token", lambda: "hf_secret")
    assert main(["export", "hub", str(place / "run"), "--out", str(place / "out"), "--push", "me/x"]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"anylead export: me/x: could not be pushed .* \(.*offline.*\); .* is complete\.", told
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"push": "nobody"}, "got push 'nobody'; give a repository as owner/name"),
        ({"push": "../x/y"}, "got push '../x/y'"),
        ({"licence": "CC BY 4.0"}, "got licence 'CC BY 4.0'; give it as the Hub names it, such as mit"),
        ({"private": True}, "private says how to push, and nothing is pushed"),
        ({"out": "run/bundle"}, "is the folder of the bundle itself; give another one"),
    ],
)
def test_settings_that_do_not_fit_are_refused(place, changes, message):
    if "out" in changes:
        changes = {"out": place / changes["out"]}
    with pytest.raises(ConfigError, match=message):
        config(place, **changes)


def test_folders_that_hold_something_else_are_refused(place):
    (place / "out" / ".git").mkdir(parents=True)
    with pytest.raises(BundleError, match=r"the folder holds other files \(\.git\)"):
        export_hub(config(place))
    with pytest.raises(BundleError, match="there is no such folder"):
        export_hub(config(place, bundle=place / "nowhere"))


def test_a_fine_tuned_bundle_tells_what_its_weights_come_from(place, synthetic_store):
    tuned = finetune_classify(
        ClassifyConfig(
            bundle=place / "run" / "bundle",
            stores=(synthetic_store,),
            out=place / "tuned",
            steps=1,
            batch_size=4,
            minimum_positives=3,
        )
    ).bundles["any"]
    started = read_manifest(tuned).provenance["started_from"]
    assert started["trained_on"] == [{"source": "ptb-xl", "fingerprint": "f1"}]
    _, card = release(place, bundle=tuned, report=None)
    before, after = card.split("Fine-tuned the head `arrhythmia` on ")
    assert "PTB-XL, a large publicly available" in before
    assert "anylead synthetic patients" in after


def test_the_command_says_what_it_wrote(place, capsys):
    words = [
        "export",
        "hub",
        str(place / "run"),
        "--out",
        str(place / "out"),
        "--report",
        str(place / "report"),
    ]
    assert main([*words, "--licence", "mit"]) == 0
    told = capsys.readouterr().out
    assert told == f"{place / 'out'}: {', '.join(FILES)}\n"
    assert main([*words, "--licence", "mit", "--push", "nobody"]) == 2
    assert "give a repository as owner/name" in capsys.readouterr().err
