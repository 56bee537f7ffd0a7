"""Who makes the shards changes no byte of the store."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_writer import contents

import anylead
from anylead.cli import dispatch, main
from anylead.errors import ConfigError, FileError, StoreError
from anylead.preparation import FillGaps, Preparation
from anylead.store import SplitConfig, Store, backends, write_store
from anylead.store.backends import run_tasks
from anylead.store.task import prepare_shard
from array_source import ArraySource

OPTIONS = {
    "preparation": Preparation(steps=(FillGaps(),)),
    "split": SplitConfig(test_fraction=0.3, valid_fraction=0.2),
    "shard_records": 3,
}
SOURCE = ArraySource(records=10, samples=500, broken=(4,))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "s"
    write_store(SOURCE, None, out, **OPTIONS)
    return contents(out)


@pytest.mark.slow
def test_ray_makes_the_same_store_shows_progress_and_is_gone_afterwards(alone, tmp_path, monkeypatch, capsys):
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Its processes look up the source of the tests, and this anylead, by the path they are given.
    folders = [Path(anylead.__file__).parents[1], Path(__file__).parents[1]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match=r"^[^\n]+shard-00000.arrow: could not be written[^\n]+$"):
        run_tasks(
            prepare_shard,
            [(SOURCE, [], OPTIONS["preparation"], tmp_path / "file" / "shard-00000.arrow")] * 2,
            jobs=2,
            backend="ray",
            finished=lambda tasks: None,
        )
    assert not ray.is_initialized()
    write_store(SOURCE, None, tmp_path / "s", jobs=2, backend="ray", progress=True, **OPTIONS)
    assert contents(tmp_path / "s") == alone
    assert not ray.is_initialized()
    assert "10/10" in capsys.readouterr().err


@pytest.mark.slow
def test_dask_makes_the_same_store(alone, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    write_store(SOURCE, None, tmp_path / "s", jobs=2, backend="dask", **OPTIONS)
    assert contents(tmp_path / "s") == alone


@pytest.mark.parametrize(
    ("backend", "module", "message"),
    [
        (
            "ray",
            "ray",
            r"backend is ray and Ray is not installed; install anylead\[ray\], or use the backend",
        ),
        (
            "dask",
            "distributed",
            r"backend is dask and Dask is not installed; install anylead\[dask\], or use the backend loky",
        ),
    ],
)
def test_a_backend_that_is_not_installed_is_told(tmp_path, monkeypatch, capsys, backend, module, message):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(dispatch, "_log_to_stderr", lambda: None)
    with pytest.raises(ConfigError, match=message):
        run_tasks(print, [], jobs=2, backend=backend, finished=print)
    line = ["prepare", "synthetic", "--patients", "1", "--out", str(tmp_path / "s"), "--backend", backend]
    assert main(line) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith(f"anylead prepare: prepare: backend is {backend}")
    )


class Cluster:
    """Stands for Ray and for Dask: a cluster of four places, or one that cannot be had."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure, self.options, self.up = failure, {}, False

    def is_initialized(self) -> bool:
        return self.up

    def init(self, **options) -> "Cluster":
        self.options = options
        if self.failure:
            raise self.failure
        self.up = True
        return self

    Client = init

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    def shutdown(self) -> None:
        self.up = False


@pytest.mark.parametrize(
    ("backend", "variable", "message"),
    [
        (
            "ray",
            None,
            r"Ray could not be started \(no sockets\); mend that, name a cluster in RAY_ADDRESS, or",
        ),
        (
            "ray",
            "RAY_ADDRESS",
            r"Ray could not be reached \(no sockets\); mend that, unset RAY_ADDRESS, or use",
        ),
        (
            "dask",
            None,
            r"Dask could not be started \(no sockets\); mend that, name a cluster in DASK_SCHEDULER_",
        ),
        (
            "dask",
            "DASK_SCHEDULER_ADDRESS",
            r"Dask could not be reached \(no sockets\); mend that, unset DASK_SC",
        ),
    ],
)
def test_a_cluster_that_cannot_be_had_is_told_in_a_sentence(monkeypatch, backend, variable, message):
    for name in ("RAY_ADDRESS", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1.2.3.4:5")
    cluster = Cluster(ConnectionError("in many lines\nno sockets."))
    monkeypatch.setattr(backends, "importlib", SimpleNamespace(import_module=lambda name: cluster))
    with pytest.raises(ConfigError, match=message):
        run_tasks(print, [], jobs=2, backend=backend, finished=print)


def test_more_jobs_than_a_ray_cluster_has_are_refused_and_ray_is_left(monkeypatch):
    cluster = Cluster()
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(backends, "importlib", SimpleNamespace(import_module=lambda name: cluster))
    with pytest.raises(
        ConfigError, match="jobs is 9 and the Ray cluster has 4 CPUs; take as many jobs, or -1"
    ):
        run_tasks(print, [], jobs=9, backend="ray", finished=print)
    assert not cluster.up
    assert "num_cpus" not in cluster.options


def test_what_a_process_raises_arrives_as_it_was(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match=r"shard-00000\.arrow: could not be written"):
        run_tasks(
            prepare_shard,
            [(SOURCE, [], OPTIONS["preparation"], tmp_path / "file" / "shard-00000.arrow")] * 2,
            jobs=2,
            finished=lambda tasks: None,
        )


def test_the_bar_counts_recordings_up_to_the_last(tmp_path, capsys):
    write_store(SOURCE, None, tmp_path / "s", jobs=2, progress=True, **OPTIONS)
    assert "10/10" in capsys.readouterr().err
    assert len(Store.open(tmp_path / "s")) == 9


def test_a_process_that_fails_in_a_cluster_is_told_in_a_sentence(monkeypatch):
    class Parallel:
        n_completed_tasks = 0

        def __init__(self, **options) -> None:
            pass

        def __call__(self, calls) -> None:
            raise RuntimeError("Traceback\n  many lines\nNo module named 'mine'")

    cluster = SimpleNamespace(
        is_initialized=lambda: True, cluster_resources=lambda: {"CPU": 4.0}, register_ray=lambda: None
    )
    monkeypatch.setattr(backends, "importlib", SimpleNamespace(import_module=lambda name: cluster))
    monkeypatch.setattr(backends.joblib, "parallel_config", lambda backend: nullcontext())
    monkeypatch.setattr(backends.joblib, "Parallel", Parallel)
    with pytest.raises(StoreError, match=r"a process of Ray failed \(No module named 'mine'\); what is fin"):
        run_tasks(print, [], jobs=2, backend="ray", finished=print)
