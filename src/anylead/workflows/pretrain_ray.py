"""pretrain by Ray: the same loop in worker processes that Ray Train starts and connects."""

import importlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from anylead.config import to_plain
from anylead.engine import stop_on_signals
from anylead.engine.distributed import TIMEOUT
from anylead.engine.run_log import FILE_NAME
from anylead.errors import AnyleadError, ConfigError, FileError, TrainingError, first_line
from anylead.store.addresses import absolute
from anylead.store.backends import RAY_ADDRESS, ray_options
from anylead.workflows.pretrain import (
    BUNDLE,
    FED,
    PretrainConfig,
    PretrainResult,
    check_folder,
    pretrain,
    read_pretrain_config,
    total_steps,
)

SCRATCH = ".ray"
"""Folder of a run that Ray works on: what its first worker says, the wish to stop, Ray's own notes."""
_SAID, _STOP = "said", "stop"

_log = logging.getLogger(__name__)


def pretrain_with_ray(config: PretrainConfig, *, progress: bool = True) -> PretrainResult:
    """Submits a run to the Ray cluster that RAY_ADDRESS names, or to one made on this machine for it.

    The run's folder and the stores have to be visible to this process and every worker under the same path.
    SIGTERM and Ctrl-C end the run as they do without Ray.

    Args:
        config: With ``backend="ray"``; `workers` says how many processes.
        progress: Show a progress bar.

    Raises:
        ConfigError: If Ray Train is not installed, torchrun has started this process, or the machine has too
            few GPUs.
        AnyleadError: What a worker raised.
        TrainingError: If Ray does not start or a worker failed otherwise.
        FileError: If the run's folder cannot be made.
    """
    if dist.is_torchelastic_launched():
        raise ConfigError(
            "pretrain: backend is ray and torchrun has started this process; leave out one of the two."
        )
    check_folder(config)
    # A worker's current folder is another.
    here = replace(
        config,
        backend="torchrun",
        workers=1,
        stores=tuple(absolute(path) for path in config.stores),
        out=config.out.absolute(),
    )
    ray, train, train_torch = _ray()
    with cluster(config.workers) as made, _scratch(here.out) as scratch:
        resources = ray.cluster_resources()
        gpu = config.device != "cpu" and resources.get("GPU", 0) > 0
        _check_places(resources, "GPU" if gpu else "CPU", config.workers, made=made)
        trainer = train_torch.TorchTrainer(
            _work,
            train_loop_config={"config": to_plain(here), "scratch": str(scratch)},
            scaling_config=train.ScalingConfig(num_workers=config.workers, use_gpu=gpu),
            # As `joined_processes` does: decisions go by the CPU.
            torch_config=train_torch.TorchConfig(
                backend="cpu:gloo,cuda:nccl" if gpu else "gloo", timeout_s=int(TIMEOUT.total_seconds())
            ),
            run_config=train.RunConfig(name="ray", storage_path=str(scratch)),
        )
        result, by_user = _attend(trainer, config, scratch, progress=progress)
    bundle = config.out / BUNDLE if result.bundle else None
    return replace(result, run=config.out, bundle=bundle, by_user=by_user)


def _ray() -> tuple[Any, Any, Any]:
    try:
        # An extra, and a large one: only for those who ask.
        names = ("ray", "ray.train", "ray.train.torch")
        ray, train, train_torch = (importlib.import_module(name) for name in names)
    except ImportError as error:
        raise ConfigError(
            "pretrain: backend is ray and Ray Train is not installed; install anylead[ray], or use torchrun."
        ) from error
    return ray, train, train_torch


@contextmanager
def cluster(workers: int) -> Iterator[bool]:
    """Connects to the cluster that RAY_ADDRESS names, or makes one on this machine, and leaves it at the end.

    One that this process is connected to already is used, and left to its owner.

    Args:
        workers: Processes that one made here has room for.

    Yields:
        Whether it was made here.

    Raises:
        ConfigError: If Ray is not installed.
        TrainingError: If it does not start, or is not reached.
    """
    ray, _, _ = _ray()
    if ray.is_initialized():
        yield False
        return
    made = RAY_ADDRESS not in os.environ
    try:
        ray.init(**ray_options(max(workers, os.cpu_count() or 1)))
    except Exception as error:  # of many kinds, from files and sockets to Ray's own
        raise TrainingError(
            f"pretrain: Ray could not be {'started' if made else 'reached'} ({first_line(error)}); mend "
            f"that, {'or name a cluster in' if made else 'unset'} {RAY_ADDRESS}, or use torchrun."
        ) from error
    try:
        yield made
    finally:
        ray.shutdown()


@contextmanager
def _scratch(run: Path) -> Iterator[Path]:
    folder = run / SCRATCH
    shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FileError(
            f"{folder}: could not be made ({error.strerror or error}); choose another folder for the run."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            run.rmdir()  # where there is nothing else in it


def _check_places(resources: Mapping[str, float], kind: str, workers: int, *, made: bool) -> None:
    places = int(resources.get(kind, 0))
    if places >= workers:
        return
    if made:
        raise ConfigError(
            f"pretrain: workers is {workers} and this machine has {places} {kind}s; take as many workers, "
            "device cpu, or a cluster that RAY_ADDRESS names."
        )
    _log.warning("The Ray cluster has %d %ss for %d workers; Ray waits for more.", places, kind, workers)


def _attend(
    trainer: Any, config: PretrainConfig, scratch: Path, *, progress: bool
) -> tuple[PretrainResult, bool]:
    """Waits for a run, passing on what it says and the signals that this process gets."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(trainer.fit().return_value)
        except Exception as error:  # Ray wraps what a worker raised in kinds of its own
            outcome.append(error)

    # In the main thread Ray would take Ctrl-C for itself.
    running = threading.Thread(target=work, name="ray-train", daemon=True)
    _log.info("Ray starts %d workers.", config.workers)
    heard = 0
    with stop_on_signals() as stop, _Bar(config, progress=progress) as bar:
        running.start()
        while running.is_alive():
            running.join(0.5)
            if stop.asked:
                (scratch / _STOP).touch()
            heard = _pass_on(scratch / _SAID, heard)
            bar.advance()
        _pass_on(scratch / _SAID, heard)
        by_user = stop.by_user
    if isinstance(outcome[0], Exception):
        raise _as_ours(outcome[0]) from outcome[0]
    return outcome[0], by_user


def _pass_on(path: Path, heard: int) -> int:
    """Logs the lines that the first worker has written since, and returns how much has been heard."""
    if not path.exists():
        return heard
    with path.open("rb") as file:
        file.seek(heard)
        lines = file.read()
    lines = lines[: lines.rfind(b"\n") + 1]  # the last one may be half written
    for line in lines.decode(errors="replace").splitlines():
        level, _, message = line.partition(" ")
        if level.isdigit():
            _log.log(int(level), "%s", message)
    return heard + len(lines)


class _Bar:
    """A progress bar that goes by the run's log, from the first line that this run adds to it."""

    def __init__(self, config: PretrainConfig, *, progress: bool) -> None:
        self._config = config
        self._progress = progress
        self._before = self._entry().get("step", 0)
        self._bar: Any = None

    def advance(self) -> None:
        """Shows the last line of the log."""
        entry = self._entry() if self._progress else {}
        if entry.get("step", 0) <= self._before:
            return
        if self._bar is None:
            fed = json.loads((self._config.out / FED).read_text(encoding="utf-8"))
            total = total_steps(self._config, fed.get("pairs_per_epoch") or fed["pairs"])
            self._bar = tqdm(total=total, initial=self._before, unit="step", desc="pretrain")
        shown = {"loss": entry.get("loss"), "segments_per_s": entry.get("segments_per_s")}
        self._bar.set_postfix({k: f"{v:.3g}" for k, v in shown.items() if v is not None}, refresh=False)
        self._bar.update(entry["step"] - self._bar.n)

    def _entry(self) -> dict[str, Any]:
        log = self._config.out / FILE_NAME
        if not log.exists():
            return {}
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            whole, _, _ = file.read().rpartition(b"\n")  # the last one may be half written
        try:
            return dict(json.loads(whole.rpartition(b"\n")[2]))
        except json.JSONDecodeError:
            return {}

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self.advance()
            self._bar.close()


def _as_ours(error: Exception) -> AnyleadError:
    """Returns our error that lies in one of Ray's, or says in a sentence what Ray says in many lines."""
    failures = [failure for _, failure in sorted(getattr(error, "worker_failures", {}).items())]
    ours = [failure for failure in failures if isinstance(failure, AnyleadError)]
    # Those that stop because another one has failed say so, by their own number.
    ours.sort(key=lambda failure: str(failure).startswith("process "))
    if ours:
        return ours[0]
    return TrainingError(
        f"pretrain: a worker of Ray failed ({first_line(failures[0] if failures else error)}); "
        "the same command goes on from the last checkpoint."
    )


class _Said(logging.FileHandler):
    """Writes level and message, one line each, for `_pass_on`."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelno} {' '.join(record.getMessage().split())}"


def _work(values: dict[str, Any]) -> PretrainResult:
    """What each worker does; Ray hands on what the first one returns."""
    _, train, train_torch = _ray()
    scratch = Path(values["scratch"])
    if torch.cuda.is_available():
        os.environ["LOCAL_RANK"] = str(train_torch.get_device().index or 0)
    config = read_pretrain_config(values["config"])
    if train.get_context().get_world_rank() > 0:
        return pretrain(config, progress=False)
    logger = logging.getLogger("anylead")
    logger.setLevel(logging.INFO)
    said = _Said(scratch / _SAID)
    logger.addHandler(said)
    try:
        return pretrain(config, progress=False, stop=(scratch / _STOP).exists)
    finally:
        logger.removeHandler(said)
        said.close()
