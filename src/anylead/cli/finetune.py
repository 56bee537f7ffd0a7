"""anylead finetune: an encoder gets a head."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from anylead.cli.arguments import choose, merge, parse, plain

TASKS = {
    "classify": "arrhythmias, with a linear or attentive head",
    "identify": "persons, with an ArcFace head",
}


@dataclass(frozen=True, kw_only=True)
class FinetuneArguments:
    """What both tasks have in common."""

    bundle: Path
    """Bundle whose encoder is trained on."""
    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare` with the bundle's steps; their training splits are used."""
    store_leads: tuple[str, ...] = ()
    """Leads that each store's training recordings show, one set a store, such as all I,II; without, all."""
    out: Path
    """Folder of the run; it gets bundle/."""
    recipe: Path | None = None
    """YAML file of settings; config.yaml of a run is one."""
    weights: Literal["bundle", "fresh"] = "bundle"
    """fresh starts from random weights: the baseline trained from scratch."""
    encoder: str | None = None
    """Train a fresh encoder of another kind instead: resnet1d, s4, conv_transformer; s4:base names a size."""
    layer: int | None = None
    """Layer the head reads; without, the bundle's own."""
    pooling: str | None = None
    """How the head pools over time; without, the bundle's own."""
    lead_masking: float = 0.5
    """Chance of each lead to be hidden in training, so that one head serves any leads."""
    per_lead_set: bool = False
    """Train one bundle for each of --lead-sets instead, as the paper did."""
    lead_sets: tuple[str, ...] = ("12", "6", "4", "3", "2", "I", "II")
    """Lead sets of --per-lead-set."""
    steps: int = 1000
    """Optimizer updates."""
    batch_size: int = 64
    """Recordings per update."""
    learning_rate: float | None = None
    """Peak; without, the task's own, and 1e-3 with --encoder."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one before it."""
    seed: int = 0
    """Seed of the head's weights, order, windows and hidden leads."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""


@dataclass(frozen=True, kw_only=True)
class ClassifyArguments(FinetuneArguments):
    """Trains a classifier of arrhythmias on an encoder.

    The classes are those the PhysioNet/CinC Challenge 2021 scores and that have enough positives.
    """

    frozen: bool = False
    """Train the head alone; with --weights fresh, this is the untrained baseline."""
    minimum_positives: int = 5
    """Classes with fewer training recordings get no output."""
    store_classes: tuple[str, ...] = ()
    """Classes that each store's labels tell of, one entry a store or one for all: all, seen (those that at
    least one of its recordings carries), or names such as AF,SB; elsewhere a class is unknown, not absent.
    Without: seen where the stores are of several sources, otherwise all."""
    head: str = "arrhythmia"
    """Name of the head in the bundle."""
    head_kind: Literal["linear", "attentive"] = "linear"
    """attentive pools by one learned query; with --frozen, it is the attentive probe."""
    schedule: Literal["constant", "warmup_cosine"] = "constant"
    """Of the learning rate; warmup_cosine suits training from scratch."""


@dataclass(frozen=True, kw_only=True)
class IdentifyArguments(FinetuneArguments):
    """Trains an encoder to tell persons apart, on the persons of the training split."""

    scale: float = 32.0
    """Multiplies cosines."""
    margin: float = 0.5
    """Added to the angle to the own person, in radians."""
    head: str = "identity"
    """Name of the head in the bundle."""


def run(argv: list[str]) -> None:
    """Runs ``anylead finetune classify`` or ``identify``."""
    task, rest = choose(argv, TASKS, prog="anylead finetune")
    arguments = ClassifyArguments if task == "classify" else IdentifyArguments
    given, nested = parse(arguments, rest, prog=f"anylead finetune {task}")

    from anylead.config import from_plain
    from anylead.workflows import finetune

    values = merge({**plain(given), "progress": True}, nested)
    where = f"finetune {task}"
    if task == "classify":
        result = finetune.finetune_classify(from_plain(finetune.ClassifyConfig, values, where=where))
    else:
        result = finetune.finetune_identify(from_plain(finetune.IdentifyConfig, values, where=where))
    for name, folder in result.bundles.items():
        recordings = result.recordings[name]
        print(f"{folder}: leads {name}, {len(result.classes)} classes, {recordings} training recordings")
    for note in result.notes:
        print(note)
