"""Several stores at once: in given proportions, each with its leads and with the classes it tells of."""

import json
import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from downstream_setup import make_bundle

import anylead
from anylead.encoders import ConvTransformerConfig
from anylead.engine import AdamWConfig, read_run_log
from anylead.errors import ConfigError
from anylead.feed import PairFeed, PairFeedConfig
from anylead.objectives import W2VCMSCConfig
from anylead.preparation import Preparation
from anylead.sources.challenge import SCORED_CLASSES
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows import finetune
from anylead.workflows.evaluate import EvaluateClassifyConfig, evaluate_classify
from anylead.workflows.finetune import ClassifyConfig, IdentifyConfig, finetune_classify, finetune_identify
from anylead.workflows.pretrain import PretrainConfig, pretrain
from anylead.workflows.selection import Selection
from anylead.workflows.told_classes import told_classes
from array_source import ArraySource

SMALL = ConvTransformerConfig(
    conv_channels=8, dimension=16, layers=1, heads=2, feedforward=16, position_kernel=4, position_groups=2
)
ARRAY_CLASSES = {"NSR", "AF", "IAVB"}
"""All that recordings of ArraySource carry."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two stores of different sources, and a bundle."""
    folder = tmp_path_factory.mktemp("several")
    split = SplitConfig(test_fraction=0.2, valid_fraction=0.2)
    for name, source in (
        ("synthetic", Synthetic(patients=40, sessions=1, duration_s=10.0)),
        ("array", ArraySource(records=24, per_patient=1, seed=5)),
    ):
        write_store(source, None, folder / name, preparation=Preparation.default(), split=split)
    make_bundle(folder / "bundle")
    return folder


@pytest.fixture
def config(place, tmp_path) -> PretrainConfig:
    return PretrainConfig(
        stores=(place / "synthetic", place / "array"),
        out=tmp_path / "run",
        steps=6,
        encoder=SMALL,
        objective=W2VCMSCConfig(span=2, negatives=4, entries=8, final_dimension=8),
        feed=PairFeedConfig(pairs_per_batch=3, micro_batches=2),
        optimizer=AdamWConfig(learning_rate=1e-3),
        store_weights=(1.0, 2.0),
        store_leads=("all", "I,II"),
        log_every=1,
        threads=1,
        device="cpu",
    )


@pytest.fixture
def classify(place, tmp_path) -> ClassifyConfig:
    return ClassifyConfig(
        bundle=place / "bundle",
        stores=(place / "synthetic", place / "array"),
        out=tmp_path / "tuned",
        steps=1,
        batch_size=8,
        minimum_positives=1,
        log_every=1,
    )


@pytest.fixture
def fed(monkeypatch):
    """Every labelled feed that is built: the feed, its recordings and targets."""
    feeds = []
    real = finetune.LabelledFeed

    def watch(stores, recordings, config, **options):
        feeds.append((real(stores, recordings, config, **options), list(recordings), options["targets"]))
        return feeds[-1][0]

    monkeypatch.setattr(finetune, "LabelledFeed", watch)
    return feeds


def test_a_weighted_run_says_what_it_is_fed(config, caplog):
    with caplog.at_level(logging.INFO, logger="anylead"):
        result = pretrain(config, progress=False)
    told = json.loads((config.out / "fed.json").read_text())
    assert [one["store"] for one in told["stores"]] == [str(path) for path in config.stores]
    assert [one["segments_per_step"] for one in told["stores"]] == [4.0, 8.0]
    assert sum(one["pairs"] for one in told["stores"]) == told["pairs"] == result.fed.pairs
    sizes = [one["pairs"] for one in told["stores"]]
    assert told["pairs_per_epoch"] == max(3 * sizes[0], -(-3 * sizes[1] // 2))
    assert f"{config.stores[1]}: {sizes[1]} pairs, 8 segments a step." in caplog.text
    assert yaml.safe_load((config.out / "config.yaml").read_text())["store_weights"] == [1.0, 2.0]


def test_epochs_last_until_every_store_was_seen(config):
    result = pretrain(replace(config, steps=None, epochs=0.2), progress=False)
    assert result.total_steps == round(0.2 * result.fed.pairs_per_epoch / 6)


def test_a_weighted_run_that_was_stopped_goes_on_bit_equal(config, tmp_path, monkeypatch):
    straight = pretrain(replace(config, out=tmp_path / "straight"), progress=False)
    plain = PairFeed.batches

    def stopping(self, step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(PairFeed, "batches", stopping)
        assert not pretrain(config, progress=False).finished
    resumed = pretrain(config, progress=False)
    assert resumed.finished
    losses = [[line["loss"] for line in read_run_log(run)] for run in (config.out, tmp_path / "straight")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6
    weights = [anylead.load(result.bundle).encoder.state_dict() for result in (straight, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with pytest.raises(
        ConfigError, match=r"holds a run of another configuration: store_weights was \[1.0, 2.0\]"
    ):
        pretrain(replace(config, store_weights=(1.0, 1.0)), progress=False)


def test_a_run_of_a_release_without_weights_goes_on(config):
    plain = replace(config, store_weights=(), store_leads=(), steps=2)
    pretrain(plain, progress=False)
    file = config.out / "config.yaml"
    values = yaml.safe_load(file.read_text())
    assert not values.pop("store_weights")
    assert not values.pop("store_leads")
    file.write_text(yaml.safe_dump(values))
    assert pretrain(plain, progress=False).finished


def test_weights_and_lead_sets_are_one_a_store(config):
    with pytest.raises(ConfigError, match="store weights: got 1, 0 for 2 stores"):
        replace(config, store_weights=(1.0, 0.0))
    with pytest.raises(ConfigError, match="store leads: got 1 for 2 stores"):
        replace(config, store_leads=("I",))


def unknown(recordings, targets) -> list[np.ndarray]:
    """For each of the two stores, the classes of which nothing is known in any of its recordings."""
    numbers = np.array([number for number, _ in recordings])
    rows = [np.isnan(targets[numbers == store]) for store in (0, 1)]
    for one in rows:
        assert (one == one[:1]).all()
    return [one[0] for one in rows]


def test_classes_that_no_recording_of_a_source_carries_are_unknown_there(classify, fed, place):
    result = finetune_classify(classify)
    ((_, recordings, targets),) = fed
    seen = told_classes([Store.open(path) for path in classify.stores])
    chosen = [one.index for one in SCORED_CLASSES if one.abbreviation in result.classes]
    for store, missing in enumerate(unknown(recordings, targets)):
        assert missing.tolist() == (~seen[store, chosen]).tolist()
    assert {name for name, missing in zip(result.classes, unknown(recordings, targets)[1], strict=True)
            if not missing} == ARRAY_CLASSES  # fmt: skip
    model = anylead.load(result.bundles["any"])
    told = model.manifest.provenance["classes_told"]
    assert [one["source"] for one in told] == ["synthetic", "array"]
    assert set(told[1]["classes"]) == ARRAY_CLASSES
    assert np.isfinite(result.loss["any"])


def test_all_classes_of_all_stores_are_told_where_asked_for_or_where_the_source_is_one(classify, fed, place):
    finetune_classify(replace(classify, store_classes=("all",)))
    finetune_classify(replace(classify, stores=(place / "array", place / "array")))
    for _, recordings, targets in fed:
        assert not np.isnan(targets).any()
        assert {number for number, _ in recordings} == {0, 1}
    assert "classes_told" not in anylead.load(classify.out / "bundle").manifest.provenance


def test_classes_can_be_named(classify, fed):
    result = finetune_classify(replace(classify, store_classes=("seen", "AF, NSR")))
    ((_, recordings, targets),) = fed
    missing = unknown(recordings, targets)[1]
    told = {name for name, gone in zip(result.classes, missing, strict=True) if not gone}
    assert told == {"AF", "NSR"}
    # Two codes that are scored as one class go by either name.
    words = [told_classes([Store.open(classify.stores[0])], (word,)) for word in ("LBBB", "CLBBB|LBBB")]
    assert words[0].sum() == 1
    assert np.array_equal(*words)


def test_recordings_of_stores_that_tell_of_no_class_are_counted_and_not_used(classify, fed, caplog):
    with caplog.at_level(logging.INFO, logger="anylead"):
        finetune_classify(replace(classify, store_classes=("QAb", "AF,NSR"), minimum_positives=5))
    assert {number for number, _ in fed[0][1]} == {1}
    training = Selection.of([Store.open(path) for path in classify.stores], "train").labelled()
    untold = sum(number == 0 for number, _ in training.recordings)
    assert f"not used: {untold} training recordings of stores that tell of no class trained on" in caplog.text
    assert anylead.load(classify.out / "bundle").manifest.provenance["untold"] == untold


def test_each_store_shows_its_own_leads_in_fine_tuning(classify, fed, place, tmp_path):
    finetune_classify(replace(classify, store_leads=("all", "I,II"), lead_masking=0.0))
    feed, _, _ = fed[0]
    shown = {int(count) for batch in feed.batches(0) for count in batch.lead_mask.sum(1)}
    assert shown == {2, 12}
    identify = IdentifyConfig(
        bundle=place / "bundle", stores=classify.stores, out=tmp_path / "i", steps=1, store_leads=("2", "I")
    )
    result = finetune_identify(identify)
    assert result.bundles["any"].exists()


def test_what_does_not_fit_the_stores_is_refused(classify):
    with pytest.raises(
        ConfigError, match="got store_classes all all all for 2 stores; give one entry for each"
    ):
        replace(classify, store_classes=("all",) * 3)
    with pytest.raises(
        ConfigError, match="got XY in store_classes; give all, seen, or names of scored classes: AF"
    ):
        replace(classify, store_classes=("AF,XY",))
    with pytest.raises(
        ConfigError, match="got store_leads and per_lead_set, which both say what leads are shown"
    ):
        replace(classify, store_leads=("I", "II"), per_lead_set=True)
    with pytest.raises(ConfigError, match="store leads: got 3 for 2 stores"):
        replace(classify, store_leads=("I",) * 3)


def test_an_evaluation_says_where_a_class_may_be_unknown(classify, tmp_path):
    finetune_classify(classify)
    judged = EvaluateClassifyConfig(
        bundles=(classify.out,), stores=classify.stores, out=tmp_path / "report", lead_sets=("12",),
        resamples=5, minimum_positives=1,
    )  # fmt: skip
    (note,) = evaluate_classify(judged).notes
    assert note.startswith("Judged as absent from every recording of a store none of whose")
    assert "array: " in note
    assert evaluate_classify(replace(judged, stores=classify.stores[:1], out=tmp_path / "one")).notes == ()
