"""Evaluation: scored per recording, on persons nobody trained on, systems paired on the same resamples."""

import json
import shutil
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from downstream_setup import make_bundle, make_store
from sklearn.metrics import average_precision_score, roc_auc_score

import anylead
from anylead.encoders.base import Readout
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.challenge_score import challenge_score
from anylead.evaluation.results import ClassificationResult, IdentificationResult
from anylead.evaluation.sections import difference_sentence
from anylead.preparation import Preparation, Resample
from anylead.sources.base import Labels
from anylead.sources.challenge import SINUS_RHYTHM_INDEX, WEIGHTS, class_targets
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows import judge_classification, judge_identification
from anylead.workflows.compare import Budget, CompareConfig, Table
from anylead.workflows.compare.page import write_page
from anylead.workflows.evaluate import (
    EvaluateClassifyConfig,
    EvaluateIdentifyConfig,
    EvaluateLeadsConfig,
    EvaluateProbeConfig,
    evaluate_classify,
    evaluate_identify,
    evaluate_leads,
    evaluate_probe,
)
from anylead.workflows.finetune import ClassifyConfig, finetune_classify
from anylead.workflows.selection import Selection, unknown_patients
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.summary import summary
from array_source import ArraySource


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    make_store(folder / "store")
    make_bundle(folder / "pretrained" / "bundle", readout=Readout(pooling="mean_std"))
    common = {"bundle": folder / "pretrained" / "bundle", "stores": (folder / "store",), "batch_size": 8}
    finetune_classify(
        ClassifyConfig(**common, out=folder / "tuned", steps=20, frozen=True, learning_rate=0.03)
    )
    finetune_classify(
        ClassifyConfig(**common, out=folder / "untrained", steps=2, frozen=True, weights="fresh")
    )
    return folder


def config(kind, place, out, **changes):
    values = {
        "bundles": (place / "tuned",), "stores": (place / "store",), "out": out, "lead_sets": ("12", "I"),
        "resamples": 20,
    }  # fmt: skip
    return kind(**(values | changes))


def test_a_recording_is_judged_by_the_mean_over_its_windows(place, tmp_path):
    found = evaluate_classify(config(EvaluateClassifyConfig, place, tmp_path, minimum_positives=3))
    model, store = anylead.load(place / "tuned" / "bundle"), Store.open(place / "store")
    rows = store.split_indices("test").tolist()
    labels = np.array([class_targets(store.column("labels")[row]) for row in rows])
    for name, leads in (("12", None), ("I", ("I",))):
        result = next(one for one in found.results if one.lead_set == name)
        probabilities = model.predict_proba([store.record(row) for row in rows], leads=leads)
        columns = [judge_classification._NAMES.index(one.name) for one in result.per_class]
        places = [model.classes().index(one.name) for one in result.per_class]
        truth = labels[:, columns]
        assert (truth.sum(axis=0) >= 3).all()
        assert len(columns) >= 3
        aurocs = [roc_auc_score(truth[:, k], probabilities[:, place]) for k, place in enumerate(places)]
        auprcs = [
            average_precision_score(truth[:, k], probabilities[:, place]) for k, place in enumerate(places)
        ]
        assert result.records == len(rows)
        assert result.macro_auroc.value == pytest.approx(np.mean(aurocs), abs=1e-6)
        assert result.macro_auprc.value == pytest.approx(np.mean(auprcs), abs=1e-6)


def know_the_truth(monkeypatch, wrong_for: str = ""):
    """Every bundle answers with the labels, but the one so called with their opposite."""

    def answer(bundle, selection, *, head=None, progress=None, **options):
        codes = selection.column("labels")
        names = bundle.classes(head)
        truth = np.array([class_targets(one) for one in codes])
        columns = [judge_classification._NAMES.index(name) for name in names]
        right = truth[:, columns].astype(np.float32)
        return 1 - right if bundle.manifest.provenance["config"]["weights"] == wrong_for else right

    monkeypatch.setattr(judge_classification, "predict_selection", answer)


def test_the_truth_scores_best_and_its_opposite_worst(place, tmp_path, monkeypatch):
    know_the_truth(monkeypatch, wrong_for="fresh")
    found = evaluate_classify(
        config(
            EvaluateClassifyConfig, place, tmp_path, bundles=(place / "tuned", place / "untrained"),
            minimum_positives=3, lead_sets=("12",),
        )
    )  # fmt: skip
    tuned, untrained = (next(r for r in found.results if r.system == name) for name in ("tuned", "untrained"))
    assert tuned.macro_auroc.value == 1.0
    assert untrained.macro_auroc.value == 0.0
    # Over all 26 classes: those without an output are missed.
    store = Store.open(place / "store")
    labels = np.array([class_targets(store.column("labels")[row]) for row in store.split_indices("test")])
    outputs = labels & np.isin(
        judge_classification._NAMES, anylead.load(place / "tuned" / "bundle").classes()
    )
    assert (outputs != labels).any()
    expected = challenge_score(labels, outputs, WEIGHTS, sinus=SINUS_RHYTHM_INDEX).score
    assert tuned.challenge_score.value == pytest.approx(expected)
    assert untrained.challenge_score.value < expected
    difference = next(one for one in found.differences if one.metric == "macro_auroc")
    assert (difference.a, difference.b, difference.interval.value) == ("tuned", "untrained", 1.0)
    assert difference.excludes_zero
    assert escape(difference_sentence(difference)) in (tmp_path / "report.html").read_text()


def test_the_challenge_score_is_told_with_both_kinds_of_threshold(place, tmp_path):
    found = evaluate_classify(
        config(EvaluateClassifyConfig, place, tmp_path, lead_sets=("12",), minimum_positives=3)
    )
    assert [one.system for one in found.results] == ["tuned", "tuned, validation thresholds"]
    assert found.results[0].macro_auroc == found.results[1].macro_auroc
    assert found.results[0].challenge_score != found.results[1].challenge_score


def test_everything_is_written_for_machines_and_people(place, tmp_path):
    found = evaluate_classify(config(EvaluateClassifyConfig, place, tmp_path, minimum_positives=3))
    values = json.loads((tmp_path / "results.json").read_text())
    assert values["format"] == 1
    assert len(values["results"]) == len(found.results)
    assert (
        values["provenance"]["bundles"]["tuned"]["12"]
        == anylead.load(place / "tuned" / "bundle").fingerprint()
    )
    store = Store.open(place / "store")
    assert values["recordings"] == [
        f"synthetic/{store.column('record_id')[row]}" for row in store.split_indices("test")
    ]
    assert (tmp_path / "report.html").is_file()


def mixed_store(folder):
    """Eight persons with 12 leads and, in another store, eight with lead I."""
    split = SplitConfig(test_fraction=0.5, valid_fraction=0.0)
    for name, leads in (("all", None), ("one", ("I",))):
        source = ArraySource(records=16, family=name, seed=len(name), **({"leads": leads} if leads else {}))
        write_store(source, None, folder / name, preparation=Preparation.default(), split=split)
    return folder / "all", folder / "one"


def test_a_lead_set_is_judged_on_recordings_that_have_all_its_leads(place, tmp_path):
    stores = mixed_store(tmp_path)
    found = evaluate_probe(
        config(
            EvaluateProbeConfig, place, tmp_path / "out", stores=stores, lead_sets=("12", "I", "V7"),
            bundles=(place / "pretrained",), minimum_positives=2,
        )
    )  # fmt: skip
    records = {one.lead_set: one.records for one in found.results}
    assert records == {"12": 8, "I": 16}
    assert found.left_out == {"leads 12: not all recorded": 8, "leads V7: not all recorded": 16}


def test_a_probe_is_fitted_on_nobody_who_is_tested(place, tmp_path, monkeypatch):
    fitted = []
    real = judge_classification.fit_probe

    def watch(embeddings, labels, *, patients, config):
        fitted.append((len(embeddings), set(patients), embeddings.shape[1]))
        return real(embeddings, labels, patients=patients, config=config)

    monkeypatch.setattr(judge_classification, "fit_probe", watch)
    found = evaluate_probe(
        config(
            EvaluateProbeConfig, place, tmp_path, bundles=(place / "pretrained",), minimum_positives=3,
            layer=1, pooling="mean_std_max", lead_sets=("2",),
        )
    )  # fmt: skip
    store = Store.open(place / "store")
    tested = set(Selection.of((store,), "test").persons)
    assert [one.system for one in found.results] == ["pretrained", "untrained"]
    for count, persons, width in fitted:
        assert count == len(store) - len(store.split_indices("test"))
        assert not persons & tested
        assert width == 3 * 16
    assert {one.metric for one in found.differences} == {"macro_auroc", "macro_auprc", "challenge_score"}


def test_gaps_in_every_window_leave_a_recording_out_for_all_systems(place, tmp_path):
    split = SplitConfig(test_fraction=0.5, valid_fraction=0.0)
    probe = ArraySource(records=16)
    write_store(probe, None, tmp_path / "whole", preparation=Preparation.default(), split=split)
    tested = int(Store.open(tmp_path / "whole").split_indices("test")[0])
    holed = replace(probe, gaps=((tested, 100, 500), (tested, 3000, 3400)))
    write_store(holed, None, tmp_path / "holed", preparation=Preparation.default(), split=split)
    found = evaluate_probe(
        config(
            EvaluateProbeConfig, place, tmp_path / "out", bundles=(place / "pretrained",),
            minimum_positives=2, stores=(tmp_path / "holed",), lead_sets=("12",),
        )
    )  # fmt: skip
    assert {one.records for one in found.results} == {7}
    assert found.left_out == {"leads 12: gaps in every window": 1}


def test_identification_compares_with_the_untrained_encoder_plain_and_whitened(place, tmp_path, monkeypatch):
    seen = []
    real = judge_identification.embed_selection_windows

    def watch(bundle, selection, **options):
        seen.append(selection)
        return real(bundle, selection, **options)

    monkeypatch.setattr(judge_identification, "embed_selection_windows", watch)
    found = evaluate_identify(config(EvaluateIdentifyConfig, place, tmp_path, lead_sets=("I",)))
    assert {one.system for one in found.results} == {
        "tuned", "untrained", "tuned, whitened", "untrained, whitened",
    }  # fmt: skip
    assert {one.subset for one in found.results} == {"all", "cross_session"}
    store = Store.open(place / "store")
    persons = {store.column("patient_id")[row] for row in store.split_indices("test")}
    assert {one.persons for one in found.results} == {len(persons)}
    for selection in seen:
        assert len(selection)
        assert not set(selection.column("patient_id")) & persons
    assert {(one.a, one.b) for one in found.differences} == {
        ("tuned", "untrained"),
        ("tuned, whitened", "untrained, whitened"),
    }


def test_an_encoder_that_knows_everybody_is_first_and_one_that_knows_nobody_is_not(
    place, tmp_path, monkeypatch
):
    def perfect(bundle, selection, **options):
        persons = sorted(set(selection.persons))
        return np.eye(len(persons), dtype=np.float32)[[persons.index(one) for one in selection.persons]]

    monkeypatch.setattr(judge_identification, "embed_selection", perfect)
    options = {"lead_sets": ("12",), "whiten": False, "untrained": 0}
    found = evaluate_identify(config(EvaluateIdentifyConfig, place, tmp_path, **options))
    assert {one.rank1.value for one in found.results} == {1.0}
    assert {one.eer.value for one in found.results} == {0.0}
    monkeypatch.setattr(
        judge_identification,
        "embed_selection",
        lambda bundle, selection, **o: np.ones((len(selection), 4), np.float32),
    )
    found = evaluate_identify(config(EvaluateIdentifyConfig, place, tmp_path, **options))
    assert {one.rank1.value for one in found.results} == {0.0}


def test_what_a_bundle_can_do_is_told_for_every_lead_set(place, tmp_path):
    found = evaluate_leads(config(EvaluateLeadsConfig, place, tmp_path))
    kinds = {(type(one), one.lead_set) for one in found.results}
    assert kinds == {
        (kind, name) for kind in (ClassificationResult, IdentificationResult) for name in ("12", "I")
    }
    only = evaluate_leads(config(EvaluateLeadsConfig, place, tmp_path, bundles=(place / "pretrained",)))
    assert {type(one) for one in only.results} == {IdentificationResult}
    assert "Classification was not judged" in (tmp_path / "report.html").read_text()


def test_one_bundle_a_lead_set_is_judged_on_its_own_set(place, tmp_path):
    finetune_classify(
        ClassifyConfig(
            bundle=place / "pretrained" / "bundle", stores=(place / "store",), out=tmp_path / "run", steps=1,
            batch_size=8, per_lead_set=True, lead_sets=("2", "I"),
        )
    )  # fmt: skip
    options = {"bundles": (tmp_path / "run",), "minimum_positives": 3}
    found = evaluate_classify(
        config(EvaluateClassifyConfig, place, tmp_path / "out", lead_sets=("12", "2", "I"), **options)
    )
    assert {one.lead_set for one in found.results} == {"2", "I"}
    with pytest.raises(ConfigError, match="this run has no bundle for any of the lead sets 12"):
        evaluate_classify(
            config(EvaluateClassifyConfig, place, tmp_path / "out", lead_sets=("12",), **options)
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundles": ()}, "got no bundle; give at least one"),
        ({"stores": ()}, "got no store; give at least one"),
        ({"lead_sets": ()}, "got no lead set; give at least one"),
        ({"names": ("a", "b")}, "got 2 names for 1 bundles"),
    ],
)
def test_settings_that_cannot_work_are_refused(place, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(EvaluateClassifyConfig, place, tmp_path, **changes)


def test_two_bundles_need_two_names(place, tmp_path):
    twice = config(EvaluateClassifyConfig, place, tmp_path, bundles=(place / "tuned",) * 2)
    with pytest.raises(ConfigError, match="two bundles are called tuned; tell them apart with names"):
        evaluate_classify(twice)


def test_what_cannot_be_judged_is_said(place, tmp_path):
    many = config(EvaluateClassifyConfig, place, tmp_path, minimum_positives=1000)
    with pytest.raises(ConfigError, match="no class has an output in every system and 1000 positives among"):
        evaluate_classify(many)
    unlabelled = {"stores": (unlabelled_store(tmp_path / "u"),), "minimum_positives": 2}
    with pytest.raises(ConfigError, match="no recording of the test split is labelled"):
        evaluate_classify(config(EvaluateClassifyConfig, place, tmp_path, **unlabelled))
    with pytest.raises(ConfigError, match="no training recording is labelled; give a store with labels"):
        evaluate_probe(config(EvaluateProbeConfig, place, tmp_path, **unlabelled))
    alone = {"stores": unlabelled["stores"]}
    with pytest.raises(ConfigError, match="nobody known in the test split has two recordings with all leads"):
        evaluate_identify(config(EvaluateIdentifyConfig, place, tmp_path, **alone))
    with pytest.raises(ConfigError, match=r"there is nothing to judge\. Classification was not judged"):
        evaluate_leads(config(EvaluateLeadsConfig, place, tmp_path, **alone))


def unlabelled_store(folder):
    class Nameless(ArraySource):
        labelled = False

        def labels(self, ref):
            return Labels()

    source = Nameless(records=8, per_patient=1)
    write_store(source, None, folder, preparation=Preparation.default(), split=SplitConfig(test_fraction=0.5))
    return folder


def test_a_store_of_other_steps_is_refused(place, tmp_path):
    steps = Preparation(steps=(Resample(rate_hz=500.0),))
    write_store(ArraySource(records=8), None, tmp_path / "s", preparation=steps, split=SplitConfig())
    with pytest.raises(StoreError, match="prepared by other steps than this bundle's"):
        evaluate_classify(config(EvaluateClassifyConfig, place, tmp_path, stores=(tmp_path / "s",)))


def test_a_report_says_where_patients_are_not_published(place, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(place / "store", store)
    manifest = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps({**manifest, "patients_known": False}))
    changes = {"stores": (store,), "lead_sets": ("12",), "minimum_positives": 3}
    evaluate_classify(config(EvaluateClassifyConfig, place, tmp_path / "out", **changes))
    told = json.loads((tmp_path / "out" / "report.json").read_text())["summary"]
    assert told[-1].startswith("Patients are not published in synthetic: there the splits are by recording")
    assert unknown_patients([Store.open(place / "store")]) == []
    (again,) = unknown_patients([Store.open(place / "store"), Store.open(store), Store.open(store)])
    assert again == told[-1]


def test_every_other_report_says_it_too(place, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(place / "store", store)
    manifest = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps({**manifest, "patients_known": False}))
    (sentence,) = unknown_patients([Store.open(store)])
    contest = object.__new__(Contest)  # the summary of a suite that has judged nothing
    vars(contest).update(task=None, stores=(Store.open(store),), notes=[])
    assert summary(contest, [], {}) == [sentence]
    plan = CompareConfig(
        tables=(Table(title="All", rows={"cmsc": {}}),),
        budget=Budget(segments=32.0),
        stores=(store,),
        out=tmp_path / "compared",
    )
    write_page(plan, [Store.open(store)], [], [])
    assert sentence in json.loads((tmp_path / "compared" / "report.json").read_text())["summary"]
    common = {"bundle": place / "pretrained" / "bundle", "stores": (store,), "batch_size": 8}
    tuned = finetune_classify(ClassifyConfig(**common, out=tmp_path / "tuned", steps=1, frozen=True))
    assert tuned.notes == (sentence,)
