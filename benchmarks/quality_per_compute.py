"""Which changes of the recipe make a better encoder in the same time?

    python benchmarks/quality_per_compute.py --stores STORE... --out OUT [--updates 100] [--seeds 0 1 2 3 4]

Every variant changes one thing of recipes/cpu.yaml. The time of an update of each is measured first, all in
turn in one process; a variant then gets as many updates as fit into the time that `--updates` of the recipe
take. Judged by what a linear probe reads from the frozen encoder: macro AUROC of the scored Challenge
classes, cross-validated over the patients of the training and validation splits (no test recording is looked
at). The difference to the recipe is paired by seed (weights, order, crops, draws); its interval is Student's
t over seeds. Results that are there are kept, so that a run can be stopped and gone on with;
OUT/quality.json has all numbers.
"""

import argparse
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from anylead.bundle import Bundle
from anylead.config import read_yaml
from anylead.encoders import build_encoder
from anylead.engine import TrainState, build_optimizer, fit
from anylead.engine.allocator import keep_freed_memory
from anylead.evaluation.probe import fit_probe
from anylead.feed import PairFeed
from anylead.objectives import build_objective
from anylead.preparation import Preparation
from anylead.provenance import environment, write_json
from anylead.seeding import derive_seed
from anylead.sources.challenge import class_targets
from anylead.store import Store
from anylead.workflows.pretrain import PretrainConfig, read_pretrain_config
from anylead.workflows.selection import Selection, embed_selection

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "cpu.yaml"
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "constant rate": {"schedule": {"kind": "constant"}},
    "norm first": {"encoder": {"norm_first": True}},
    "frames of 40 ms": {"encoder": {"conv_kernels": [5, 2, 2]}},
    "300 negatives": {"objective": {"negatives": 300}},
    "64 pairs": {"feed": {"pairs_per_batch": 64}},
    "CMSC x 3": {"objective": {"cmsc_weight": 3.0}},
    "average of weights": {"average": 0.98},
    "hidden frames left out": {"objective": {"predictor_layers": 1}},
}


def merged(recipe: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(recipe)
    for name, value in changes.items():
        result[name] = {**result.get(name, {}), **value} if isinstance(value, dict) else value
        if name == "schedule":
            result[name] = value
    return result


def configuration(stores: list[Path], changes: dict[str, Any], seed: int) -> PretrainConfig:
    changes = {name: value for name, value in changes.items() if name != "average"}
    values = merged(read_yaml(RECIPE), changes)
    values |= {"stores": [str(path) for path in stores], "out": "unused", "seed": seed}
    return read_pretrain_config(values)


def training(config: PretrainConfig, stores: list[Store], total: int) -> tuple[TrainState, Iterator[Any]]:
    """Returns the state and its updates, as `anylead pretrain` makes them."""
    feed = PairFeed(stores, config.feed, seed=config.seed, lead_masking=config.lead_masking)
    torch.manual_seed(derive_seed(config.seed, "weights", "encoder"))
    encoder = build_encoder(config.encoder_config)
    torch.manual_seed(derive_seed(config.seed, "weights", "objective"))
    objective = build_objective(config.objective, encoder)
    optimizer = build_optimizer(config.optimizer, encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=config.seed)
    updates = fit(state, feed.batches, total_steps=total, schedule=config.schedule)
    return state, updates


def seconds_an_update(paths: list[Path], stores: list[Store], rounds: int = 10) -> dict[str, float]:
    """Shortest time of an update of each variant, the variants taking turns; noise only adds to it."""
    running = {
        name: training(configuration(paths, changes, 0), stores, 1000)[1]
        for name, changes in VARIANTS.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, updates in running.items():
            start = time.perf_counter()
            next(updates)
            spent[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in spent.items()}


def trained(
    config: PretrainConfig, stores: list[Store], updates: int, *, average: float | None
) -> tuple[Bundle, float]:
    """Returns the encoder after some updates, and the seconds they took."""
    state, steps = training(config, stores, updates)
    mean = None
    if average is not None:
        mean = torch.optim.swa_utils.AveragedModel(
            state.encoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(average)
        )
    start = time.perf_counter()
    for _ in steps:
        if mean is not None:
            mean.update_parameters(state.encoder)
    encoder = state.encoder if mean is None else mean.module
    bundle = Bundle.assemble(
        encoder.eval(),
        preparation=Preparation.from_plain(stores[0].manifest.preparation),
        readout=config.readout,
        window_s=config.feed.window_s,
    )
    return bundle, time.perf_counter() - start


def read_by_a_probe(bundle: Bundle, selection: Selection) -> float:
    """Macro AUROC over patients that the probe was not fitted on, at its best strength."""
    labels = np.array([class_targets(codes) for codes in selection.column("labels")], dtype=bool)
    classes = labels.sum(axis=0) >= 10
    embeddings = embed_selection(bundle, selection)
    with threadpool_limits(1):
        probe = fit_probe(embeddings, labels[:, classes], patients=selection.persons)
    return max(value for _, value in probe.macro_auroc_by_strength)


def difference(values: dict[str, dict[str, float]], name: str) -> dict[str, Any]:
    """The variant minus the recipe, with Student's 95 % interval over the seeds both have."""
    seeds = sorted(set(values[name]) & set(values["recipe"]))
    gaps = np.array([values[name][seed] - values["recipe"][seed] for seed in seeds])
    half = float(student.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5)
    mean = float(gaps.mean())
    return {
        "mean": round(mean, 4),
        "interval": [round(mean - half, 4), round(mean + half, 4)],
        "each": [round(float(gap), 4) for gap in gaps],
        "seeds": len(gaps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=100, help="of the recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    stores = [Store.open(path) for path in options.stores]
    train, valid = (Selection.of(stores, split).labelled() for split in ("train", "valid"))
    seen = replace(train, recordings=train.recordings + valid.recordings)
    file = options.out / "quality.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"auroc": {}, "train_s": {}}
    if "seconds_an_update" not in found:
        found["seconds_an_update"] = seconds_an_update(options.stores, stores)
    spent = found["seconds_an_update"]
    found["updates"] = {name: round(options.updates * spent["recipe"] / spent[name]) for name in VARIANTS}
    for seed in options.seeds:
        for name in options.only:
            if str(seed) in found["auroc"].setdefault(name, {}):
                continue
            changes = VARIANTS[name]
            config = configuration(options.stores, changes, seed)
            bundle, seconds = trained(config, stores, found["updates"][name], average=changes.get("average"))
            found["auroc"][name][str(seed)] = round(read_by_a_probe(bundle, seen), 5)
            found["train_s"].setdefault(name, {})[str(seed)] = round(seconds, 1)
            found["difference"] = {
                one: difference(found["auroc"], one)
                for one in found["auroc"]
                if one != "recipe" and len(found["auroc"][one]) > 1
            }
            found |= {
                "recipe_updates": options.updates,
                "recordings": len(seen),
                "environment": environment(),
            }
            write_json(file, found)
            print(
                seed,
                name,
                found["updates"][name],
                found["auroc"][name][str(seed)],
                f"{seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
