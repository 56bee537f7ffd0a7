"""`anylead finetune`: a bundle and labelled recordings become a bundle with a head.

A fixed number of steps is trained and the last weights are kept: nothing is selected on validation recordings
but the thresholds. Recordings of persons in the test split of any of the stores are never used.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from jaxtyping import Bool, Float32, Int64
from tqdm import tqdm

from anylead.bundle import Bundle, load
from anylead.config import to_plain
from anylead.encoders import Encoder, build_encoder, named_encoder
from anylead.encoders.base import Readout
from anylead.engine import (
    AdamWConfig,
    Constant,
    RunLog,
    Schedule,
    TrainState,
    TriStage,
    WarmupCosine,
    build_optimizer,
    fit,
)
from anylead.engine.optimizers import layer_rates
from anylead.errors import ConfigError
from anylead.evaluation.thresholds import best_challenge_thresholds
from anylead.feed.labelled import LabelledFeed, LabelledFeedConfig
from anylead.feed.lead_masking import RandomLeadMasking
from anylead.feed.lead_sets import store_lead_sets
from anylead.feed.lookahead import Lookahead
from anylead.feed.targets import class_targets, identity_targets
from anylead.heads import HEADS, ArcFaceConfig, ArcFaceHead, Head, build_head
from anylead.leads import lead_set
from anylead.nn.pooling import Pooling
from anylead.provenance import atomic_path
from anylead.seeding import derive_seed
from anylead.sources.challenge import SCORED_CLASSES, WEIGHTS, ScoredClass
from anylead.store import Store
from anylead.workflows.selection import Selection, open_stores, predict_selection, unknown_patients
from anylead.workflows.told_classes import named_classes, told_by_name, told_classes

logger = logging.getLogger(__name__)

SCHEDULES: Mapping[str, Schedule] = {"constant": Constant(), "warmup_cosine": WarmupCosine()}
"""Of classification, by name."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """What both tasks have in common.

    Raises:
        ConfigError: If there is no store, or a number is out of range.
    """

    bundle: Path
    """Gives the encoder's configuration, the preparation and, unless told otherwise, the weights."""
    stores: tuple[Path, ...]
    """Where the recordings are; their training splits are used together."""
    store_leads: tuple[str, ...] = ()
    """Leads that the training recordings of each store show, one set a store: ``all``, ``6``, ``I,II``; none
    shows all. Other leads are absent, before `lead_masking` hides more."""
    out: Path
    """Folder of the run: the bundle, `metrics.jsonl`, `config.yaml`."""
    weights: Literal["bundle", "fresh"] = "bundle"
    """``fresh`` starts from random weights: the baseline trained from scratch."""
    encoder: str | None = None
    """Train a fresh encoder of another kind instead, on the bundle's preparation: ``NAME`` or ``NAME:SIZE``,
    such as ``resnet1d`` or ``s4:base``; None is the bundle's own kind."""
    layer: int | None = None
    """Layer the head reads; None is the bundle's own."""
    pooling: Pooling | None = None
    """How the head pools over time; None is the bundle's own."""
    lead_masking: float = 0.5
    """Chance of each lead to be hidden in training, so that one head serves any leads; 0 hides none."""
    per_lead_set: bool = False
    """Train one bundle for each of `lead_sets` instead, without lead masking, as the paper did."""
    lead_sets: tuple[str, ...] = ("12", "6", "4", "3", "2", "I", "II")
    """Lead sets of `per_lead_set`."""
    steps: int = 1000
    """Optimizer updates."""
    batch_size: int = 64
    """Recordings per update, a window of each."""
    learning_rate: float | None = None
    """Peak; None is the task's default, and 1e-3 for another kind of encoder."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one before it; the front end has the lowest."""
    seed: int = 0
    log_every: int = 10
    """Steps between lines of `metrics.jsonl`."""
    progress: bool = False
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("finetune: got no store; give at least one store made by anylead prepare.")
        store_lead_sets(self.store_leads, len(self.stores))
        if self.store_leads and self.per_lead_set:
            raise ConfigError(
                "finetune: got store_leads and per_lead_set, which both say what leads are shown; give one "
                "of them."
            )
        if self.steps < 1 or self.log_every < 1:
            raise ConfigError(
                f"finetune: got steps {self.steps} and log_every {self.log_every}; give at least 1 of each."
            )
        if not 0.0 < self.layer_decay <= 1.0:
            raise ConfigError(
                f"finetune: got layer_decay {self.layer_decay:g}; give a number above 0, at most 1."
            )
        if self.encoder is not None:
            named_encoder(self.encoder)

    @property
    def fresh(self) -> bool:
        """Whether it starts from random weights."""
        return self.weights == "fresh" or self.encoder is not None


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(FinetuneConfig):
    """Fine-tuning for arrhythmia classification.

    Source: METHOD §6.1. Deviations: lead masking, window drawn anew at every step.
    """

    frozen: bool = False
    """Train the head alone; with ``weights=fresh`` this is the untrained baseline."""
    minimum_positives: int = 5
    """Scored classes with fewer training recordings get no output."""
    store_classes: tuple[str, ...] = ()
    """Classes that the labels of each store tell of, one entry a store, or one for all: ``all``; ``seen``,
    those that at least one of its recordings carries; or names such as ``AF,SB``. Elsewhere a class is
    unknown, not absent. None given is ``seen`` where the stores are of several sources, otherwise ``all``."""
    head: str = "arrhythmia"
    """Name of the head in the bundle."""
    head_kind: Literal["linear", "attentive"] = "linear"
    """``attentive`` pools by attention of one learned query; with ``frozen``, it is the attentive probe."""
    schedule: Literal["constant", "warmup_cosine"] = "constant"
    """Of the learning rate; ``warmup_cosine`` suits training from scratch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.store_classes) not in (0, 1, len(self.stores)):
            raise ConfigError(
                f"finetune classify: got store_classes {' '.join(self.store_classes)} for {len(self.stores)} "
                "stores; give one entry for each store, in their order, or one for all."
            )
        for word in self.store_classes:
            named_classes(word)
        if self.head_kind == "attentive" and self.pooling is not None:
            raise ConfigError(
                f"finetune classify: got pooling {self.pooling} for an attentive head, which pools by "
                "attention; leave pooling out."
            )


@dataclass(frozen=True, kw_only=True)
class IdentifyConfig(FinetuneConfig):
    """Fine-tuning for patient identification: ArcFace on the persons of the training split.

    Source: METHOD §6.2. Deviation: the paper's run had scale 192 and margin 1.0, which asks for more than
    few persons and steps can give; the defaults are those of the reference class.
    """

    scale: float = 32.0
    """Multiplies cosines."""
    margin: float = 0.5
    """Added to the angle to the own person, in radians."""
    head: str = "identity"
    """Name of the head in the bundle."""


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What a fine-tuning made."""

    bundles: Mapping[str, Path]
    """Lead set, or ``any``, to the folder of its bundle."""
    classes: tuple[str, ...]
    """Classes of the head; for identification the persons' numbers."""
    recordings: Mapping[str, int]
    """Lead set, or ``any``, to the number of training recordings."""
    loss: Mapping[str, float]
    """Lead set, or ``any``, to the last loss logged."""
    notes: tuple[str, ...] = ()
    """Sentences on the data that its user has to know."""


def finetune_classify(config: ClassifyConfig, *, start: Bundle | None = None) -> FinetuneResult:
    """Trains a classifier and writes its bundle.

    Args:
        config: What to train, and on what.
        start: The bundle, where it is at hand and not to be read from `config.bundle`.

    Raises:
        ConfigError: If no recording is labelled or no class has enough positives, or a setting does not fit.
        BundleError: If the bundle cannot be read or written.
        StoreError: If a store cannot be used with it.
    """
    start = load(config.bundle) if start is None else start
    stores = open_stores(config.stores, start)
    told = told_classes(stores, config.store_classes)
    training = Selection.of(stores, "train").labelled()
    chosen = scored_classes(training, minimum_positives=config.minimum_positives, told=told)
    training, untold = _with_told(training, chosen, told)
    if untold:
        logger.info("not used: %d training recordings of stores that tell of no class trained on", untold)
    readout = _readout(start, config)
    if config.head_kind == "attentive":
        readout = replace(readout, pooling="mean")
    config_class, _ = HEADS[config.head_kind]
    head_config = config_class(classes=tuple(one.abbreviation for one in chosen), readout=readout)
    validation, _ = _with_told(Selection.of(stores, "valid").labelled(), chosen, told)
    labels = {} if told.all() else {"classes_told": told_by_name(stores, chosen, told), "untold": untold}
    parts: dict[str, tuple[Bundle, int, float]] = {}
    with RunLog(config.out) as log:
        for name, leads, recordings in _lead_plans(training, config):
            encoder = prepare_encoder(start, config, frozen=config.frozen)
            _seed(config, "head")
            head = build_head(config.head_kind, head_config, encoder)
            aims = targets(recordings, chosen, told)
            feed = _feed(recordings, config, encoder, start, leads=leads, targets=aims)
            rate = config.learning_rate or (1e-3 if config.frozen or config.encoder else 5e-5)
            schedule = SCHEDULES[config.schedule]
            loss = _train(encoder, head, feed, config, rate=rate, schedule=schedule, log=log, name=name)
            bundle = _assemble(
                start, encoder, {config.head: head}, config, leads=leads, training=recordings, more=labels
            )
            thresholds = _thresholds(
                bundle, validation, chosen, told, leads=leads, batch_size=config.batch_size
            )
            parts[name] = (bundle.with_thresholds(config.head, thresholds), len(recordings), loss)
    return _save(parts, config, head_config.classes, stores)


def finetune_identify(config: IdentifyConfig) -> FinetuneResult:
    """Trains embeddings that tell persons apart and writes their bundle.

    Where nobody knows whose recordings are, each recording is taken to be of somebody else, as the paper did
    with the Challenge's.

    Raises:
        ConfigError: If there are fewer than two persons, or a setting does not fit.
        BundleError: If the bundle cannot be read or written.
        StoreError: If a store cannot be used with it.
    """
    start = load(config.bundle)
    training = Selection.of(open_stores(config.stores, start), "train")
    parts: dict[str, tuple[Bundle, int, float]] = {}
    names: tuple[str, ...] = ()
    with RunLog(config.out) as log:
        for name, leads, recordings in _lead_plans(training, config):
            identities, persons = identity_targets(recordings.stores, recordings.recordings)
            if persons < 2:
                raise ConfigError(
                    f"finetune identify: the training split has {persons} person; at least 2 are needed."
                )
            # Numbers, not patient ids: a bundle is made to be given away.
            names = tuple(str(number) for number in range(persons))
            encoder = prepare_encoder(start, config, frozen=False)
            readout = _readout(start, config)
            head_config = ArcFaceConfig(
                classes=names, readout=readout, scale=config.scale, margin=config.margin
            )
            _seed(config, "head")
            head = ArcFaceHead(head_config, encoder)
            feed = _feed(recordings, config, encoder, start, leads=leads, identities=identities)
            rate = config.learning_rate or (1e-3 if config.encoder else 3e-5)
            loss = _train(encoder, head, feed, config, rate=rate, schedule=TriStage(), log=log, name=name)
            bundle = _assemble(start, encoder, {config.head: head}, config, leads=leads, training=recordings)
            parts[name] = (bundle, len(recordings), loss)
    return _save(parts, config, names, training.stores)


def _with_told(
    selection: Selection, classes: Sequence[ScoredClass], told: Bool[np.ndarray, "S 26"]
) -> tuple[Selection, int]:
    """Returns the recordings of stores that tell of at least one of the classes, and how many others."""
    useful = set(np.flatnonzero(told[:, [one.index for one in classes]].any(axis=1)).tolist())
    kept = selection.keep([number in useful for number, _ in selection.recordings])
    return kept, len(selection) - len(kept)


def scored_classes(
    training: Selection, *, minimum_positives: int, told: Bool[np.ndarray, "S 26"] | None = None
) -> tuple[ScoredClass, ...]:
    """Returns the Challenge's classes that have enough positives in stores that tell of them.

    Raises:
        ConfigError: If there is no labelled recording, or no class has enough.
    """
    if not len(training):
        raise ConfigError(
            "finetune classify: no recording of the training split is labelled; give a store with labels."
        )
    positives = np.nansum(targets(training, SCORED_CLASSES, told), axis=0)
    chosen = tuple(one for one in SCORED_CLASSES if positives[one.index] >= minimum_positives)
    if not chosen:
        raise ConfigError(
            f"finetune classify: none of the scored classes has {minimum_positives} positives among "
            f"{len(training)} training recordings; lower minimum_positives or give more recordings."
        )
    return chosen


def targets(
    selection: Selection,
    classes: Sequence[ScoredClass],
    told: Bool[np.ndarray, "S 26"] | None = None,
) -> Float32[np.ndarray, "n C"]:
    """Returns 1 where a recording has a class, 0 where not, NaN where its store does not tell of it."""
    found = class_targets(selection.stores, selection.recordings, [one.codes for one in classes])
    if told is None:
        return found
    return np.where(_told_rows(selection, classes, told), found, np.float32(np.nan))


def _told_rows(
    selection: Selection, classes: Sequence[ScoredClass], told: Bool[np.ndarray, "S 26"]
) -> Bool[np.ndarray, "n C"]:
    numbers = np.array([number for number, _ in selection.recordings], dtype=np.int64)
    rows: Bool[np.ndarray, "n C"] = told[numbers][:, [one.index for one in classes]]
    return rows


def prepare_encoder(start: Bundle, config: FinetuneConfig, *, frozen: bool) -> Encoder:
    """Returns an encoder to train on: dropouts of fine-tuning, convolutions frozen if they are pre-trained.

    An encoder of another kind is built as it is named, for the leads and the rate of the bundle's.

    Source: METHOD §6.1. Deviation: from scratch the convolutions learn in identification too.
    """
    if config.encoder is not None:
        named = replace(
            named_encoder(config.encoder),
            leads=start.encoder.leads,
            sampling_rate_hz=start.encoder.sampling_rate_hz,
        )
        _seed(config, "encoder")
        return build_encoder(named).requires_grad_(not frozen)
    encoder_config: Any = start.encoder.config
    wanted = {
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.1,
        "input_dropout": 0.0,
        "feature_gradient_scale": 0.0 if config.weights == "bundle" else 0.1,
    }
    known = {field.name for field in fields(encoder_config)}
    changed = replace(encoder_config, **{name: value for name, value in wanted.items() if name in known})
    _seed(config, "encoder")
    encoder = build_encoder(changed)
    if config.weights == "bundle":
        encoder.load_state_dict(start.encoder.state_dict())
    return encoder.requires_grad_(not frozen)


def _seed(config: FinetuneConfig, purpose: str) -> None:
    torch.manual_seed(derive_seed(config.seed, "finetune", purpose))


def _readout(start: Bundle, config: FinetuneConfig) -> Readout:
    # The bundle's layer is one of its own encoder.
    own = start.manifest.readout if config.encoder is None else Readout()
    return Readout(
        layer=own.layer if config.layer is None else config.layer,
        pooling=config.pooling or own.pooling,
    )


def _lead_plans(
    training: Selection, config: FinetuneConfig
) -> list[tuple[str, tuple[str, ...] | None, Selection]]:
    if not config.per_lead_set:
        return [("any", None, training)]
    plans = [(name, lead_set(name)) for name in config.lead_sets]
    found = [(name, leads, training.with_leads(leads)) for name, leads in plans]
    for name, _, recordings in found:
        if not len(recordings):
            logger.warning("lead set %s: no training recording has all of its leads; it is left out", name)
    kept = [(name, leads, recordings) for name, leads, recordings in found if len(recordings)]
    if not kept:
        raise ConfigError(
            f"finetune: no training recording has all leads of any of {', '.join(config.lead_sets)}; "
            "give lead sets that were recorded."
        )
    return list(kept)


def _feed(
    recordings: Selection,
    config: FinetuneConfig,
    encoder: Encoder,
    start: Bundle,
    *,
    leads: tuple[str, ...] | None,
    targets: Float32[np.ndarray, "n C"] | None = None,
    identities: Int64[np.ndarray, "n"] | None = None,
) -> LabelledFeed:
    masked = leads is None and config.lead_masking > 0
    feed = LabelledFeed(
        recordings.stores,
        recordings.recordings,
        LabelledFeedConfig(window_s=start.manifest.window_s, batch_size=config.batch_size),
        seed=config.seed,
        targets=targets,
        identities=identities,
        leads=encoder.leads,
        lead_masking=RandomLeadMasking(probability=config.lead_masking) if masked else None,
        lead_set=leads,
        store_leads=store_lead_sets(config.store_leads, len(recordings.stores)),
    )
    for reason, count in feed.dropped.items():
        logger.info("not fed: %d recordings: %s", count, reason)
    return feed


def _train(
    encoder: Encoder,
    head: Head,
    feed: LabelledFeed,
    config: FinetuneConfig,
    *,
    rate: float,
    schedule: Schedule,
    log: RunLog,
    name: str,
) -> float:
    # Source: METHOD §6.1: Adam with these constants and no decay.
    optimizer = build_optimizer(
        AdamWConfig(learning_rate=rate, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.0),
        encoder,
        head,
        rates=layer_rates(encoder, decay=config.layer_decay, read_layer=head.config.readout.layer),
    )
    state = TrainState(encoder=encoder, objective=head, optimizer=optimizer, seed=config.seed)
    numbers: dict[str, float] = {}
    with Lookahead(feed.batches) as batches:
        steps = fit(state, batches, total_steps=config.steps, schedule=schedule)
        label = f"fine-tuning, leads {name}"
        for result in tqdm(steps, total=config.steps, desc=label, unit="step", disable=not config.progress):
            if result.step % config.log_every == 0 or result.step == config.steps:
                numbers = result.floats()
                log.write({"step": result.step, "lead_set": name, **numbers})
    return numbers["loss"]


def _thresholds(
    bundle: Bundle,
    validation: Selection,
    classes: Sequence[ScoredClass],
    told: Bool[np.ndarray, "S 26"],
    *,
    leads: tuple[str, ...] | None,
    batch_size: int,
) -> tuple[float, ...]:
    """Chooses thresholds on validation recordings; 0.5 for a class without a positive there."""
    usable = validation if leads is None else validation.with_leads(leads)
    if not len(usable):
        return (0.5,) * len(classes)
    probabilities = predict_selection(bundle, usable, lead_set=leads, batch_size=batch_size)
    kept = ~np.isnan(probabilities).any(axis=1)
    labels = targets(usable, classes, told)[kept] > 0.5
    if not kept.any():
        return (0.5,) * len(classes)
    rows = [one.index for one in classes]
    found = best_challenge_thresholds(
        labels,
        probabilities[kept].astype(np.float64),
        WEIGHTS[np.ix_(rows, rows)],
        told=_told_rows(usable, classes, told)[kept],
    )
    found[~labels.any(axis=0)] = 0.5
    return tuple(float(value) for value in found)


def _assemble(
    start: Bundle,
    encoder: Encoder,
    heads: Mapping[str, Head],
    config: FinetuneConfig,
    *,
    leads: tuple[str, ...] | None,
    training: Selection,
    more: Mapping[str, Any] | None = None,
) -> Bundle:
    encoder.requires_grad_(True)
    return Bundle.assemble(
        encoder,
        preparation=start.preparation,
        readout=_readout(start, config),
        heads=heads,
        head_leads=dict.fromkeys(heads, leads),
        window_s=start.manifest.window_s,
        provenance={
            "task": type(config).__name__.removesuffix("Config").lower(),
            "started_from": {
                "bundle": start.fingerprint(),
                "weights": "fresh" if config.fresh else "bundle",
                **({} if config.fresh else _learned_from(start)),
            },
            "stores": [
                {"source": store.manifest.source, "fingerprint": store.manifest.fingerprint}
                for store in training.stores
            ],
            "training_recordings": len(training),
            "training_persons": len(set(training.persons)),
            **(more or {}),
            "config": to_plain(
                replace(config, bundle=Path(), stores=(Path(),) * len(config.stores), out=Path())
            ),
        },
    ).eval()


def _learned_from(start: Bundle) -> dict[str, Any]:
    """Returns whose recordings and whose weights the weights come from: who releases them has to say it."""
    before = start.manifest.provenance
    earlier = before.get("started_from") or {}
    imported = before.get("imported") or earlier.get("imported")
    return {
        "trained_on": [*(earlier.get("trained_on") or ()), *(before.get("stores") or ())],
        **({"imported": imported} if imported else {}),
    }


def _save(
    parts: Mapping[str, tuple[Bundle, int, float]],
    config: FinetuneConfig,
    classes: tuple[str, ...],
    stores: Sequence[Store],
) -> FinetuneResult:
    folders = {name: config.out / ("bundle" if name == "any" else f"bundle-{name}") for name in parts}
    with atomic_path(config.out / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(to_plain(config), sort_keys=False), encoding="utf-8")
    for name, (bundle, _, _) in parts.items():
        bundle.save_pretrained(folders[name])
    return FinetuneResult(
        bundles=folders,
        classes=classes,
        recordings={name: count for name, (_, count, _) in parts.items()},
        loss={name: loss for name, (_, _, loss) in parts.items()},
        notes=tuple(unknown_patients(stores)),
    )
