"""anylead evaluate: models are judged on persons nobody has trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from anylead.cli import suite_arguments
from anylead.cli.arguments import choose, merge, parse, plain

TASKS = {
    "classify": "classification heads, per recording",
    "identify": "whose heart a recording is, by frozen embeddings",
    "leads": "all a bundle can do, with fewer and fewer leads",
    "probe": "classification by a logistic probe on frozen embeddings",
    "suite": "everything above and every baseline, in one report",
    "embeddings": "the same for embeddings that any other model made",
    "conditions": "write recordings of every lead set and disturbance for other models to embed",
    "audit": "look for patients and recordings that are in two places",
    "diff": "say which of two reports is better, where, with what certainty",
}


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments:
    """What all evaluations have in common."""

    bundles: Annotated[tuple[Path, ...], tyro.conf.arg(name="bundle", aliases=("--bundles",))] = ()
    """Bundles, or runs that hold one; the first is compared with each of the others."""
    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare` with the bundles' steps."""
    out: Path
    """Folder for results.json and report.html."""
    recipe: Path | None = None
    """YAML file of settings."""
    names: tuple[str, ...] = ()
    """What to call the bundles; without, their folders' names."""
    lead_sets: tuple[str, ...] = ("12", "6", "4", "3", "2", "I", "II")
    """Each is judged on the recordings that have all of its leads: 12, 8, 6, 4, 3, 2, or I,II,V1."""
    split: Literal["train", "valid", "test"] = "test"
    """Whom to judge on."""
    resamples: int = 1000
    """Resamples of the patients, for the intervals."""
    seed: int = 0
    """Seed of the resamples."""
    batch_size: int = 64
    """Windows at a time."""


@dataclass(frozen=True, kw_only=True)
class FrozenArguments(EvaluateArguments):
    """What evaluations of frozen embeddings need besides."""

    layer: int | None = None
    """Layer read of every bundle; without, each bundle's own."""
    pooling: str | None = None
    """Pooling over time of every bundle; without, each bundle's own."""
    untrained: int = 1
    """Baselines: the first bundle's encoder with fresh weights, this many times."""


@dataclass(frozen=True, kw_only=True)
class ClassifyArguments(EvaluateArguments):
    """Judges classification heads per recording: AUROC, AUPRC and Challenge score for each lead set.

    As baselines, give further bundles: one of `finetune classify --weights fresh --frozen`, one of
    `finetune classify --weights fresh`.
    """

    head: str | None = None
    """Name of the head in every bundle, where there are several."""
    minimum_positives: int = 5
    """Classes with fewer positives among the recordings judged are left out of AUROC and AUPRC."""


@dataclass(frozen=True, kw_only=True)
class ProbeArguments(FrozenArguments):
    """Judges frozen embeddings by a logistic probe on labelled training recordings, for each lead set."""

    minimum_positives: int = 5
    """Classes with fewer positives, in training or among the recordings judged, are left out."""


@dataclass(frozen=True, kw_only=True)
class IdentifyArguments(FrozenArguments):
    """Judges whose heart a recording is: Rank-1, Rank-5, equal error rate, true acceptance.

    The gallery is a person's earliest recording; the probes are later ones.
    """

    whiten: bool = True
    """Judge each bundle also after whitening by the scatter within unlabelled training recordings."""
    whitening_recordings: int = 2000
    """Training recordings used for that, at most."""


@dataclass(frozen=True, kw_only=True)
class LeadsArguments(FrozenArguments):
    """Judges all a bundle can do for each lead set: its classification head, if any, and identification."""

    untrained: int = 0
    """Baselines of identification: the encoder with fresh weights, this many times."""
    head: str | None = None
    """Name of the classification head, where there are several."""


ARGUMENTS: dict[str, type[EvaluateArguments]] = {
    "classify": ClassifyArguments,
    "identify": IdentifyArguments,
    "leads": LeadsArguments,
    "probe": ProbeArguments,
}


def run(argv: list[str]) -> None:
    """Runs ``anylead evaluate`` for one task."""
    task, rest = choose(argv, TASKS, prog="anylead evaluate")
    if task in suite_arguments.ARGUMENTS:
        asked, more = parse(suite_arguments.ARGUMENTS[task], rest, prog=f"anylead evaluate {task}")
        suite_arguments.run_report(task, asked, more)
        return
    given, nested = parse(ARGUMENTS[task], rest, prog=f"anylead evaluate {task}")

    from anylead.config import from_plain
    from anylead.workflows import evaluate

    workflows: dict[str, tuple[type[Any], Any]] = {
        "classify": (evaluate.EvaluateClassifyConfig, evaluate.evaluate_classify),
        "identify": (evaluate.EvaluateIdentifyConfig, evaluate.evaluate_identify),
        "leads": (evaluate.EvaluateLeadsConfig, evaluate.evaluate_leads),
        "probe": (evaluate.EvaluateProbeConfig, evaluate.evaluate_probe),
    }
    config, judge = workflows[task]
    values = merge({**plain(given), "progress": True}, nested)
    judgement = judge(from_plain(config, values, where=f"evaluate {task}"))
    print("\n".join(_lines(judgement.results)))
    print(f"{given.out / 'report.html'}: judged on {len(judgement.recordings)} recordings")


def _lines(results: Sequence[Any]) -> list[str]:
    """Returns one line a result: what it is about, and its first number with the interval."""
    rows = []
    for result in results:
        if hasattr(result, "macro_auroc"):
            rows.append((f"leads {result.lead_set}", result.system, "macro AUROC", str(result.macro_auroc)))
        else:
            probes = f"Rank-1, {result.subset.replace('_', ' ')}"
            rows.append((f"leads {result.lead_set}", result.system, probes, str(result.rank1)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(f"{c:<{w}}" for c, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
