"""Two processes give what one gives: real processes, gloo."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from anylead.engine.distributed import Processes, joined_processes
from anylead.errors import ConfigError, FileError, TrainingError
from anylead.nn.across import ALONE
from anylead.preparation import Preparation
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, write_store
from small_objectives import SMALL

SCRIPT = Path(__file__).with_name("two_processes.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def close(a, b):
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    return bool((a - b).abs().max() <= 1e-9 * max(1.0, float(b.abs().max())))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    write_store(
        Synthetic(patients=12, sessions=1),
        None,
        folder / "store",
        preparation=Preparation.default(rate_hz=100.0),
        split=SplitConfig(),
    )
    for command in ([sys.executable], TORCHRUN):
        line = [*command, str(SCRIPT), str(folder / "store"), str(folder)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return {path.stem: torch.load(path) for path in folder.glob("*.pt")}


@pytest.mark.parametrize(
    "share",
    ["micro_batches", "pairs", *SMALL, *(f"{name}, micro_batches" for name in ("heartlang", "hubert"))],
)
def test_two_processes_give_what_one_gives(found, share):
    """Shared micro-batches: as two accumulated ones. Shared pairs: as one batch of twice the size, code
    statistics and the contrast between segments included; for every objective, teachers included."""
    alone = found["1-0"][share]
    assert len(alone["steps"]) == 5
    for rank in (0, 1):
        together = found[f"2-{rank}"][share]
        for mine, theirs in zip(alone["steps"], together["steps"], strict=True):
            assert mine.keys() == theirs.keys()
            for name in mine:
                assert close(theirs[name], mine[name]), name
        for mine, theirs in zip(alone["parameters"], together["parameters"], strict=True):
            assert close(theirs, mine)


def test_both_processes_end_with_the_same_weights(found):
    for share in ("micro_batches", "pairs"):
        pairs = zip(found["2-0"][share]["parameters"], found["2-1"][share]["parameters"], strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_alone_everything_is_a_local_matter():
    one = Processes()
    x = torch.randn(3)
    assert one.sum(x) is x
    assert one.any(True)
    assert not one.any(False)
    assert one.from_main(lambda: 3) == 3
    with pytest.raises(FileError, match="full"):
        one.from_main(fail)
    assert ALONE.rows(x) is ALONE.total(x) is ALONE.mean(x, weight=x.sum()) is x
    assert ALONE.counted_once(x[0]).equal(x[0])


def fail():
    raise FileError("the disk is full")


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with joined_processes(accelerator=False) as processes:
        assert processes == Processes()


def test_a_group_that_is_there_is_used_and_left_and_one_of_it_that_is_gone_is_told(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/met", rank=0, world_size=1)
    try:
        with joined_processes(accelerator=False) as processes:
            assert (processes.rank, processes.world_size, processes.abandoned) == (0, 1, False)
        sentence = (
            r"process 0: another process of the run is gone \(Connection closed by peer\); see what it said"
        )
        with pytest.raises(TrainingError, match=sentence), joined_processes(accelerator=False):
            raise RuntimeError("Connection closed by peer\nmore")
        with pytest.raises(RuntimeError, match="another matter"), joined_processes(accelerator=False):
            raise RuntimeError("another matter")
        assert dist.is_initialized()
    finally:
        dist.destroy_process_group()


def test_variables_that_make_no_sense_are_refused(monkeypatch):
    for name, value in (("RANK", "first"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="could not join the others"), joined_processes(accelerator=False):
        pass
