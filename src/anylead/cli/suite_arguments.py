"""What `anylead evaluate suite|embeddings|conditions|audit|diff` accept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from anylead.cli.arguments import merge, plain


@dataclass(frozen=True, kw_only=True)
class ProtocolArguments:
    """What judging embeddings needs, whoever made them."""

    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare`, used together."""
    out: Path
    """Folder for report.html, report.json and predictions.parquet; what was computed is used again."""
    recipe: Path | None = None
    """YAML file of settings."""
    pretraining_stores: tuple[Path, ...] = ()
    """Stores the encoder was pre-trained on, for the leakage audit; without, what the bundle says."""
    minimum_positives: int = 5
    """Classes with fewer positive training recordings are not judged."""
    label_draws: int = 5
    """Draws of each label budget."""
    resamples: int = 2000
    """Resamples of the patients, for the intervals; few cannot decide among many baselines."""
    seed: int = 0
    """Seed of resamples, draws, noise and baselines."""
    batch_size: int = 64
    """Windows at a time."""
    audit: bool = True
    """Look for recordings that occur twice."""
    quick: bool = False
    """Fixed lead sets, frozen probes, two untrained seeds, hand-made features; nothing is trained."""
    untrained_seeds: int = 3
    """Untrained encoders for each preparation and initial gain."""
    supervised_steps: int = 300
    """Updates of each network trained with labels."""
    fine_tuning_rate: float = 1e-3
    """Peak learning rate of those."""


@dataclass(frozen=True, kw_only=True)
class SuiteArguments(ProtocolArguments):
    """Judges an encoder against every baseline: findings, any leads, robustness, identity, leakage.

    Says first how many passes over the recordings it will make, keeps each, and continues where it stopped.
    """

    bundles: Annotated[tuple[Path, ...], tyro.conf.arg(name="bundle", aliases=("--bundles",))] = ()
    """The bundle to judge; further ones are judged beside it."""
    names: tuple[str, ...] = ()
    """What to call the bundles; without, their folders' names. Those that differ in -seed-N or :N at the end
    are one model, pre-trained from several seeds."""
    layer_decay: float = 1.0
    """Layer-wise decay of the rate when fine-tuning: 1 is none."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingsArguments(ProtocolArguments):
    """Judges embeddings that any other model made, by the protocol of the suite.

    The table has the columns record_id, condition and embedding, one row a recording and condition;
    `anylead evaluate conditions` writes the recordings. Sections without rows are named as missing.
    Baselines are those of the suite, but for the model's own architecture, which a table does not tell.
    """

    embeddings: Annotated[Path, tyro.conf.Positional]
    """Parquet table."""
    name: str = ""
    """What to call the model; without, the file's name."""
    untrained_encoder: str = "conv_transformer:mini"
    """Encoder of ours that stands untrained among the baselines, NAME or NAME:SIZE."""


@dataclass(frozen=True, kw_only=True)
class ConditionsArguments:
    """Writes the recordings of every lead set and disturbance as WFDB, for other models to embed."""

    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare`."""
    out: Path
    """Folder with one folder a condition, conditions.parquet and README.txt."""
    families: tuple[str, ...] = ()
    """Only these: clean, lead_set, lead_subset, drop_lead, wrong_lead, noise, rate, duration, gain,
    offset."""
    conditions: tuple[str, ...] = ()
    """Only these, by name, such as clean, lead-set-2 or noise-muscle-6dB."""
    splits: tuple[str, ...] = ("train", "valid", "test")
    """Whose recordings."""
    seed: int = 0
    """Seed of the noise: the suite's."""
    jobs: int = 1
    """Processes."""


@dataclass(frozen=True, kw_only=True)
class AuditArguments:
    """Looks for patients and recordings that are in two places: pre-training, training, validation, test."""

    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare`."""
    pretraining_stores: tuple[Path, ...] = ()
    """Stores the encoder was pre-trained on; without, what the bundle says."""
    bundle: Path | None = None
    """Bundle whose provenance says what it was pre-trained on."""
    near_duplicates: bool = True
    """Look for near duplicates too, not for patients and equal samples alone."""
    out: Path | None = None
    """Folder for report.html and report.json; without, the sentences are printed only."""


@dataclass(frozen=True, kw_only=True)
class DiffArguments:
    """Says which of two reports is better, where, and with what certainty."""

    a: Annotated[Path, tyro.conf.Positional]
    """Folder of the first report."""
    b: Annotated[Path, tyro.conf.Positional]
    """Folder of the second."""
    out: Path | None = None
    """Folder for diff.html and diff.json; without, the sentences are printed only."""
    resamples: int = 1000
    """Resamples of the patients."""
    seed: int = 0
    """Seed of the resamples."""


ARGUMENTS: dict[str, type[Any]] = {
    "suite": SuiteArguments,
    "embeddings": EmbeddingsArguments,
    "conditions": ConditionsArguments,
    "audit": AuditArguments,
    "diff": DiffArguments,
}


def run_report(task: str, given: Any, nested: dict[str, Any]) -> None:
    """Runs one of the tasks and prints what it found."""
    from anylead.config import from_plain

    kind, work = _workflow(task)
    values = merge({**plain(given), "progress": True}, nested)
    print("\n".join(work(from_plain(kind, values, where=f"evaluate {task}"))))


def _workflow(task: str) -> tuple[type[Any], Callable[[Any], list[str]]]:
    """Returns a task's configuration and what makes lines of it."""
    if task in ("suite", "embeddings"):
        from anylead.workflows.suite import EmbeddingsConfig, SuiteConfig, suite

        return (SuiteConfig if task == "suite" else EmbeddingsConfig), suite
    if task == "conditions":
        from anylead.workflows.conditions import ConditionsConfig, write_conditions

        return ConditionsConfig, lambda config: write_conditions(config).lines()
    if task == "audit":
        from anylead.workflows.audit import AuditConfig, audit

        return AuditConfig, lambda config: audit(config).lines()
    from anylead.workflows.diff import DiffConfig, diff

    return DiffConfig, lambda config: list(diff(config).summary)
