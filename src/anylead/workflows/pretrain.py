"""pretrain: stores to an encoder, without labels; stopped and resumed at will."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from tqdm import tqdm

from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.config import from_plain, read_yaml, to_plain
from anylead.encoders import (
    ENCODERS,
    AnyEncoderConfig,
    ConvTransformerConfig,
    Readout,
    build_encoder,
    named_encoder,
)
from anylead.encoders.base import device_of
from anylead.engine import (
    AdamWConfig,
    Constant,
    Precision,
    Processes,
    RunLog,
    Schedule,
    Share,
    StepResult,
    TrainState,
    build_optimizer,
    fit,
    joined_processes,
    keep_freed_memory,
    load_latest,
    read_run_log,
    save_checkpoint,
    stop_on_signals,
)
from anylead.engine.checkpoint import differences
from anylead.errors import ConfigError
from anylead.feed import Augmentation, Lookahead, PairFeed, PairFeedConfig, PairFeedReport, RandomLeadMasking
from anylead.feed.lead_sets import store_lead_sets
from anylead.feed.order import whole_weights
from anylead.objectives import AnyObjectiveConfig, W2VCMSCConfig, build_objective
from anylead.preparation import Preparation
from anylead.provenance import atomic_path, environment, write_json
from anylead.seeding import derive_seed
from anylead.store import Store

CONFIG_FILE = "config.yaml"
CHECKPOINTS = "checkpoints"
FED = "fed.json"
BUNDLE = "bundle"
BUNDLES = "bundles"

_FREE = {
    *(
        "stores",
        "out",
        "readout",
        "checkpoint_minutes",
        "bundle_at",
        "log_every",
        "tensorboard",
        "threads",
        "device",
        "share",
        "backend",
        "workers",
    )
}
"""Settings that may change when a run is resumed; stores may move, and are known by their fingerprints."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Configuration of `pretrain`."""

    stores: tuple[Path, ...]
    """Made by ``prepare`` with the same steps; their training recordings are used."""
    store_weights: tuple[float, ...] = ()
    """Proportions in which the stores' pairs are fed, one a store; none shuffles the pairs of all stores
    together, so that a store counts by its size."""
    store_leads: tuple[str, ...] = ()
    """Leads that the recordings of each store show, one set a store: ``all``, ``6``, ``I,II``; none shows
    all. Other leads are absent, before `lead_masking` hides more."""
    out: Path
    """Folder of the run."""
    seed: int = 0
    steps: int | None = None
    """Optimizer updates; None trains for `epochs`."""
    epochs: float = 20.0
    """Passes over all pairs, where `steps` is None; with `store_weights`, a pass lasts until every pair of
    every store has been seen, so that those of some stores have been seen several times."""
    encoder: AnyEncoderConfig | str = "mini"
    """A configuration, a size of the paper's (``base``, ``small``, ``mini``, ``tiny``), or another encoder
    and its size, such as ``s4:tiny`` or ``lead_time_transformer``."""
    objective: AnyObjectiveConfig = field(default_factory=W2VCMSCConfig)
    feed: PairFeedConfig = field(default_factory=PairFeedConfig)
    augmentation: Augmentation | None = None
    """Changes every segment at random, before leads are hidden."""
    lead_masking: RandomLeadMasking | None = field(default_factory=RandomLeadMasking)
    """None shows every lead."""
    optimizer: AdamWConfig = field(default_factory=AdamWConfig)
    schedule: Schedule = field(default_factory=Constant)
    clip_norm: float | None = None
    """Largest norm of the gradient; None, the paper's, does not clip."""
    precision: Precision = "float32"
    """Of the matrix products: ``bfloat16`` takes half the time where the processor has it."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Fuse the steps of the loss with torch.compile; ``auto`` does on a GPU. On a CPU it did not pay
    (docs/speed.md)."""
    share: Share = "micro_batches"
    """What several processes share out: whole micro-batches, or the pairs of each, whose losses are then
    computed over all processes. A run gives the same either way, and with any number of processes, up to
    rounding (and dropout, where pairs are shared)."""
    readout: Readout = field(default_factory=Readout)
    """What the bundle's `embed` reads."""
    checkpoint_minutes: float = 5.0
    """Time between checkpoints; there is one at the end, and on SIGTERM or Ctrl-C, in any case."""
    bundle_at: tuple[float, ...] = ()
    """Shares of the run after which a bundle is kept besides, in ``bundles/step-N``."""
    log_every: int = 10
    """Steps between writes to the log, each of which waits for the device; every step gets its line."""
    tensorboard: bool = False
    """Write to TensorBoard too."""
    threads: int | None = None
    """CPU threads; runs are bit-equal for equal numbers of them. None leaves it to torch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` is CUDA where there is one, otherwise the CPU."""
    backend: Literal["torchrun", "ray"] = "torchrun"
    """What starts the processes: torchrun, in front of the command (without it there is one), or Ray."""
    workers: int = 1
    """Processes that Ray starts, each with a GPU where its cluster has any."""

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("pretrain: no store was given; name at least one made by anylead prepare.")
        if self.store_weights:
            whole_weights(self.store_weights, len(self.stores))
        store_lead_sets(self.store_leads, len(self.stores))
        for name in ("steps", "log_every", "threads", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"pretrain: {name} is {value}; give a number of at least 1.")
        if any(not 0.0 < share <= 1.0 for share in self.bundle_at):
            raise ConfigError(
                f"pretrain: bundle_at is {', '.join(f'{share:g}' for share in self.bundle_at)}; "
                "give shares of the run above 0, at most 1."
            )
        if not self.epochs > 0.0 or self.checkpoint_minutes < 0.0:
            raise ConfigError(
                f"pretrain: epochs is {self.epochs:g} and checkpoint_minutes {self.checkpoint_minutes:g}; "
                "epochs must be above 0 and checkpoint_minutes not negative."
            )
        if self.workers > 1 and self.backend != "ray":
            raise ConfigError(
                f"pretrain: workers is {self.workers} and is for backend ray; with torchrun, start "
                f"torchrun --nproc-per-node {self.workers} -m anylead pretrain ... instead."
            )

    @property
    def encoder_config(self) -> AnyEncoderConfig:
        """The configuration that `encoder` is or names."""
        return size_of(self.encoder) if isinstance(self.encoder, str) else self.encoder


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """What a run came to."""

    run: Path
    step: int
    """Updates done."""
    total_steps: int
    bundle: Path | None
    """None where the run was stopped before its end."""
    fed: PairFeedReport
    """Recordings used and dropped."""
    last: Mapping[str, Any]
    """Last line of the log; empty where another process writes it."""
    is_main: bool = True
    """Whether this process wrote the results; one of several does."""
    by_user: bool = False
    """Whether it was stopped by Ctrl-C."""

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return self.step >= self.total_steps


def read_pretrain_config(values: Mapping[str, Any], *, where: str = "pretrain") -> PretrainConfig:
    """Builds a configuration from nested plain values, as a recipe has them.

    Args:
        values: By the names of `PretrainConfig`. ``encoder`` may be a size, or a mapping in which ``kind``
            and ``size`` name the one that the others change; without them it is ``mini`` of the paper's.
        where: What to call the offender in an error.

    Raises:
        ConfigError: If a name is unknown, missing or has a value that cannot be used.
    """
    values = dict(values)
    encoder = values.get("encoder")
    if isinstance(encoder, Mapping):
        changes = {name: value for name, value in encoder.items() if name not in ("kind", "size")}
        word = str(encoder.get("size", ""))
        if "kind" in encoder:
            word = f"{encoder['kind']}:{word}" if word else str(encoder["kind"])
        elif word.partition(":")[0] not in ENCODERS:
            # What a run wrote spells the encoder out: its names are those of one encoder only.
            names = {kind: {f.name for f in fields(cls)} for kind, (cls, _) in ENCODERS.items()}
            kind = next((kind for kind, known in names.items() if set(changes) <= known), "conv_transformer")
            word = f"{kind}:{word}" if word else kind
        size = size_of(word)
        changed = from_plain(type(size), {**to_plain(size), **changes}, where=f"{where}.encoder")
        values["encoder"] = to_plain(changed)
    objective = values.get("objective")
    if isinstance(objective, Mapping):
        values["objective"] = {"kind": W2VCMSCConfig.kind, **objective}
    return from_plain(PretrainConfig, values, where=where)


def total_steps(config: PretrainConfig, pairs: int) -> int:
    """Returns the updates of a run whose epochs have so many pairs."""
    per_step = config.feed.pairs_per_batch * config.feed.micro_batches
    return config.steps or max(1, round(config.epochs * (pairs / per_step)))


def kept_bundles(config: PretrainConfig, total: int) -> dict[int, Path]:
    """Returns the steps after which a bundle is kept besides the last one, and where."""
    steps = sorted({max(1, round(share * total)) for share in config.bundle_at})
    return {step: config.out / BUNDLES / f"step-{step}" for step in steps}


def size_of(name: str) -> AnyEncoderConfig:
    """Returns what ``SIZE``, ``ENCODER`` or ``ENCODER:SIZE`` means; a size alone is of the paper's encoder.

    Raises:
        ConfigError: If there is no such size or encoder.
    """
    return named_encoder(name) if name.partition(":")[0] in ENCODERS else ConvTransformerConfig.named(name)


def pretrain(
    config: PretrainConfig, *, progress: bool = True, stop: Callable[[], bool] | None = None
) -> PretrainResult:
    """Trains an encoder on the pairs of stores, or goes on with a run that was stopped.

    The run's folder holds ``config.yaml``, ``environment.json``, ``fed.json``, ``metrics.jsonl``,
    ``checkpoints/`` and, at the end, ``bundle/`` (with `bundle_at`, others on the way). A run that was
    stopped or killed at any moment and started again comes to the same weights, bit for bit, on the same
    machine with the same number of threads.

    Args:
        config: What to do.
        progress: Show a progress bar.
        stop: Asked after every step; where it says yes the run saves and ends, as on SIGTERM.

    Raises:
        ConfigError: If a setting cannot be used, or the folder holds a run of another configuration.
        StoreError: If a store cannot be read, or the stores do not go together.
        CheckpointError: If no checkpoint of the run can be read or they belong to another configuration.
        TrainingError: If the loss or a weight is not finite.
        FileError: If the disk refuses.
    """
    if config.backend == "ray":
        from anylead.workflows.pretrain_ray import pretrain_with_ray

        return pretrain_with_ray(config, progress=progress)
    accelerator = config.device != "cpu" and torch.cuda.is_available()
    with joined_processes(accelerator=accelerator) as processes:
        processes.from_main(lambda: check_folder(config))
        return _pretrain(config, processes, progress=progress and processes.is_main, stop=stop or _never)


def _never() -> bool:
    return False


def _pretrain(
    config: PretrainConfig, processes: Processes, *, progress: bool, stop: Callable[[], bool]
) -> PretrainResult:
    if not processes.is_main:
        # What every process finds out, one says.
        logging.getLogger("anylead").setLevel(logging.ERROR)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    keep_freed_memory()
    stores = [Store.open(path) for path in config.stores]
    feed = _build_feed(config, stores)
    total = total_steps(config, feed.report.pairs_per_epoch or feed.report.pairs)
    state = _build_state(config, stores, total, processes)
    if config.share == "pairs" and processes.world_size > 1 and state.encoder.reference:
        raise ConfigError(
            "pretrain: with encoder.reference, hidden frames depend on the whole micro-batch, so that its "
            "pairs cannot be shared out; use share micro_batches, or reference false."
        )
    load_latest(state, config.out / CHECKPOINTS, processes=processes)
    processes.from_main(lambda: _write_facts(config, feed, state, processes))
    if state.step:
        _log.info("%s: goes on after step %d of %d.", config.out, state.step, total)
    kept = kept_bundles(config, total)

    def keep(step: int) -> None:
        if step in kept:
            processes.from_main(lambda: _write_bundle(config, state, stores, {}, path=kept[step]))

    by_user = _train(config, state, feed, total, processes, progress=progress, stop_asked=stop, after=keep)
    last = (read_run_log(config.out) or [{}])[-1] if processes.is_main else {}
    finished = state.step >= total

    def bundle() -> Path:
        return _write_bundle(config, state, stores, last, path=config.out / BUNDLE)

    return PretrainResult(
        run=config.out,
        step=state.step,
        total_steps=total,
        bundle=processes.from_main(bundle) if finished else None,
        fed=feed.report,
        last=last,
        is_main=processes.is_main,
        by_user=by_user,
    )


def _build_feed(config: PretrainConfig, stores: Sequence[Store]) -> PairFeed:
    encoder = config.encoder_config
    feed = PairFeed(
        stores,
        config.feed,
        seed=config.seed,
        leads=encoder.leads,
        augmentation=config.augmentation,
        lead_masking=config.lead_masking,
        store_weights=config.store_weights,
        store_leads=store_lead_sets(config.store_leads, len(stores)),
    )
    if feed.sampling_rate_hz != encoder.sampling_rate_hz:
        raise ConfigError(
            f"pretrain: the stores have {feed.sampling_rate_hz:g} Hz and the encoder is built for "
            f"{encoder.sampling_rate_hz:g} Hz; prepare the stores at that rate."
        )
    return feed


def _build_state(
    config: PretrainConfig, stores: Sequence[Store], total: int, processes: Processes
) -> TrainState:
    device = _device(config.device, processes)
    torch.manual_seed(derive_seed(config.seed, "weights", "encoder"))
    encoder = build_encoder(config.encoder_config)
    torch.manual_seed(derive_seed(config.seed, "weights", "objective"))
    objective = build_objective(config.objective, encoder)
    encoder.to(device)
    objective.to(device)
    decisive = _decisive(to_plain(config)) | {
        "steps": total,
        "stores": [store.manifest.fingerprint for store in stores],
    }
    return TrainState(
        encoder=encoder,
        objective=objective,
        optimizer=build_optimizer(config.optimizer, encoder, objective),
        seed=config.seed,
        config={name: value for name, value in decisive.items() if name != "epochs"},
    )


def _device(name: str, processes: Processes) -> str:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("pretrain: device is cuda and torch finds none here; use cpu or auto.")
    return f"cuda:{processes.local_rank}" if name != "cpu" and available else "cpu"


def _decisive(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that decide the numbers of a run, a named size spelled out."""
    values = {name: value for name, value in plain.items() if name not in _FREE}
    for name in ("store_weights", "store_leads"):
        # Without them a run is that of a release that did not know them, and goes on with one.
        if not values.get(name):
            values.pop(name, None)
    if isinstance(values.get("encoder"), str):
        values["encoder"] = to_plain(size_of(values["encoder"]))
    return values


def check_folder(config: PretrainConfig) -> None:
    """Refuses a folder that holds anything but this run.

    Raises:
        ConfigError: If it does.
    """
    out, file = config.out, config.out / CONFIG_FILE
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; name a folder for the run.")
    if not file.exists():
        # A process killed while writing leaves hidden files.
        if out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
            raise ConfigError(f"{out}: holds other files and no run; name a new or empty folder.")
        return
    told = differences(_decisive(read_yaml(file)), _decisive(to_plain(config)))
    if told:
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""
        raise ConfigError(
            f"{out}: holds a run of another configuration: {'; '.join(told[:3])}{more}. "
            "Use the same settings to go on with it, or another folder for a new run."
        )


def _write_facts(config: PretrainConfig, feed: PairFeed, state: TrainState, processes: Processes) -> None:
    with atomic_path(config.out / CONFIG_FILE) as temporary:
        temporary.write_text(yaml.safe_dump(to_plain(config), sort_keys=False), encoding="utf-8")
    write_json(
        config.out / "environment.json",
        {
            **environment(),
            "threads": torch.get_num_threads(),
            "processes": processes.world_size,
            "resumed_step": state.step,
        },
    )
    write_json(config.out / FED, to_plain(feed.report))
    report = feed.report
    _log.info("%d pairs of %d recordings are fed.", report.pairs, report.recordings)
    for share in report.stores if len(report.stores) > 1 else ():
        _log.info("%s: %d pairs, %.4g segments a step.", share.store, share.pairs, share.segments_per_step)
    for line in report.overlap.lines() if report.overlap else []:
        _log.info("%s", line)
    for reason, count in report.dropped.items():
        _log.info("not fed: %d recordings or pairs: %s", count, reason)


def _train(
    config: PretrainConfig,
    state: TrainState,
    feed: PairFeed,
    total: int,
    processes: Processes,
    *,
    progress: bool,
    stop_asked: Callable[[], bool],
    after: Callable[[int], None],
) -> bool:
    """Runs the updates that are left, and something after each; returns whether the user stopped them."""
    on_gpu = device_of(state.encoder).type == "cuda"
    waiting: list[StepResult] = []
    saved_s = written_s = time.monotonic()

    def own_batches(step: int) -> list[Batch]:
        if processes.world_size == 1:
            found = feed.batches(step)
        else:
            part, parts = processes.rank, processes.world_size
            found = feed.batches_of(step, part=part, parts=parts, share=config.share)
        # Pinned, they travel to the GPU while it computes.
        return [batch.pinned() for batch in found] if on_gpu else found

    with (
        Lookahead(own_batches) as batches,
        _open_log(config, state, processes) as log,
        tqdm(total=total, initial=state.step, unit="step", disable=not progress, desc="pretrain") as bar,
        stop_on_signals() as stop,
    ):
        updates = fit(
            state,
            batches,
            total_steps=total,
            schedule=config.schedule,
            clip_norm=config.clip_norm,
            precision=config.precision,
            compiled=config.compile == "on" or (config.compile == "auto" and on_gpu),
            processes=processes,
            share=config.share,
        )
        for result in updates:
            waiting.append(result)
            bar.update()
            after(result.step)
            # All processes have to come to the same answer: a signal may have reached one, clocks differ.
            asked = stop.asked or processes.abandoned or stop_asked()
            ends = processes.any(asked) or result.step == total
            due = processes.is_main and time.monotonic() - saved_s >= 60.0 * config.checkpoint_minutes
            save = ends or processes.any(due)
            if save or result.step % config.log_every == 0:
                line = _write_lines(log, waiting, seconds=time.monotonic() - written_s)
                bar.set_postfix({name: f"{line[name]:.3g}" for name in _shown(line)})
                waiting, written_s = [], time.monotonic()
            # After the lines up to this step, so that a run resumed from here has them all.
            if save:
                processes.from_main(lambda: _save(state, config))
                saved_s = time.monotonic()
            if ends:
                break
        return stop.by_user


def _save(state: TrainState, config: PretrainConfig) -> None:
    save_checkpoint(state, config.out / CHECKPOINTS)


def _open_log(
    config: PretrainConfig, state: TrainState, processes: Processes
) -> AbstractContextManager[RunLog | None]:
    if not processes.is_main:
        return nullcontext()
    return RunLog(config.out, resumed_step=state.step, tensorboard=config.tensorboard)


def _write_lines(log: RunLog | None, results: Sequence[StepResult], *, seconds: float) -> dict[str, Any]:
    speed = sum(result.segments for result in results) / max(seconds, 1e-9)
    line: dict[str, Any] = {}
    for result in results:
        line = {"step": result.step, **result.floats(), "segments_per_s": round(speed, 3)}
        if log is not None:
            log.write(line)
    return line


def _shown(line: Mapping[str, Any]) -> list[str]:
    return [name for name in line if name == "loss" or name.endswith("accuracy") or name == "segments_per_s"]


def _write_bundle(
    config: PretrainConfig, state: TrainState, stores: Sequence[Store], last: Mapping[str, Any], *, path: Path
) -> Path:
    made_from = [
        {
            "source": store.manifest.source,
            "fingerprint": store.manifest.fingerprint,
            "licence": store.manifest.licence,
            "citation": store.manifest.citation,
        }
        for store in stores
    ]
    bundle = Bundle.assemble(
        state.encoder.eval(),
        preparation=Preparation.from_plain(stores[0].manifest.preparation),
        readout=config.readout,
        window_s=config.feed.window_s,
        provenance={"pretraining": state.config, "stores": made_from, "steps": state.step},
        numbers={"pretraining": {name: value for name, value in last.items() if name != "segments_per_s"}},
    )
    bundle.save_pretrained(path)
    return path
