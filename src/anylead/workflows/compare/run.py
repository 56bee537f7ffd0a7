"""Carries out a comparison: every run once, each in a process of its own, and one page of all there is."""

import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from tqdm import tqdm

from anylead.config import to_plain
from anylead.encoders import ENCODERS, AnyEncoderConfig
from anylead.engine import stop_on_signals
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.store import Store
from anylead.workflows.compare.grid import Cell, CompareConfig, cells_of, slug
from anylead.workflows.compare.one import (
    RUN,
    Run,
    baseline_encoder,
    carry_out,
    read_run,
    write_failure,
)
from anylead.workflows.compare.page import write_page

RUNS, BASELINES = "runs", "baselines"
_POLL_S = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """What a comparison came to."""

    page: Path
    done: int
    """Runs that are trained and judged, earlier times included."""
    failed: int
    not_applicable: int
    waiting: int
    """Runs that are yet to be made."""
    by_user: bool = False
    """Whether it was stopped by Ctrl-C."""


def compare(config: CompareConfig) -> CompareResult:
    """Trains and judges every cell of a grid and what it has to be compared with, and writes one page.

    Runs that are there and of the same settings are used again; those that failed are tried again. Stopped or
    killed, the same command goes on: a cell resumes its training from its last checkpoint.

    Raises:
        ConfigError: If the grid names a thing that does not exist, or the folder holds other runs of these
            names.
        StoreError: If a store cannot be opened.
        FileError: If the disk refuses.
    """
    stores = tuple(Store.open(path) for path in config.stores)
    cells = cells_of(config)
    _check_names(config, cells)
    baselines = baseline_runs(config, cells, stores)
    with stop_on_signals() as stop:
        chosen = _Work(config, stores, lambda: stop.asked)
        chosen.carry_out([run for run in baselines if _is_wanted(run, config)])
        trained = dict(_tuned(config, cells, chosen))
        planned = [
            run for cell in cells if cell.pretrain for run in runs_of(cell, config, trained[cell.name])
        ]
        chosen.carry_out([run for run in planned if _is_wanted(run, config)])
        by_user = stop.by_user
    page = write_page(config, stores, cells, [*baselines, *planned])
    ends = Counter(chosen.ended(run) for run in (*baselines, *planned))
    refused = sum(bool(cell.refused) for cell in cells)
    return CompareResult(
        page=page,
        done=ends["done"],
        failed=ends["failed"],
        not_applicable=ends["not applicable"] + refused,
        waiting=ends[""],
        by_user=by_user,
    )


def runs_of(cell: Cell, config: CompareConfig, rate: float | None) -> list[Run]:
    """Returns the runs of a cell, one a seed."""
    return [_run(cell, config, seed, rate) for seed in range(cell.seeds)]


def _run(cell: Cell, config: CompareConfig, seed: int, rate: float | None) -> Run:
    assert cell.pretrain is not None
    settings, name = cell.pretrain, f"seed-{seed}"
    if rate is not None:
        settings = replace(settings, optimizer=replace(settings.optimizer, learning_rate=rate))
        name += f"-rate-{rate:g}"
    return Run(
        kind="pretrained",
        name=cell.name,
        folder=config.out / RUNS / cell.name / name,
        seed=seed,
        pretrain=settings,
        with_curve=seed == 0,
    )


def baseline_runs(config: CompareConfig, cells: Sequence[Cell], stores: Sequence[Store]) -> list[Run]:
    """Returns what every way has to be compared with: untrained, supervised, hand-made.

    Raises:
        ConfigError: If there is no such encoder.
    """
    folder = config.out / BASELINES
    runs = [Run(kind="hand-made", name="hand-made features", folder=folder / "hand-made")]
    leads = STANDARD_12
    for name, encoder in untrained_encoders(cells).items():
        leads = encoder.leads
        for seed in range(config.untrained_seeds):
            place = folder / slug(name) / f"seed-{seed}"
            runs.append(Run(kind="untrained", name=name, folder=place, seed=seed, encoder=encoder))
    for named in config.supervised:
        name = f"supervised {named}"
        encoder = baseline_encoder(named, stores, leads)
        runs.append(Run(kind="supervised", name=name, folder=folder / slug(name) / "seed-0", encoder=encoder))
    return runs


def untrained_encoders(cells: Sequence[Cell]) -> dict[str, AnyEncoderConfig]:
    """Returns every encoder that occurs, by its untrained row's name: its kind, and what it differs in."""
    found: dict[str, AnyEncoderConfig] = {}
    for cell in cells:
        if cell.pretrain is None or cell.pretrain.encoder_config in found.values():
            continue
        encoder = cell.pretrain.encoder_config
        kind = next(name for name, (known, _) in ENCODERS.items() if type(encoder) is known)
        first = next((one for one in found.values() if type(one) is type(encoder)), encoder)
        plain, usual = to_plain(encoder), to_plain(first)
        changes = [f"{name} {value}" for name, value in plain.items() if value != usual[name]]
        found[", ".join([f"untrained {kind}", *changes])] = encoder
    return found


def _tuned(config: CompareConfig, cells: Sequence[Cell], work: "_Work") -> list[tuple[str, float | None]]:
    """Returns each cell's learning rate: of several, the one that validation recordings prefer."""
    rates = config.learning_rates
    usable = [cell for cell in cells if cell.pretrain is not None]
    if not rates:
        return [(cell.name, None) for cell in usable]
    tried = {cell.name: {rate: _run(cell, config, 0, rate) for rate in rates} for cell in usable}
    every = [run for runs in tried.values() for run in runs.values()]
    work.carry_out([run for run in every if _is_wanted(run, config)])

    def score(run: Run) -> float:
        readout = read_run(run.folder).get("readout") or {}
        return float(readout.get("score") or 0.0)

    return [(name, max(runs, key=lambda rate: score(runs[rate]))) for name, runs in tried.items()]


def _check_names(config: CompareConfig, cells: Sequence[Cell]) -> None:
    known = {cell.name for cell in cells} | {place.row for cell in cells for place in cell.places}
    for name in config.only:
        if name not in known:
            raise ConfigError(
                f"compare: there is no row or cell {name!r}; there are {', '.join(sorted(known))}."
            )


def _is_wanted(run: Run, config: CompareConfig) -> bool:
    if not config.only or run.kind != "pretrained":
        return not config.only
    return run.name in config.only or any(run.name.startswith(f"{slug(name)}-") for name in config.only)


class _Work:
    """Carries out runs in processes of their own, some at a time, until it is asked to stop."""

    def __init__(self, config: CompareConfig, stores: Sequence[Store], stop: Callable[[], bool]) -> None:
        self.config = config
        self.stores = stores
        self.stop = stop
        self._keys: dict[Path, str] = {}

    def ended(self, run: Run) -> str:
        """Returns how a run ended, empty where it has not.

        Raises:
            ConfigError: If the folder holds a run of other settings.
        """
        found = read_run(run.folder)
        if not found:
            return ""
        key = self._keys.setdefault(run.folder, run.key(self.config, self.stores))
        if found.get("key") != key:
            raise ConfigError(
                f"{run.folder}: holds {run.label} of other settings, recordings or budget; "
                "take another --out, or remove the folder to make it anew."
            )
        return str(found.get("status", ""))

    def carry_out(self, runs: Sequence[Run]) -> None:
        """Carries out those that have not ended well."""
        ends = [self.ended(run) for run in runs]
        waiting = [run for run, end in zip(runs, ends, strict=True) if end in ("", "failed")]
        active: list[tuple[Run, BaseProcess]] = []
        done = len(runs) - len(waiting)
        with tqdm(total=len(runs), initial=done, unit="run", disable=not self.config.progress) as bar:
            while active or (waiting and not self.stop()):
                while waiting and len(active) < self.config.parallel and not self.stop():
                    run = waiting.pop(0)
                    active.append((run, _started(run, self.config)))
                    bar.set_postfix_str(run.label)
                for run, process in [one for one in active if not one[1].is_alive()]:
                    active.remove((run, process))
                    self._finish(run, process)
                    bar.update()
                if self.stop():
                    # Training saves and ends; judging begins anew the next time.
                    for _, process in active:
                        process.terminate()
                time.sleep(_POLL_S)

    def _finish(self, run: Run, process: BaseProcess) -> None:
        process.join()
        if not read_run(run.folder) and process.exitcode and not self.stop():
            how = f"signal {-process.exitcode}" if process.exitcode < 0 else f"exit code {process.exitcode}"
            reason = f"its process ended by {how}, which may be for want of memory; run it again."
            write_failure(run, self.config, self.stores, reason)
        found = read_run(run.folder)
        if found.get("status") in ("failed", "not applicable"):
            _log.warning("%s: %s: %s", run.label, found["status"], found.get("reason"))


def _started(run: Run, config: CompareConfig) -> BaseProcess:
    (run.folder / RUN).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=carry_out, args=(run, config))
    process.start()
    return process
