"""Who makes the shards: processes of this machine, Ray or Dask. joblib runs all of them by the same call."""

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import joblib

from anylead.errors import AnyleadError, ConfigError, StoreError, last_line

Backend = Literal["loky", "ray", "dask"]

RAY_ADDRESS = "RAY_ADDRESS"
DASK_ADDRESS = "DASK_SCHEDULER_ADDRESS"
"""Variables that name a running cluster; without them one is made on this machine for the call."""


def run_tasks(
    work: Callable[..., Any],
    tasks: Iterable[Sequence[Any]],
    *,
    jobs: int,
    backend: Backend = "loky",
    finished: Callable[[int], Any],
) -> None:
    """Calls a function once for each task, in any order, and returns when all calls have returned.

    Args:
        work: A function of a module, because other processes look it up there.
        tasks: Its arguments, call by call, asked for as processes become free.
        jobs: Processes; -1 takes all there are.
        backend: Who runs them.
        finished: Is told after each call how many have been made.

    Raises:
        ConfigError: If the backend is not installed, not reached, or has fewer places than `jobs`.
        StoreError: If a process of a cluster failed.
        Exception: What a call raised; calls that have not begun are left out.
    """
    with _workers(backend, jobs), joblib.parallel_config(backend=backend):
        parallel = joblib.Parallel(n_jobs=jobs)
        # Ray's backend gives no results before all are there, but every backend reports progress.
        parallel.print_progress = lambda: finished(parallel.n_completed_tasks)
        try:
            parallel(joblib.delayed(work)(*task) for task in tasks)
        except Exception as error:
            if backend == "loky":
                raise
            raise _as_ours(error, backend) from error


def _as_ours(error: Exception, backend: Backend) -> AnyleadError:
    """Returns our error that lies in one of a cluster's, or says in a sentence what it says in many lines."""
    ours = getattr(error, "cause", error)
    if isinstance(ours, AnyleadError):
        return ours
    return StoreError(
        f"prepare: a process of {backend.capitalize()} failed ({last_line(error)}); what is finished stays, "
        "and the same command continues there."
    )


def _workers(backend: Backend, jobs: int) -> AbstractContextManager[None]:
    if backend == "ray":
        return _ray(jobs)
    if backend == "dask":
        return _dask(jobs)
    return nullcontext()


@contextmanager
def _ray(jobs: int) -> Iterator[None]:
    try:
        ray, adapter = (importlib.import_module(name) for name in ("ray", "ray.util.joblib"))
    except ImportError as error:
        raise ConfigError(
            "prepare: backend is ray and Ray is not installed; install anylead[ray], or use the backend loky."
        ) from error
    ours = not ray.is_initialized()
    if ours:
        options = ray_options(jobs if jobs > 0 else os.cpu_count() or 1)
        _start(lambda: ray.init(**options), "Ray", RAY_ADDRESS, made=RAY_ADDRESS not in os.environ)
    try:
        _check_places(int(ray.cluster_resources().get("CPU", 0)), jobs)
        adapter.register_ray()
        yield
    finally:
        if ours:
            ray.shutdown()


def ray_options(places: int) -> dict[str, Any]:
    """Returns what ``ray.init`` is told: to make a cluster here, unless `RAY_ADDRESS` names one.

    Args:
        places: Processes that one made here has room for.
    """
    # What Ray says in many lines is said here in few, unless somebody is looking for a fault.
    aloud = bool(os.environ.get("ANYLEAD_DEBUG"))
    options = {"log_to_driver": aloud, "logging_level": logging.INFO if aloud else logging.ERROR}
    if RAY_ADDRESS in os.environ:
        return options
    # Ray would report the use of a cluster to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return options | {"address": "local", "num_cpus": places, "include_dashboard": False}


@contextmanager
def _dask(jobs: int) -> Iterator[None]:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigError(
            "prepare: backend is dask and Dask is not installed; install anylead[dask], "
            "or use the backend loky."
        ) from error
    made = DASK_ADDRESS not in os.environ
    options: dict[str, Any] = {"set_as_default": True}
    if made:
        places = jobs if jobs > 0 else os.cpu_count() or 1
        options |= {"n_workers": places, "threads_per_worker": 1, "dashboard_address": None}
    else:
        options["address"] = os.environ[DASK_ADDRESS]
    client = _start(lambda: distributed.Client(**options), "Dask", DASK_ADDRESS, made=made)
    try:
        yield
    finally:
        client.close()
        if client.cluster is not None:
            client.cluster.close()


def _start(begin: Callable[[], Any], name: str, variable: str, *, made: bool) -> Any:
    try:
        return begin()
    except Exception as error:  # of many kinds, from files and sockets to the cluster's own
        raise ConfigError(
            f"prepare: {name} could not be {'started' if made else 'reached'} ({last_line(error)}); mend "
            f"that, {'name a cluster in' if made else 'unset'} {variable}, or use the backend loky."
        ) from error


def _check_places(places: int, jobs: int) -> None:
    if jobs > places:
        raise ConfigError(
            f"prepare: jobs is {jobs} and the Ray cluster has {places} CPUs; "
            "take as many jobs, or -1 for all there are."
        )
