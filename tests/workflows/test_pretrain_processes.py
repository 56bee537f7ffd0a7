"""anylead pretrain in several processes, as torchrun and Ray start it, and what is left when some are killed.

benchmarks/faults.py does more of this, more often.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
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
def together(store, tmp_path_factory) -> Path:
    """A run of two processes that nothing happened to; test_distributed.py says that it is that of one."""
    out = tmp_path_factory.mktemp("together") / "run"
    done = run(command(TWO, store, out, steps=60))
    assert done.returncode == 0, done.stderr
    return out


def test_one_of_two_is_killed_and_one_process_goes_on(store, together, tmp_path):
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
    close_runs(out, together)


def test_asked_to_stop_two_finish_the_step_and_go_on_bit_equal_from_the_checkpoint_that_can_be_read(
    store, together, tmp_path
):
    out = tmp_path / "run"
    launcher = started(command(TWO, store, out, steps=60, checkpoint_minutes=0.0, log_every=1), out, steps=5)
    for rank in ranks_of(launcher):
        os.kill(rank, signal.SIGTERM)
    said = ended(launcher)
    assert launcher.returncode == 0, said
    stopped = len(lines(out))
    assert f"stopped after step {stopped} of 60" in said
    assert said.count("the same command continues") == 1, "one process speaks for all"
    last = checkpoints(out / "checkpoints")[-1]
    assert last.name == f"checkpoint-{stopped:08d}.pt"
    last.write_bytes(last.read_bytes()[:5000])
    done = run(command(TWO, store, out, steps=60))
    assert done.returncode == 0, done.stderr
    assert f"{last.name}: cannot be read" in done.stderr
    assert f"goes on after step {stopped - 1} of 60" in done.stderr
    assert content(out) == content(together)


def small_files() -> None:
    """Gives a process the error of a full disk where it writes much."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_where_the_disk_is_full_no_process_waits_for_the_one_that_writes(store, tmp_path):
    line = command(TWO, store, tmp_path / "run", steps=60, checkpoint_minutes=0.0)
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=LIMIT_S, check=False, preexec_fn=small_files
    )
    assert done.returncode == 1
    assert "checkpoint-00000001.pt: could not be written" in done.stderr
    assert "process 1: stops because the main process failed" in done.stderr


RAY = """
import sys
from anylead.cli import main
from anylead.workflows.pretrain_ray import cluster
with cluster(2):
    print(*[main(command.split()) for command in sys.argv[1:]])
"""


@pytest.mark.slow
def test_ray_gives_what_torchrun_gives_and_tells_a_mistake_in_a_sentence(store, together, tmp_path):
    out, wrong = tmp_path / "run", tmp_path / "wrong"
    right = command(["--backend", "ray", "--workers", "2"], store, out, steps=60)
    mistaken = command(["--backend", "ray"], store, wrong, steps=60, encoder="tiny")
    words = [" ".join(["pretrain", *(w for w in line if w != "pretrain")]) for line in (mistaken, right)]
    with tempfile.TemporaryDirectory() as short:  # its sockets must have short names
        surroundings = {
            **os.environ,
            "HOME": short,
            "RAY_TMPDIR": short,
            "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        }
        done = subprocess.run(
            [sys.executable, "-c", RAY, *words],
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=4 * LIMIT_S,
            check=False,
        )
    assert done.stdout.splitlines()[-1:] == ["2 0"], done.stderr
    assert f"{out / 'bundle'}: trained for 60 steps" in done.stdout
    assert content(out) == content(together)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in together.iterdir())
    # What the worker raised, and no more.
    assert (
        "anylead pretrain: pretrain: the stores have 100 Hz and the encoder is built for 500 Hz"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not wrong.exists()
    assert "10 pairs of 10 recordings are fed." in done.stderr, "what the first worker says is passed on"
