"""anylead pretrain in several processes, as torchrun starts it, and what is left when some are killed.

benchmarks/faults.py does more of this, more often.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from test_pretrain import content, lines, prepared, small_run

from anylead.config import to_plain
from anylead.engine import read_run_log
from anylead.engine.checkpoint import checkpoints
from anylead.feed import PairFeedConfig

ONE = [sys.executable, "-m", "anylead"]
TWO = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "anylead",
]
LIMIT_S = 90.0


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("processes") / "store")


def command(launcher: list[str], store: Path, out: Path, *, steps: int, **changes) -> list[str]:
    feed = PairFeedConfig(pairs_per_batch=4, micro_batches=2, crop="random")
    plain = to_plain(replace(small_run(store, out, steps=steps, feed=feed), **changes))
    recipe = out.with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump({k: v for k, v in plain.items() if k not in ("stores", "out")}))
    return [*launcher, "pretrain", "--recipe", str(recipe), "--store", str(store), "--out", str(out)]


def run(line: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def started(line: list[str], out: Path, *, steps: int) -> subprocess.Popen:
    """Starts a run and waits until it has logged some steps."""
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + LIMIT_S
    while len(read_run_log(out)) < steps:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def ranks_of(launcher: subprocess.Popen) -> list[int]:
    listed = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(pid) for pid in listed]


def ended(process: subprocess.Popen) -> str:
    """Waits for the end, which has to come, and returns what was said."""
    said, _ = process.communicate(timeout=LIMIT_S)
    return said


def close_runs(a: Path, b: Path) -> None:
    first, second = content(a), content(b)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, tuple):
            dtype, shape, raw = value
            theirs = torch.frombuffer(bytearray(second[name][2]), dtype=second[name][0])
            mine = torch.frombuffer(bytearray(raw), dtype=dtype)
            assert second[name][1] == shape
            assert torch.allclose(mine.double(), theirs.double(), rtol=1e-3, atol=1e-4), name


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory) -> Path:
    """A run of one process that nothing happened to."""
    out = tmp_path_factory.mktemp("alone") / "run"
    done = run(command(ONE, store, out, steps=60))
    assert done.returncode == 0, done.stderr
    return out


def test_one_of_two_is_killed_and_one_process_goes_on(store, alone, tmp_path):
    out = tmp_path / "run"
    # A checkpoint after every step, so that the kill falls before, into or behind the writing of one.
    launcher = started(command(TWO, store, out, steps=60, checkpoint_minutes=0.0, log_every=1), out, steps=10)
    os.kill(ranks_of(launcher)[-1], signal.SIGKILL)
    said = ended(launcher)
    assert launcher.returncode != 0, said
    saved = int(checkpoints(out / "checkpoints")[-1].stem.split("-")[1])
    assert saved >= 10
    done = run(command(ONE, store, out, steps=60))
    assert done.returncode == 0, done.stderr
    assert f"goes on after step {saved} of 60" in done.stderr
    assert [line["step"] for line in lines(out)] == list(range(1, 61))
    close_runs(out, alone)


def test_asked_to_stop_two_processes_finish_the_step_and_two_go_on(store, alone, tmp_path):
    out = tmp_path / "run"
    launcher = started(command(TWO, store, out, steps=60, log_every=1), out, steps=5)
    for rank in ranks_of(launcher):
        os.kill(rank, signal.SIGTERM)
    said = ended(launcher)
    assert launcher.returncode == 0, said
    stopped = len(lines(out))
    assert f"stopped after step {stopped} of 60" in said
    assert said.count("the same command continues") == 1, "one process speaks for all"
    done = run(command(TWO, store, out, steps=60))
    assert done.returncode == 0, done.stderr
    close_runs(out, alone)
