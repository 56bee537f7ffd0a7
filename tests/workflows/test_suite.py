"""The suite: every baseline in every report, passes made once, what cannot be made named."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from downstream_setup import make_bundle, make_store

import suite_report
from anylead.errors import ConfigError, InputError, StoreError
from anylead.evaluation.conditions import condition, conditions_of
from anylead.evaluation.results import Interval
from anylead.store import Store
from anylead.workflows.conditions import ConditionsConfig
from anylead.workflows.diff import DiffConfig, diff
from anylead.workflows.export_hub import ExportHubConfig, export_hub
from anylead.workflows.selection import Selection
from anylead.workflows.suite import (
    EmbeddingsConfig,
    SuiteConfig,
    classification,
    leads,
    networks,
    readouts,
    robustness,
    suite,
)
from anylead.workflows.suite.contest import contest_of
from anylead.workflows.suite.embedders import BundleEmbedder
from anylead.workflows.suite.forecast import forecast, planned_passes
from anylead.workflows.suite.plan import lead_subsets, single_leads
from anylead.workflows.suite.readouts import cells_of, choose_readouts
from anylead.workflows.suite.summary import absent_baselines
from anylead.workflows.suite.untrained import Untrained, grid, untrained_embedder

BASELINES = {"untrained 0, probe", "untrained 1, probe", "hand-made features, probe"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    make_store(folder / "store", patients=45, duration_s=5.0)
    make_bundle(folder / "mine" / "bundle")
    return folder


@pytest.fixture(scope="module")
def quick(place):
    config = quick_config(place, place / "quick")
    return config, suite(config)


@pytest.fixture(scope="module")
def few_conditions():
    """Two subsets of leads, one condition a family, two untrained encoders: the rest is more of the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leads, "lead_subsets", lambda: lead_subsets()[:2])
        patch.setattr(robustness, "conditions_of", lambda family: conditions_of(family)[:1])
        patch.setattr(
            readouts, "grid", lambda *, seeds, plain_only: grid(seeds=seeds, plain_only=plain_only)[:2]
        )
        yield


@pytest.fixture(scope="module")
def full(place, few_conditions):
    config = replace(
        quick_config(place, place / "full"), quick=False, untrained_seeds=1, supervised_steps=2, label_draws=2
    )
    return config, suite(config)


def quick_config(place, out):
    return SuiteConfig(
        bundles=(place / "mine" / "bundle",), stores=(place / "store",), out=out, quick=True, resamples=100
    )


def read_report(folder):
    return json.loads((folder / "report.json").read_text())


def systems(report):
    return {result["system"] for result in report["results"] if "macro_auroc" in result}


def test_a_quick_report_holds_the_judged_encoder_two_untrained_ones_and_hand_made_features(quick):
    report = read_report(quick[0].out)
    assert {
        "mine, probe",
        "untrained 0, probe",
        "untrained 1, probe",
        "hand-made features, probe",
    } <= systems(report)
    assert report["provenance"]["judged"] == "mine"
    titles = [section["title"] for section in report["sections"]]
    assert "Does pre-training help?" in titles
    assert "Fixed lead sets" in titles
    assert "Whose heart is it?" in titles
    page = (quick[0].out / "report.html").read_text()
    assert page.count("In brackets: 95 % interval over patients.") == 1
    assert titles[1] == "How to read this page"
    tables = {one["caption"]: one for section in report["sections"] for one in section["tables"]}
    assert "Micro AUPRC" in tables["All systems, the best macro AUROC first"]["columns"]
    assert all("networks trained with labels" in told for told in (report["summary"][3], page))


def test_the_seeds_of_untrained_encoders_stand_apart(quick):
    report = read_report(quick[0].out)
    (table,) = [
        one
        for section in report["sections"]
        for one in section["tables"]
        if one["caption"] == "Macro AUROC of untrained encoders: variation between seeds"
    ]
    scores = [
        result["macro_auroc"]["value"]
        for result in report["results"]
        if result.get("system") in ("untrained 0, probe", "untrained 1, probe")
        and result["lead_set"] == "as recorded"
    ]
    ends = f"{min(scores):.3f} to {max(scores):.3f}"
    assert table["rows"] == [["as the judged encoder", f"{np.mean(scores):.3f}", ends, "2"]]


def test_seeds_of_one_model_stand_together(quick):
    contest = contest_of(quick[0])
    named = [replace(contest.judged, name=name) for name in ("a-seed-0", "a-seed-12", "b:1", "c-seed-x", "d")]
    contest.judged, contest.beside = named[0], tuple(named[1:])
    scores = {"a-seed-0": 0.5, "a-seed-12": 0.8, "b:1": 0.6, "c-seed-x": 0.6, "d": 0.7}
    results = {
        f"{name}, {how}": suite_report.classification(name, value)
        for name, value in scores.items()
        for how in ("probe", "k-NN")
    }
    (table,) = classification._model_seed_table(contest, results)
    assert table.rows == tuple((f"a, {how}", "0.650", "0.500 to 0.800", "2") for how in ("probe", "k-NN"))


def test_classes_that_are_not_judged_are_named(quick):
    skipped = contest_of(quick[0]).task.skipped
    assert skipped
    told = f"positive training recordings or one outcome only in the test: {', '.join(skipped)}."
    (section,) = [one for one in read_report(quick[0].out)["sections"] if one["title"] == "Classification"]
    assert any(note.endswith(told) for note in section["notes"])


def test_without_whitening_the_claim_on_persons_rests_on_plain_cosine(quick):
    # Recordings of one window: there is no scatter between windows.
    report = read_report(quick[0].out)
    claims = report["results"][-1]["claims"]["Identification"]
    assert {one["a"] for one in claims} == {"mine, cosine"}
    (section,) = [one for one in report["sections"] if one["title"] == "Whose heart is it?"]
    assert section["notes"][0].startswith("The claim rests on cosine: no training recording has two windows")


def test_no_claim_is_made_unless_every_baseline_is_beaten(quick):
    config, lines = quick
    told = "\n".join(lines)
    # An encoder of random weights is no better than other random weights.
    assert "is not shown: mine, probe is better than" in told
    table = read_report(config.out)["results"][-1]["claims"]["Classification"]
    assert {one["b"] for one in table} >= {
        "untrained 0, probe",
        "untrained 1, probe",
        "hand-made features, probe",
    }
    assert all(one["p_holm"] >= one["p_value"] for one in table)


def test_a_second_run_makes_no_pass_and_gives_the_same_numbers(quick, place):
    config, lines = quick
    before = read_report(config.out)["results"]
    again = suite(config)
    assert ": 0 passes made" in again[-1]
    assert read_report(config.out)["results"] == before
    assert again[:-1] == lines[:-1]


def test_an_interrupted_suite_keeps_what_it_has_made(place, monkeypatch):
    config = quick_config(place, place / "interrupted")
    calls = []
    whole = BundleEmbedder.embed

    def some(self, selection, condition, *, wrap=None):
        calls.append(condition.name)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return whole(self, selection, condition, wrap=wrap)

    monkeypatch.setattr(BundleEmbedder, "embed", some)
    with pytest.raises(KeyboardInterrupt):
        suite(config)
    assert len(list((config.out / "passes").glob("*.npz"))) >= 5
    assert not (config.out / "report.html").exists()


def test_a_full_report_has_every_baseline_and_every_part(full):
    report = read_report(full[0].out)
    found = systems(report)
    for expected in (
        "supervised ResNet-1D",
        "supervised S4",
        "same architecture from scratch",
        "mine, fine-tuned",
        "mine, attentive probe",
        "untrained, attentive probe",
    ):
        assert any(name.startswith(expected) for name in found), expected
    assert {"untrained 0, probe", "untrained 0, gain 2, probe"} <= found
    titles = " ".join(section["title"] for section in report["sections"])
    for part in ("read-out", "any leads", "label budgets", "robustness", "leakage"):
        assert part in titles.lower(), (part, titles)
    assert (full[0].out / "leads.csv").is_file()
    counts = next(one["any_leads_recordings"] for one in report["results"] if "any_leads_recordings" in one)
    task = contest_of(full[0]).task
    assert counts["test"]["recordings"] + counts["test"]["left_out"] == len(task.parts["test"])
    levels = next(one["recordings"] for one in report["results"] if "robustness" in one)
    assert levels["clean"] == len(task.parts["test"])
    assert set(levels["wander"].values()) == {levels["clean"]}


def test_a_report_becomes_the_card_of_the_bundle_it_is_about(place, full, quick, tmp_path):
    bundle = place / "mine" / "bundle"
    export_hub(ExportHubConfig(bundle=bundle, out=tmp_path / "released", report=full[0].out))
    card = (tmp_path / "released" / "README.md").read_text()
    report = read_report(full[0].out)
    # What follows from few conditions of the fixture is named as missing, with everything else.
    assert all(f"- {sentence}" in card for sentence in report["summary"])
    probe = next(one for one in report["results"] if one.get("system") == "mine, probe")
    found = Interval(**probe["macro_auroc"])
    assert f"| **this encoder, probe** | {found} |" in card
    assert f"{probe['records']} test recordings of {probe['patients']} patients" in card
    claims = report["results"][-1]["claims"]["Classification"]
    told = [line for line in card.split("### Each class")[0].splitlines() if "(baseline)" in line]
    assert sum(int(line.split(" of ")[-1].split()[0]) for line in told) == len(claims)
    for kind in ("supervised ResNet-1D", "supervised S4", "untrained", "hand-made", "same architecture"):
        assert any(line.startswith(f"| {kind}") for line in told), kind
    assert "anylead synthetic patients" in card
    assert "these numbers say nothing about real ECGs" in card
    done = export_hub(ExportHubConfig(bundle=bundle, out=tmp_path / "quick", report=quick[0].out))
    assert "no any-lead curve" in done.notes[0]


@pytest.fixture(scope="module")
def table(place, quick):
    """Embeddings under some conditions, as another group would hand them in."""
    judged = contest_of(quick[0]).judged
    rows = {"record_id": [], "condition": [], "embedding": []}
    store = Store.open(place / "store")
    lead_conditions = [one.name for one in (*lead_subsets()[:2], *single_leads()[:1])]
    for name in ("clean", "lead-set-12", "lead-set-2", *lead_conditions, "drop-I"):
        for split in ("train", "valid", "test"):
            selection = Selection.of([store], split)
            rows["record_id"] += selection.record_ids
            rows["condition"] += [name] * len(selection)
            rows["embedding"] += judged.embed(selection, condition(name)).tolist()
    pq.write_table(pa.table(rows), place / "theirs.parquet")
    return EmbeddingsConfig(
        embeddings=place / "theirs.parquet",
        stores=(place / "store",),
        out=place / "theirs",
        untrained_encoder="conv_transformer:tiny",
        untrained_seeds=1,
        supervised_steps=1,
        resamples=100,
        audit=False,
    )


def test_embeddings_of_another_model_get_the_same_report_against_every_baseline(table, full):
    lines = suite(table)
    report = read_report(table.out)
    claims = report["results"][-1]["claims"]["Classification"]
    # All but what is trained from the judged weights or built like the judged encoder.
    assert {one["b"] for one in claims} == {
        "untrained 0, probe",
        "untrained 0, gain 2, probe",
        "untrained 0, k-NN",
        "hand-made features, probe",
        "hand-made features, k-NN",
        "supervised ResNet-1D",
        "supervised S4",
    }
    assert all(one["p_holm"] >= one["p_value"] for one in claims)
    persons = report["results"][-1]["claims"]["Identification"]
    assert {one["b"] for one in persons} == {"untrained 0, cosine", "median beat, cosine"}
    (absent,) = [line for line in lines if line.startswith("Not among the baselines")]
    assert "the architecture of theirs, untrained or trained from scratch" in absent
    assert "ours (conv_transformer:tiny)" in absent
    titles = [section["title"] for section in report["sections"]]
    assert {"Read-out", "Fixed lead sets", "Any leads", "Label budgets"} <= set(titles)
    assert "Missing from this report." in "\n".join(lines)
    compared = diff(DiffConfig(a=full[0].out, b=table.out, resamples=100))
    assert compared.summary


def test_nobody_is_asked_about_conditions_without_rows(table, few_conditions):
    asked = {one.condition.name for one in planned_passes(contest_of(table))}
    assert asked == {"clean", "lead-set-12", "lead-set-2", "leads-II", "leads-III", "leads-I", "drop-I"}


def test_a_second_report_on_embeddings_trains_and_passes_nothing(table, full, monkeypatch):
    monkeypatch.setattr(networks, "finetune_classify", None)
    contest = contest_of(table)
    choose_readouts(contest)
    contest.networks = networks.train_networks(table, contest.architecture)
    assert contest.passes.missing(planned_passes(contest)) == []


def test_a_quick_report_on_embeddings_trains_nothing(table, tmp_path, few_conditions):
    contest = contest_of(replace(table, out=tmp_path, quick=True, untrained_seeds=3))
    assert [cell.name for cell in cells_of(contest)] == ["untrained 0", "untrained 1"]
    assert "networks" not in forecast(contest)
    told = absent_baselines(contest)
    assert [("architecture" in line, "networks" in line) for line in told] == [(True, False), (False, True)]


def test_without_one_sampling_rate_embeddings_are_judged_without_networks(table, tmp_path, monkeypatch):
    def several(self):
        raise StoreError("store: the recordings have 250, 500 Hz.")

    monkeypatch.setattr(Store, "sampling_rate_hz", property(several))
    contest = contest_of(replace(table, out=tmp_path))
    assert contest.notes[-1].endswith("be among the baselines: store: the recordings have 250, 500 Hz.")
    assert choose_readouts(contest).missing == ()
    assert {one.name for one in contest.main} == {"theirs", "hand-made features"}
    assert "networks" not in forecast(contest)
    (told,) = absent_baselines(contest)
    assert told.endswith("how to build, nor any other network.")


def test_embeddings_can_have_rows_for_whatever_the_suite_asks(place, few_conditions):
    contest = contest_of(replace(quick_config(place, place / "x"), quick=False))
    written = ConditionsConfig(stores=(place / "store",), out=place / "x").chosen
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leads, "lead_subsets", lead_subsets)
        patch.setattr(robustness, "conditions_of", conditions_of)
        asked = {one.condition for one in planned_passes(contest)}
    assert asked == set(written)


def test_the_passes_are_told_before_the_first_one_is_made(quick, few_conditions, tmp_path):
    config, _ = quick
    made = len(list((config.out / "passes").glob("*.npz")))
    rows = [line.rsplit(maxsplit=2) for line in forecast(contest_of(config)).splitlines()[2:]]
    counts = {name.strip(): int(passes.replace(",", "")) for name, passes, _ in rows}
    assert list(counts) == ["mine", "untrained encoders (2)", "hand-made features", "median beat", "all"]
    assert counts["all"] == made == sum(counts.values()) - counts["all"]
    # In a full report, of networks and read-outs that are not there yet.
    full = contest_of(replace(config, quick=False, out=tmp_path))
    told = forecast(full)
    # Of two encoders, each of two layers, in training and validation.
    assert told.splitlines()[2].split()[:5] == ["choice", "of", "the", "read-out", "8"]
    assert "untrained encoders (2)" in told
    assert "networks trained with labels (6)  " in told
    assert not list(tmp_path.iterdir())


def test_the_same_encoder_gives_the_same_answers_as_a_table_and_as_a_bundle(place, quick):
    config = replace(quick[0], out=place / "as-bundle")
    contest = contest_of(config)
    test = contest.passes.parts["test"]
    whole = contest.judged.embed(test, condition("clean"))
    few = contest.judged.embed(test, condition("lead-set-2"))
    assert whole.shape == few.shape
    assert not np.allclose(whole, few)
    np.testing.assert_array_equal(few, contest.judged.embed(test, condition("leads-I,II")))


def test_a_gain_changes_weights_and_not_biases(place, quick):
    contest = contest_of(quick[0])
    usual = untrained_embedder(contest.judged, Untrained(), seed=0)
    strong = untrained_embedder(contest.judged, Untrained(gain=2.0), seed=0)
    pairs = zip(usual.bundle.encoder.named_parameters(), strong.bundle.encoder.parameters(), strict=True)
    for (name, a), b in pairs:
        factor = 2.0 if a.dim() >= 2 else 1.0
        np.testing.assert_allclose(b.detach().numpy(), factor * a.detach().numpy(), err_msg=name)
    assert usual.key != strong.key
    assert len(grid(seeds=3, plain_only=False)) == 18


def test_a_store_without_labels_still_gets_its_other_parts(place, tmp_path, quick):
    config = replace(quick[0], out=tmp_path / "out", minimum_positives=10_000)
    told = "\n".join(suite(config))
    # One sentence for all parts that lack the same thing.
    assert told.count("none of the 26 scored classes has 10000 positives") == 1
    assert "Classification; Fixed lead sets: none of the 26 scored classes" in told
    titles = [section["title"] for section in read_report(config.out)["sections"]]
    assert "Whose heart is it?" in titles
    assert "Fixed lead sets" not in titles


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stores": ()}, "got no store"),
        ({"bundles": ()}, "got no bundle"),
        ({"names": ("a", "b")}, "got 2 names for 1 bundles"),
        ({"resamples": 5}, "resamples is 5"),
        ({"untrained_seeds": 0}, "got 0 untrained seeds"),
    ],
)
def test_refuses_settings_that_do_not_fit(place, changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(quick_config(place, place / "x"), **changes)


def test_refuses_two_bundles_of_one_name(place):
    with pytest.raises(ConfigError, match="two bundles are called mine"):
        suite(replace(quick_config(place, place / "x"), bundles=(place / "mine", place / "mine" / "bundle")))


def test_refuses_a_table_of_other_recordings(place, tmp_path):
    pq.write_table(pa.table({"record_id": ["nobody"], "embedding": [[1.0, 2.0]]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="none of its 1 record ids is in the store"):
        suite(
            EmbeddingsConfig(embeddings=tmp_path / "t.parquet", stores=(place / "store",), out=tmp_path / "o")
        )
