"""One run of a comparison, in a process of its own: trained, judged, written down whatever happens."""

import json
import logging
import resource
import shutil
import statistics
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from anylead.bundle import Bundle, load
from anylead.config import to_plain
from anylead.encoders import AnyEncoderConfig, build_encoder, named_encoder
from anylead.engine import read_run_log
from anylead.errors import AnyleadError, ConfigError
from anylead.evaluation.grid_section import auroc_interval, interval_of
from anylead.evaluation.results import Interval
from anylead.preparation import Preparation
from anylead.provenance import atomic_path, environment, fingerprint, write_json
from anylead.seeding import derive_seed
from anylead.store import Store
from anylead.workflows.compare.cost import SUPERVISED_BATCH, Cost, cost_of_pretraining, cost_of_supervision
from anylead.workflows.compare.grid import CompareConfig
from anylead.workflows.compare.judge import Judge, Scores
from anylead.workflows.finetune import ClassifyConfig, finetune_classify
from anylead.workflows.pretrain import PretrainConfig, kept_bundles, pretrain

RUN, VALUES, BUDGET, TRAINING = "run.json", "values.npz", "budget.json", "training"
FORMAT = 1

Kind = Literal["pretrained", "untrained", "supervised", "hand-made"]
Status = Literal["done", "failed", "not applicable"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Something to judge, and what has to be done before."""

    kind: Kind
    name: str
    """Of the cell, or of the baseline."""
    folder: Path
    seed: int = 0
    pretrain: PretrainConfig | None = None
    """Of a pre-trained one, without steps and folder."""
    encoder: AnyEncoderConfig | None = None
    """Of an untrained one or one trained with labels."""
    with_curve: bool = False
    """Judge on the way too."""

    @property
    def label(self) -> str:
        """In messages."""
        return f"{self.name}, seed {self.seed}" if self.kind != "hand-made" else self.name

    def key(self, config: CompareConfig, stores: Sequence[Store]) -> str:
        """Returns what the results depend on: the same for the same run, budget, recordings and protocol."""
        settings = None
        if self.pretrain is not None:
            settings = to_plain(self.pretrain)
            settings = {name: value for name, value in settings.items() if name not in _NOT_DECISIVE}
            for name in ("store_weights", "store_leads"):
                # Without them a run is that of a release that did not know them.
                if not settings[name]:
                    del settings[name]
            settings["encoder"] = to_plain(self.pretrain.encoder_config)
        return fingerprint(
            [
                self.kind,
                self.seed,
                settings,
                to_plain(self.encoder),
                to_plain(config.budget) if self.kind in ("pretrained", "supervised") else None,
                [store.manifest.fingerprint for store in stores],
                [config.lead_sets, config.minimum_positives, config.resamples, config.seed],
                list(config.curve_at) if self.with_curve else None,
            ]
        )


_NOT_DECISIVE = ("stores", "out", "steps", "epochs", "seed", "threads", "bundle_at", "checkpoint_minutes")


def read_run(folder: Path) -> Mapping[str, Any]:
    """Returns what a folder's run came to; empty where it has not ended."""
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_values(folder: Path) -> dict[str, np.ndarray]:
    """Returns the scores of a run on all patients and on each resample, by name."""
    with np.load(folder / VALUES) as found:
        return dict(found)


def carry_out(run: Run, config: CompareConfig) -> None:
    """Trains and judges a run, and writes ``run.json``; what goes wrong is written there too.

    A run that is asked to stop writes nothing and continues the next time.
    """
    logging.getLogger("anylead").setLevel(logging.WARNING)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    stores = tuple(Store.open(path) for path in config.stores)
    head = {
        "format": FORMAT,
        "key": run.key(config, stores),
        "kind": run.kind,
        "name": run.name,
        "seed": run.seed,
        "settings": _settings(run),
    }
    try:
        found = _carried_out(run, config, stores)
    except ConfigError as error:
        _write_end(run, head, status="not applicable", reason=str(error))
    except AnyleadError as error:
        _write_end(run, head, status="failed", reason=str(error))
    except Exception as error:  # a cell may fail in any way; the others go on
        (run.folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        _write_end(run, head, status="failed", reason=f"{type(error).__name__}: {error}")
    else:
        if found is not None:
            write_json(run.folder / RUN, {**head, "status": "done", **found, "environment": environment()})


def write_failure(run: Run, config: CompareConfig, stores: Sequence[Store], reason: str) -> None:
    """Writes that a run failed whose process could not say so itself."""
    head = {"format": FORMAT, "key": run.key(config, stores), "kind": run.kind, "name": run.name}
    _write_end(run, {**head, "seed": run.seed}, status="failed", reason=reason)


def _write_end(run: Run, head: Mapping[str, Any], *, status: Status, reason: str) -> None:
    write_json(run.folder / RUN, {**head, "status": status, "reason": " ".join(reason.split())})


def _settings(run: Run) -> Any:
    if run.pretrain is not None:
        settings = to_plain(run.pretrain)
        settings["encoder"] = to_plain(run.pretrain.encoder_config)
        return {name: value for name, value in settings.items() if name not in ("stores", "out")}
    return to_plain(run.encoder)


def _carried_out(run: Run, config: CompareConfig, stores: tuple[Store, ...]) -> dict[str, Any] | None:
    run.folder.mkdir(parents=True, exist_ok=True)
    started, cpu_before = time.monotonic(), time.process_time()
    trained: dict[str, Any] = {}
    cost: Cost | None = None
    if run.kind in ("pretrained", "supervised"):
        cost = _cost(run, config, stores)
        if not (_pretrained if run.kind == "pretrained" else _supervised)(run, config, stores, cost):
            return None
        trained = _efforts(run, cost, cpu_s=time.process_time() - cpu_before)
    judged_from = time.monotonic()
    scores, curve = _judged(run, config, stores, cost)
    _write_values(run, scores, curve)
    return {
        **trained,
        "readout": None if scores.readout is None else asdict(scores.readout),
        "scores": _intervals(scores),
        "curve": [
            {"share": share, "macro_auroc": _plain(auroc_interval(values))}
            for share, values in sorted(curve.items())
        ],
        "judging_s": round(time.monotonic() - judged_from, 1),
        "wall_s": round(time.monotonic() - started, 1),
    }


def _cost(run: Run, config: CompareConfig, stores: Sequence[Store]) -> Cost:
    """Returns the cost that was measured when the run began: a budget of time must not move afterwards."""
    file = run.folder / BUDGET
    if file.is_file():
        return Cost(**json.loads(file.read_text(encoding="utf-8")))
    if run.pretrain is not None:
        cost = cost_of_pretraining(run.pretrain, stores, config.budget)
    else:
        assert run.encoder is not None
        encoder = build_encoder(run.encoder)
        cost = cost_of_supervision(encoder, stores, _window_s(config), config.budget)
    write_json(file, asdict(cost))
    return cost


def _window_s(config: CompareConfig) -> float:
    feed = config.recipe.get("feed", {})
    return float(feed.get("window_s", 5.0)) if isinstance(feed, Mapping) else 5.0


def _pretrained(run: Run, config: CompareConfig, stores: Sequence[Store], cost: Cost) -> bool:
    return pretrain(_plan(run, config, cost), progress=False).finished


def _plan(run: Run, config: CompareConfig, cost: Cost) -> PretrainConfig:
    assert run.pretrain is not None
    return replace(
        run.pretrain,
        stores=config.stores,
        out=run.folder / TRAINING,
        seed=run.seed,
        steps=cost.steps,
        threads=config.threads,
        checkpoint_minutes=1.0,
        bundle_at=config.curve_at if run.with_curve else (),
    )


def _supervised(run: Run, config: CompareConfig, stores: Sequence[Store], cost: Cost) -> bool:
    bundle = _fresh(run, config, stores)
    work = ClassifyConfig(
        bundle=Path(),
        stores=config.stores,
        out=run.folder / TRAINING,
        weights="fresh",
        pooling="mean",
        steps=cost.steps,
        batch_size=SUPERVISED_BATCH,
        learning_rate=1e-3,
        schedule="warmup_cosine",
        minimum_positives=config.minimum_positives,
        store_classes=("all",),  # as the judgement takes labels
        seed=run.seed,
    )
    finetune_classify(work, start=bundle)
    return True


def _fresh(run: Run, config: CompareConfig, stores: Sequence[Store]) -> Bundle:
    assert run.encoder is not None
    torch.manual_seed(derive_seed(run.seed, "untrained", 0))
    preparation = Preparation.from_plain(stores[0].manifest.preparation)
    return Bundle.assemble(
        build_encoder(run.encoder).eval(), preparation=preparation, window_s=_window_s(config)
    )


def _judged(
    run: Run, config: CompareConfig, stores: tuple[Store, ...], cost: Cost | None
) -> tuple[Scores, dict[float, np.ndarray]]:
    judge, scratch = Judge.of(config, stores), run.folder / "passes"
    curve: dict[float, np.ndarray] = {}
    if run.kind == "hand-made":
        scores = judge.features(scratch)
    elif run.kind == "untrained":
        scores = judge.encoder(_fresh(run, config, stores), scratch)
    elif run.kind == "supervised":
        scores = judge.network(load(run.folder / TRAINING / "bundle"), scratch)
    else:
        assert cost is not None
        scores = judge.encoder(load(run.folder / TRAINING / "bundle"), scratch)
        layer = None if scores.readout is None else scores.readout.layer
        for step, path in kept_bundles(_plan(run, config, cost), cost.steps).items():
            curve[step / cost.steps] = judge.first_lead_set(load(path), layer, scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    return scores, curve


def _efforts(run: Run, cost: Cost, *, cpu_s: float) -> dict[str, Any]:
    """Returns what the training took."""
    log = read_run_log(run.folder / TRAINING)
    speeds = [line["segments_per_s"] for line in log if "segments_per_s" in line]
    last = log[-1] if log else {}
    return {
        "steps": cost.steps,
        "segments": cost.steps * cost.segments,
        "gflop_a_step": round(cost.flops / 1e9, 3),
        "tera_flops": round(cost.total_flops / 1e12, 6),
        "training_cpu_s": round(cpu_s, 1),
        "peak_memory_mib": _peak_memory_mib(),
        "segments_per_s": round(statistics.median(speeds), 1) if speeds else None,
        "last": {name: value for name, value in last.items() if name != "segments_per_s"},
    }


def _write_values(run: Run, scores: Scores, curve: Mapping[float, np.ndarray]) -> None:
    arrays = {f"auroc {name}": values for name, values in scores.auroc.items()}
    if scores.rank1 is not None:
        arrays["rank1"] = scores.rank1
    arrays |= {f"curve {share:.3f}": values for share, values in curve.items()}
    with atomic_path(run.folder / VALUES) as temporary, temporary.open("wb") as file:
        # numpy's signature takes a switch among the names of the arrays.
        np.savez_compressed(file, **{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[arg-type]


def _intervals(scores: Scores) -> dict[str, Any]:
    found = {f"macro_auroc {name}": _plain(auroc_interval(values)) for name, values in scores.auroc.items()}
    if scores.rank1 is not None:
        found["rank1"] = _plain(interval_of(scores.rank1))
    return found


def _plain(interval: Interval) -> dict[str, float | None]:
    numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: None if number is None else round(number, 4) for name, number in numbers.items()}


def _peak_memory_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def baseline_encoder(name: str, stores: Sequence[Store], leads: tuple[str, ...]) -> AnyEncoderConfig:
    """Returns the configuration that ``NAME:SIZE`` means, at the stores' rate.

    Raises:
        ConfigError: If there is no such encoder.
        StoreError: If the recordings of a store have several sampling rates.
    """
    named: Any = named_encoder(name)
    found: AnyEncoderConfig = replace(named, leads=leads, sampling_rate_hz=stores[0].sampling_rate_hz)
    return found
