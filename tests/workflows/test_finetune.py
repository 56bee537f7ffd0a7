"""Fine-tuning: whom it trains on, what it changes, what it writes."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from downstream_setup import make_bundle, make_store

import anylead
from anylead.bundle import Bundle
from anylead.config import from_plain
from anylead.encoders import S4, ResNet1d
from anylead.encoders.base import Readout
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.thresholds import best_challenge_thresholds
from anylead.heads import ArcFaceHead, AttentiveHead
from anylead.preparation import Preparation, Resample
from anylead.sources.base import Labels
from anylead.sources.challenge import SCORED_CLASSES, WEIGHTS
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store, write_store
from anylead.workflows import finetune
from anylead.workflows.finetune import ClassifyConfig, IdentifyConfig, finetune_classify, finetune_identify
from anylead.workflows.selection import Selection, predict_selection
from array_source import ArraySource


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    make_store(folder / "store")
    make_bundle(folder / "bundle", readout=Readout(layer=1, pooling="mean_std"))
    return folder


@pytest.fixture
def classify(place, tmp_path):
    return ClassifyConfig(
        bundle=place / "bundle",
        stores=(place / "store",),
        out=tmp_path / "run",
        steps=3,
        batch_size=8,
        log_every=1,
    )


@pytest.fixture
def identify(place, tmp_path):
    return IdentifyConfig(
        bundle=place / "bundle",
        stores=(place / "store",),
        out=tmp_path / "run",
        steps=3,
        batch_size=8,
        log_every=1,
    )


@pytest.fixture
def fed(monkeypatch):
    """Every feed that is built: its stores, recordings and options."""
    feeds = []
    real = finetune.LabelledFeed

    def watch(stores, recordings, config, **options):
        feeds.append((stores, list(recordings), options))
        return real(stores, recordings, config, **options)

    monkeypatch.setattr(finetune, "LabelledFeed", watch)
    return feeds


def losses(folder) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_a_bundle_that_classifies(classify, place):
    result = finetune_classify(classify)
    assert result.bundles == {"any": classify.out / "bundle"}
    model = anylead.load(classify.out / "bundle")
    assert model.classes() == result.classes
    assert set(result.classes) <= {one.abbreviation for one in SCORED_CLASSES}
    record = Store.open(place / "store").record(0)
    assert model.predict_proba(record, leads="I").shape == (1, len(result.classes))
    assert model.manifest.readout == Readout(layer=1, pooling="mean_std")
    assert model.manifest.heads["arrhythmia"].leads is None
    assert model.manifest.provenance["started_from"]["bundle"] == anylead.load(place / "bundle").fingerprint()
    assert len(losses(classify.out)) == 3


def test_the_settings_are_written_so_that_they_can_be_read_again(classify):
    finetune_classify(classify)
    values = yaml.safe_load((classify.out / "config.yaml").read_text())
    assert from_plain(ClassifyConfig, values) == classify


def test_the_paths_of_this_machine_do_not_travel_with_the_bundle(classify, place):
    finetune_classify(classify)
    assert str(place) not in (classify.out / "bundle" / "config.json").read_text()


def test_the_same_command_gives_the_same_weights(classify, tmp_path):
    finetune_classify(classify)
    finetune_classify(replace(classify, out=tmp_path / "again"))
    finetune_classify(replace(classify, out=tmp_path / "other", seed=1))
    first, again, other = (anylead.load(folder / "bundle").state_dict() for folder in
                           (classify.out, tmp_path / "again", tmp_path / "other"))  # fmt: skip
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def moved(before: Bundle, after: Bundle) -> set[str]:
    old, new = before.encoder.state_dict(), after.encoder.state_dict()
    return {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}


def test_fine_tuning_moves_all_but_the_convolutions(classify, place):
    finetune_classify(classify)
    changed = moved(anylead.load(place / "bundle"), anylead.load(classify.out / "bundle"))
    assert "stem" not in changed
    assert {"blocks", "position"} <= changed


def test_a_frozen_encoder_stays_what_it_was_and_its_head_learns(classify, place):
    finetune_classify(replace(classify, frozen=True, steps=40, learning_rate=0.03))
    assert moved(anylead.load(place / "bundle"), anylead.load(classify.out / "bundle")) == set()
    values = losses(classify.out)
    assert np.mean(values[-5:]) < 0.8 * np.mean(values[:5])


def test_fresh_weights_are_a_baseline_whose_convolutions_learn(classify, place, tmp_path):
    frozen = replace(classify, weights="fresh", frozen=True)
    finetune_classify(frozen)
    finetune_classify(replace(frozen, out=tmp_path / "scratch", frozen=False, learning_rate=1e-3))
    untrained, scratch = anylead.load(frozen.out / "bundle"), anylead.load(tmp_path / "scratch" / "bundle")
    assert "stem" in moved(anylead.load(place / "bundle"), untrained)
    assert "stem" in moved(untrained, scratch)


@pytest.mark.parametrize(("name", "kind"), [("resnet1d:tiny", ResNet1d), ("s4:tiny", S4)])
def test_another_encoder_is_trained_from_scratch_on_the_bundle_s_preparation(classify, place, name, kind):
    result = finetune_classify(
        replace(classify, encoder=name, steps=8, schedule="warmup_cosine", lead_masking=0.0)
    )
    start, model = anylead.load(place / "bundle"), anylead.load(classify.out / "bundle")
    assert isinstance(model.encoder, kind)
    assert model.preparation == start.preparation
    assert (model.encoder.leads, model.manifest.window_s) == (start.encoder.leads, start.manifest.window_s)
    # Not the read-out of an encoder that is not this one.
    assert model.manifest.readout == Readout()
    assert model.manifest.provenance["started_from"]["weights"] == "fresh"
    record = Store.open(place / "store").record(0)
    assert model.predict_proba(record, leads="I").shape == (1, len(result.classes))
    lines = [json.loads(line) for line in (classify.out / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 0.1 * max(rates)
    assert np.mean([line["loss"] for line in lines[-3:]]) < lines[0]["loss"]


def test_another_encoder_can_learn_persons(identify):
    finetune_identify(replace(identify, encoder="resnet1d:tiny", steps=1))
    assert isinstance(anylead.load(identify.out / "bundle").encoder, ResNet1d)


def test_an_attentive_head_is_trained_on_a_frozen_encoder(classify, place):
    finetune_classify(replace(classify, head_kind="attentive", frozen=True, steps=40, learning_rate=0.01))
    model = anylead.load(classify.out / "bundle")
    head = model.heads["arrhythmia"]
    assert isinstance(head, AttentiveHead)
    # The layer is the bundle's own, and so is what `embed` reads.
    assert head.config.readout == Readout(layer=1)
    assert model.manifest.readout == Readout(layer=1, pooling="mean_std")
    assert moved(anylead.load(place / "bundle"), model) == set()
    assert set(model.thresholds()) != {0.5}
    values = losses(classify.out)
    assert np.mean(values[-5:]) < 0.8 * np.mean(values[:5])


def test_layer_decay_slows_what_lies_far_from_the_head(classify, place, tmp_path):
    plain = replace(classify, layer=2, steps=1, learning_rate=1e-3, lead_masking=0.0)
    finetune_classify(plain)
    finetune_classify(replace(plain, layer_decay=0.5, out=tmp_path / "decayed"))
    start, whole, decayed = (
        anylead.load(folder).state_dict()
        for folder in (place / "bundle", plain.out / "bundle", tmp_path / "decayed" / "bundle")
    )
    # A first update moves weights by their rate, whatever the gradient.
    assert torch.equal(whole["heads.arrhythmia.project.weight"], decayed["heads.arrhythmia.project.weight"])
    for name, share in (("blocks.1", 1.0), ("blocks.0", 0.5), ("position", 0.25)):
        changed = [key for key in start if key.startswith(f"encoder.{name}.") and whole[key].ndim > 1]
        moves = [((decayed[key] - start[key]).norm(), (whole[key] - start[key]).norm()) for key in changed]
        assert moves
        for slow, fast in moves:
            assert slow.item() == pytest.approx(share * fast.item(), rel=0.02)


def test_nobody_of_a_test_split_is_trained_on(place, tmp_path, fed):
    # The same people, dealt otherwise: those tested in one store are in the training split of the other.
    make_bundle(tmp_path / "bundle")
    first = Store.open(place / "store")
    source = dict(first.manifest.source_options)
    write_store(
        Synthetic(**source), None, tmp_path / "other",
        preparation=Preparation.default(), split=SplitConfig(test_fraction=0.3, seed=5),
    )  # fmt: skip
    second = Store.open(tmp_path / "other")
    for kind, run in ((ClassifyConfig, finetune_classify), (IdentifyConfig, finetune_identify)):
        run(
            kind(
                bundle=tmp_path / "bundle",
                stores=(first.path, second.path),
                out=tmp_path / kind.__name__,
                steps=1,
            )
        )
    protected = {
        store.column("patient_id")[row] for store in (first, second) for row in store.split_indices("test")
    }
    own = {first.column("patient_id")[row] for row in first.split_indices("train")}
    assert own & protected
    assert len(fed) == 2
    for stores, recordings, _ in fed:
        trained = {stores[number].column("patient_id")[row] for number, row in recordings}
        assert trained
        assert not trained & protected


def test_unlabelled_recordings_are_not_trained_on_as_if_they_had_no_finding(place, tmp_path, fed):
    class Unlabelled(ArraySource):
        labelled = False

        def labels(self, ref):
            return Labels()

    write_store(
        Unlabelled(records=8),
        None,
        tmp_path / "store",
        preparation=Preparation.default(),
        split=SplitConfig(),
    )
    config = ClassifyConfig(
        bundle=place / "bundle", stores=(tmp_path / "store",), out=tmp_path / "run", steps=1
    )
    with pytest.raises(
        ConfigError, match="no recording of the training split is labelled; give a store with"
    ):
        finetune_classify(config)
    finetune_classify(replace(config, stores=(tmp_path / "store", place / "store")))
    assert {number for number, _ in fed[0][1]} == {1}


def test_one_bundle_a_lead_set(classify, fed, caplog):
    config = replace(classify, per_lead_set=True, lead_sets=("2", "I", "V7"), steps=1)
    with caplog.at_level(logging.WARNING):
        result = finetune_classify(config)
    assert result.bundles == {name: config.out / f"bundle-{name}" for name in ("2", "I")}
    assert "lead set V7: no training recording has all of its leads; it is left out" in caplog.text
    assert [(options["lead_set"], options["lead_masking"]) for _, _, options in fed] == [
        (("I", "II"), None),
        (("I",), None),
    ]
    assert anylead.load(result.bundles["I"]).manifest.heads["arrhythmia"].leads == ("I",)
    with pytest.raises(ConfigError, match="no training recording has all leads of any of V7"):
        finetune_classify(replace(config, lead_sets=("V7",)))


def test_lead_masking_is_on_unless_switched_off(classify, fed):
    finetune_classify(replace(classify, steps=1))
    finetune_classify(replace(classify, steps=1, lead_masking=0.0))
    assert fed[0][2]["lead_masking"].probability == 0.5
    assert fed[1][2]["lead_masking"] is None


def test_thresholds_are_chosen_on_validation_recordings(classify, place, tmp_path):
    result = finetune_classify(replace(classify, frozen=True, steps=20, learning_rate=0.03))
    model = anylead.load(classify.out / "bundle")
    validation = Selection.of((Store.open(place / "store"),), "valid")
    chosen = [one for one in SCORED_CLASSES if one.abbreviation in result.classes]
    labels = finetune.targets(validation, chosen) > 0.5
    rows = [one.index for one in chosen]
    probabilities = predict_selection(model, validation).astype(np.float64)
    expected = best_challenge_thresholds(labels, probabilities, WEIGHTS[np.ix_(rows, rows)])
    expected[~labels.any(axis=0)] = 0.5
    np.testing.assert_allclose(model.thresholds(), expected, atol=1e-6)
    assert set(model.thresholds()) != {0.5}


def test_without_validation_recordings_thresholds_are_one_half(place, tmp_path):
    split = SplitConfig(valid_fraction=0.0)
    write_store(ArraySource(records=16), None, tmp_path / "s", preparation=Preparation.default(), split=split)
    config = ClassifyConfig(bundle=place / "bundle", stores=(tmp_path / "s",), out=tmp_path / "run", steps=1)
    result = finetune_classify(config)
    assert result.classes == ("AF", "IAVB", "NSR")
    assert anylead.load(tmp_path / "run" / "bundle").thresholds() == (0.5,) * 3


def test_identification_trains_embeddings_on_numbered_persons(identify, place):
    result = finetune_identify(replace(identify, steps=30, learning_rate=3e-3, lead_masking=0.0))
    store = Store.open(place / "store")
    persons = {store.column("patient_id")[row] for row in store.split_indices("train")}
    assert result.classes == tuple(str(number) for number in range(len(persons)))
    model = anylead.load(identify.out / "bundle")
    assert isinstance(model.heads["identity"], ArcFaceHead)
    assert not any(person in (identify.out / "bundle" / "config.json").read_text() for person in persons)
    assert "blocks" in moved(anylead.load(place / "bundle"), model)
    values = losses(identify.out)
    assert np.mean(values[-5:]) < np.mean(values[:5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stores": ()}, "finetune: got no store"),
        ({"steps": 0}, "got steps 0 and log_every 1; give at least 1 of each"),
        ({"layer_decay": 0.0}, "got layer_decay 0; give a number above 0, at most 1"),
        ({"layer_decay": 1.5}, "got layer_decay 1.5; give a number above 0, at most 1"),
        ({"encoder": "lstm"}, "got 'lstm'; give NAME or NAME:SIZE"),
        (
            {"head_kind": "attentive", "pooling": "mean"},
            "got pooling mean for an attentive head, which",
        ),
        ({"minimum_positives": 1000}, "none of the scored classes has 1000 positives among"),
    ],
)
def test_settings_that_cannot_work_are_refused(classify, changes, message):
    with pytest.raises(ConfigError, match=message):
        finetune_classify(replace(classify, **changes))


def test_one_person_cannot_be_told_apart(place, tmp_path):
    split = SplitConfig(test_fraction=0.0, valid_fraction=0.0)
    source = ArraySource(records=3, per_patient=3)
    write_store(source, None, tmp_path / "one", preparation=Preparation.default(), split=split)
    with pytest.raises(ConfigError, match="the training split has 1 person; at least 2 are needed"):
        finetune_identify(
            IdentifyConfig(bundle=place / "bundle", stores=(tmp_path / "one",), out=tmp_path / "run")
        )


def test_a_store_of_other_steps_is_refused(classify, tmp_path):
    steps = Preparation(steps=(Resample(rate_hz=500.0),))
    write_store(ArraySource(records=8), None, tmp_path / "s", preparation=steps, split=SplitConfig())
    with pytest.raises(StoreError, match=r"prepared by other steps than this bundle's"):
        finetune_classify(replace(classify, stores=(tmp_path / "s",)))
