"""The flags of each verb say what its workflow's configuration says."""

import dataclasses
import json
import typing

import pytest

from anylead.cli import (
    demo,
    evaluate,
    export_fairseq,
    export_hub,
    export_onnx,
    finetune,
    import_checkpoint,
    main,
    prepare,
    pretrain,
    quality,
    suite_arguments,
)
from anylead.cli.arguments import parse
from anylead.errors import ConfigError
from anylead.sources import SOURCES
from anylead.workflows import audit, conditions, diff, suite
from anylead.workflows import demo as demo_workflow
from anylead.workflows import embed as embed_workflow
from anylead.workflows import evaluate as evaluate_workflow
from anylead.workflows import export_fairseq as export_fairseq_workflow
from anylead.workflows import export_hub as export_hub_workflow
from anylead.workflows import export_onnx as export_onnx_workflow
from anylead.workflows import finetune as finetune_workflow
from anylead.workflows import import_checkpoint as import_workflow
from anylead.workflows import pretrain as pretrain_workflow
from anylead.workflows import quality as quality_workflow

PAIRS = [
    (demo.DemoArguments, demo_workflow.DemoConfig),
    (pretrain.PretrainArguments, pretrain_workflow.PretrainConfig),
    (finetune.ClassifyArguments, finetune_workflow.ClassifyConfig),
    (finetune.IdentifyArguments, finetune_workflow.IdentifyConfig),
    (evaluate.ClassifyArguments, evaluate_workflow.EvaluateClassifyConfig),
    (evaluate.ProbeArguments, evaluate_workflow.EvaluateProbeConfig),
    (evaluate.IdentifyArguments, evaluate_workflow.EvaluateIdentifyConfig),
    (evaluate.LeadsArguments, evaluate_workflow.EvaluateLeadsConfig),
    (import_checkpoint.ImportCheckpointArguments, import_workflow.ImportCheckpointConfig),
    (export_fairseq.ExportFairseqArguments, export_fairseq_workflow.ExportFairseqConfig),
    (export_hub.ExportHubArguments, export_hub_workflow.ExportHubConfig),
    (export_onnx.ExportOnnxArguments, export_onnx_workflow.ExportOnnxConfig),
    (suite_arguments.SuiteArguments, suite.SuiteConfig),
    (suite_arguments.EmbeddingsArguments, suite.EmbeddingsConfig),
    (suite_arguments.ConditionsArguments, conditions.ConditionsConfig),
    (suite_arguments.AuditArguments, audit.AuditConfig),
    (suite_arguments.DiffArguments, diff.DiffConfig),
    (quality.QualityArguments, quality_workflow.QualityConfig),
]
NOT_FLAGS = {"progress"}
OWN_DEFAULT = {"encoder", "stores", "bundles"}
"""Flags that mean the configuration's default, or that it asks for, when they are not given."""


def defaults(cls: type) -> dict[str, object]:
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}


@pytest.mark.parametrize(("flags", "config"), PAIRS, ids=lambda c: f"{c.__module__}.{c.__name__}")
def test_flags_are_settings_with_the_same_defaults(flags, config):
    shown, true = defaults(flags), defaults(config)
    names = {f.name for f in dataclasses.fields(flags)} - {"recipe"}
    assert names <= {f.name for f in dataclasses.fields(config)}
    common = names & set(true) - OWN_DEFAULT
    assert {name: shown[name] for name in common} == {name: true[name] for name in common}


@pytest.mark.parametrize(("flags", "config"), PAIRS, ids=lambda c: f"{c.__module__}.{c.__name__}")
def test_every_plain_setting_is_a_flag(flags, config):
    plain = {
        name
        for name, hint in typing.get_type_hints(config).items()
        if not any(dataclasses.is_dataclass(part) for part in (hint, *typing.get_args(hint)))
    }
    assert plain - NOT_FLAGS - {f.name for f in dataclasses.fields(flags)} == set()


def test_every_option_of_a_source_is_a_flag():
    options = {f.name for source in SOURCES.values() for f in dataclasses.fields(source)}
    options.remove("parts")  # those of mixed stand in a file
    assert options == {f.name for f in dataclasses.fields(prepare.SourceOptions)}


def test_options_reach_the_source():
    given, _ = parse(
        prepare.PrepareArguments, ["synthetic", "--out", "s", "--patients", "7", "--seed", "3"], prog="p"
    )
    source = prepare.build_source(given.data_set, given.source)
    assert (source.patients, source.sessions, source.seed) == (7, 2, 3)


def test_a_rate_of_whole_hertz_is_the_source_s_own():
    options = prepare.SourceOptions(sampling_rate_hz=100.0)
    assert repr(prepare.build_source("ptb-xl", options).sampling_rate_hz) == "100"


def test_prepare_refuses_an_option_of_another_source():
    with pytest.raises(ConfigError, match="source ptb-xl: unknown name patients; PtbXl has sampling_rate_hz"):
        prepare.build_source("ptb-xl", prepare.SourceOptions(patients=3))


def test_prepare_suggests_the_nearest_source(capsys, tmp_path):
    assert main(["prepare", "ptbxl", "somewhere", "--out", str(tmp_path / "s")]) == 2
    assert "there is no source 'ptbxl'; did you mean ptb-xl? Accepted are" in capsys.readouterr().err


def test_prepare_info_and_view_of_a_store(capsys, tmp_path):
    store = tmp_path / "store"
    words = ["prepare", "synthetic", "--out", str(store), "--patients", "6", "--sessions", "1"]
    assert main(words) == 0
    assert capsys.readouterr().out == "prepared 6, rejected 0\n"
    assert main(words) == 0
    assert capsys.readouterr().out == "already prepared 6, rejected 0\n"
    assert main(["info", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recordings"] == 6
    assert main(["view", str(store), "--row", "2", "--out", str(tmp_path / "a.svg")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.svg'}\n"
    assert main(["view", str(store), "--row", "6"]) == 2
    assert "row 6 is not in" in capsys.readouterr().err


def test_sources_lists_all_with_licence(capsys):
    assert main(["sources", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == list(SOURCES)
    assert all(entry["licence"] and entry["citation"] for entry in listed)
    assert main(["sources"]) == 0
    told = capsys.readouterr().out
    assert "patients not published" in told
    assert "    48 recordings of 47 people, 30 min; leads: 2 of II, V1, V2, V4, V5; 360 Hz\n" in told
    assert "    $ wget -r -N -c -np https://physionet.org/files/mitdb/1.0.0/\n" in told
    assert "layout: as documented at https://mimic.mit.edu/" in told
    assert "layout: published files were read; checked against SHA256SUMS.txt" in told


def test_size_and_dotted_options_make_one_encoder():
    given, nested = parse(
        pretrain.PretrainArguments,
        ["--store", "s", "--out", "o", "--encoder", "tiny", "--encoder.layers", "3"],
        prog="p",
    )
    config = pretrain_workflow.read_pretrain_config(pretrain.settings(given, nested))
    assert (config.encoder.layers, config.encoder.dimension) == (3, 128)


def test_without_size_the_encoder_is_the_workflow_s_own():
    given, nested = parse(pretrain.PretrainArguments, ["--store", "s", "--out", "o"], prog="p")
    config = pretrain_workflow.read_pretrain_config(pretrain.settings(given, nested))
    assert config == pretrain_workflow.PretrainConfig(stores=config.stores, out=config.out)


def test_a_run_s_own_configuration_is_a_recipe(tmp_path):
    import yaml

    from anylead.config import to_plain

    values = {"stores": ["a", "b"], "out": "o", "encoder": {"size": "tiny"}, "clip_norm": 2.5}
    config = pretrain_workflow.read_pretrain_config(
        {**values, "stores": ("a", "b"), "objective": {"negatives": 7}}
    )
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_plain(config)))
    given, nested = parse(
        pretrain.PretrainArguments, ["--recipe", str(tmp_path / "config.yaml")], prog="anylead pretrain"
    )
    assert pretrain_workflow.read_pretrain_config(pretrain.settings(given, nested)) == config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrain", "--out", "o"], "anylead pretrain: pretrain: no store was given"),
        (["pretrain", "--out", "o", "--objective.negatves", "3"], "unknown name negatves"),
        (["finetune", "clasify"], "did you mean classify?"),
        (["finetune", "classify", "--bundle", "b", "--out", "o"], "got no store"),
        (["evaluate", "identify", "--store", "s", "--out", "o"], "got no bundle"),
    ],
)
def test_what_is_missing_or_wrong_is_misuse(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["view", "nowhere.hea"], "nowhere.hea: there is no such file"),
        (["info", "nowhere"], "nowhere"),
        (["embed", "nowhere/b/c", "a.hea", "--out", "e.parquet"], "nowhere/b/c: there is no such folder"),
    ],
)
def test_what_cannot_be_read_is_a_failure(words, message, capsys):
    assert main(words) == 1
    assert message in capsys.readouterr().err


def test_embed_hands_on_what_was_given(monkeypatch, capsys):
    seen = []

    def fake(config):
        seen.append(config)
        return embed_workflow.EmbedSummary(out=config.out, embedded=1, failed=((config.files[1], "bad"),))

    monkeypatch.setattr(embed_workflow, "embed", fake)
    assert main(["embed", "b", "x.hea", "y.hea", "--out", "e.parquet", "--leads", "DI,II"]) == 1
    assert seen[0].leads == ("I", "II")
    assert capsys.readouterr().out == "e.parquet: embedded 1, failed 1\n"


@pytest.mark.parametrize(("stopped_by_user", "code"), [(True, 130), (False, 0)])
def test_a_pretraining_that_the_user_stopped_is_not_a_success(
    monkeypatch, capsys, tmp_path, stopped_by_user, code
):
    class Stopped:
        finished, run, step, total_steps, is_main, by_user = False, tmp_path, 3, 9, True, stopped_by_user

    monkeypatch.setattr(pretrain_workflow, "pretrain", lambda config: Stopped())
    assert main(["pretrain", "--store", "s", "--out", "o"]) == code
    assert "stopped after step 3 of 9; the same command continues" in capsys.readouterr().out
