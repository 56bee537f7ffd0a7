"""What surrounds Ray, with something else in its place; test_pretrain_processes.py runs it."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_pretrain import small_run

from anylead.cli import dispatch, main
from anylead.errors import ConfigError, FileError, TrainingError
from anylead.feed import PairFeedReport
from anylead.workflows import pretrain_ray
from anylead.workflows.pretrain import PretrainConfig, PretrainResult
from anylead.workflows.pretrain_ray import cluster, pretrain_with_ray


class Worker:
    """Stands for Ray's trainer: calls a function in place of the workers."""

    def __init__(self, work: Callable[[Path], object], scratch: Path) -> None:
        self.work, self.scratch = work, scratch

    def fit(self) -> SimpleNamespace:
        return SimpleNamespace(return_value=self.work(self.scratch))


class Ray:
    """Stands for Ray: a cluster of some places, and a function in place of the workers."""

    def __init__(self, work: Callable[[Path], object] = lambda scratch: None, **places: float) -> None:
        self.work, self.places, self.options = work, places, {}
        self.failure: Exception | None = None

    def is_initialized(self) -> bool:
        return False

    def init(self, **options) -> None:
        self.options = options
        if self.failure:
            raise self.failure

    def shutdown(self) -> None:
        self.options = {}

    def cluster_resources(self) -> dict[str, float]:
        return self.places or {"CPU": float(self.options.get("num_cpus", 2))}

    def TorchTrainer(self, work, *, run_config, **rest) -> Worker:  # noqa: N802
        return Worker(self.work, Path(run_config["storage_path"]))

    TorchConfig = ScalingConfig = RunConfig = staticmethod(dict)


@pytest.fixture
def ray(monkeypatch) -> Ray:
    made = Ray()
    monkeypatch.setattr(pretrain_ray, "_ray", lambda: (made, made, made))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return made


@pytest.fixture
def config(tmp_path) -> PretrainConfig:
    return small_run(tmp_path / "store", tmp_path / "run", backend="ray", workers=2)


def outcome(config: PretrainConfig, step: int) -> PretrainResult:
    fed = PairFeedReport(recordings=10, pairs=10, dropped={}, overlap=None)
    return PretrainResult(run=config.out, step=step, total_steps=12, bundle=None, fed=fed, last={})


def test_without_ray_the_sentence_says_what_to_install(config, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(dispatch, "_log_to_stderr", lambda: None)
    with pytest.raises(
        ConfigError, match=r"Ray Train is not installed; install anylead\[ray\], or use torch"
    ):
        pretrain_with_ray(config)
    assert not config.out.exists()
    line = ["pretrain", "--store", "s", "--out", str(config.out), "--backend", "ray", "--workers", "2"]
    assert main(line) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_torchrun_and_ray_at_once_are_refused(config, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(ConfigError, match="torchrun has started this process; leave out one of the two"):
        pretrain_with_ray(config)


def test_a_folder_that_holds_something_else_is_refused_before_ray_starts(config, ray):
    config.out.mkdir()
    (config.out / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="holds other files and no run"):
        pretrain_with_ray(config)
    assert [path.name for path in config.out.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_told(config, ray, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        FileError, match=r"file/run/\.ray: could not be made \(Not a directory\); choose another"
    ):
        pretrain_with_ray(replace(config, out=tmp_path / "file" / "run"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            None,
            r"Ray could not be started \(no sockets\); mend that, or name a cluster in RAY_ADDRESS, or use",
        ),
        (
            "1.2.3.4:5",
            r"Ray could not be reached \(no sockets\); mend that, unset RAY_ADDRESS, or use torchrun",
        ),
    ],
)
def test_a_cluster_that_cannot_be_had_is_told_in_a_sentence(ray, monkeypatch, address, message):
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    ray.failure = ConnectionError("no sockets.\nand more")
    with pytest.raises(TrainingError, match=message), cluster(2):
        pass


def test_a_cluster_made_here_has_room_for_all_workers_and_is_given_up(ray):
    with cluster(1000) as made:
        assert made
        assert ray.options["num_cpus"] == 1000
        assert ray.options["address"] == "local"
    assert ray.options == {}


def test_a_cluster_that_is_named_is_taken_as_it_is(ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with cluster(1000) as made:
        assert not made
        assert not {"num_cpus", "address", "include_dashboard"} & set(ray.options)


def test_too_few_gpus_are_refused_here_and_waited_for_elsewhere(config, ray, monkeypatch, caplog):
    ray.places = {"GPU": 1.0, "CPU": 8.0}
    config = small_run(config.stores[0], config.out, backend="ray", workers=2, device="auto")
    with pytest.raises(ConfigError, match="workers is 2 and this machine has 1 GPUs; take as many workers"):
        pretrain_with_ray(config)
    assert not config.out.exists()
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    ray.work = lambda scratch: outcome(config, 12)
    with caplog.at_level(logging.WARNING, logger="anylead"):
        pretrain_with_ray(config, progress=False)
    assert "The Ray cluster has 1 GPUs for 2 workers; Ray waits for more." in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_and_what_is_said_go_through_the_folder(config, ray, caplog, number):
    def work(scratch: Path) -> PretrainResult:
        (scratch / "said").write_text("20 one\n30 two\n20 thr")
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 20
        while not (scratch / "stop").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with (scratch / "said").open("a") as file:
            file.write("ee\n")
        return outcome(config, 5)

    ray.work = work
    with caplog.at_level(logging.INFO, logger="anylead"):
        result = pretrain_with_ray(config)
    assert (result.step, result.by_user, result.run) == (5, number == signal.SIGINT, config.out)
    told = [(r.levelno, r.getMessage()) for r in caplog.records if r.getMessage() in ("one", "two", "three")]
    assert told == [(20, "one"), (30, "two"), (20, "three")]
    assert not config.out.exists(), "nothing is left of what went through the folder"


class WorkersFailedError(Exception):
    def __init__(self, **failures: Exception) -> None:
        super().__init__("Training failed due to worker errors:\nmany\nlines")
        self.worker_failures = {int(rank[1:]): failure for rank, failure in failures.items()}


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (WorkersFailedError(_0=FileError("the disk is full")), FileError, "^the disk is full$"),
        (
            WorkersFailedError(
                _0=TrainingError("process 0: another is gone"), _1=ConfigError("no such lead")
            ),
            ConfigError,
            "^no such lead$",
        ),
        (
            WorkersFailedError(_1=TrainingError("process 1: stops because of the main one")),
            TrainingError,
            "^process 1: stops",
        ),
        (
            WorkersFailedError(_1=OSError("worker died.\nmany lines")),
            TrainingError,
            r"Ray failed \(worker died\); the",
        ),
        (ValueError(""), TrainingError, r"a worker of Ray failed \(ValueError\); the same command goes on"),
    ],
)
def test_what_a_worker_raised_comes_out_as_it_was(config, ray, failure, kind, message):
    def work(scratch: Path) -> None:
        raise failure

    ray.work = work
    with pytest.raises(kind, match=message):
        pretrain_with_ray(config, progress=False)


def test_the_bar_shows_steps_of_this_run_only(config, capsys):
    bar = pretrain_ray._Bar(config, progress=True)
    bar.advance()
    config.out.mkdir()
    log = config.out / "metrics.jsonl"
    (config.out / "fed.json").write_text(json.dumps({"pairs": 10}))
    lines = [json.dumps({"step": step, "loss": 2.5, "segments_per_s": 100.0}) for step in range(1, 6)]
    log.write_text("\n".join(lines[:3]) + "\n")
    with pretrain_ray._Bar(config, progress=True) as bar:
        bar.advance()
        assert capsys.readouterr().err == "", "these are lines of the run before"
        log.write_text("\n".join(lines) + '\n{"step": 6, "lo')
        bar.advance()
        log.write_text("\n".join(lines) + "\n")
    told = capsys.readouterr().err
    assert "5/12" in told
    assert "loss=2.5" in told
