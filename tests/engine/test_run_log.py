import json
import sys
from types import ModuleType

import pytest

from anylead.engine.run_log import RunLog, read_run_log
from anylead.errors import ConfigError, FileError


def test_each_line_is_there_as_soon_as_it_is_written(tmp_path) -> None:
    log = RunLog(tmp_path)
    log.write({"step": 1, "loss": 2.5})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss": 2.5}
    log.close()


def test_a_number_that_is_not_finite_is_null_and_the_line_stays_json(tmp_path) -> None:
    with RunLog(tmp_path) as log:
        log.write({"step": 1, "auroc": float("nan"), "loss": float("inf")})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"step": 1, "auroc": None, "loss": None}


def test_a_resumed_run_has_every_step_once(tmp_path) -> None:
    with RunLog(tmp_path) as log:
        for step in range(1, 6):
            log.write({"step": step, "loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while writing
    assert [entry["step"] for entry in read_run_log(tmp_path)] == [1, 2, 3, 4, 5]
    with RunLog(tmp_path, resumed_step=3) as log:
        log.write({"step": 4, "loss": 40.0})
    entries = read_run_log(tmp_path)
    assert [entry["step"] for entry in entries] == [1, 2, 3, 4]
    assert entries[-1]["loss"] == 40.0


def test_a_run_without_a_log_has_no_lines(tmp_path) -> None:
    assert read_run_log(tmp_path) == []


def test_a_full_disk_is_told_in_a_sentence(tmp_path) -> None:
    log = RunLog(tmp_path)
    log.close()
    log._file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(
        FileError, match=r"metrics.jsonl: could not be written .*goes on from its last checkpoint"
    ):
        log.write({"step": 1})
    with pytest.raises(OSError, match="No space"):
        log._file.close()  # what is still in its buffer


def test_tensorboard_gets_the_numbers_where_it_is_installed(tmp_path, monkeypatch) -> None:
    written = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            written.append(("open", folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append("closed")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with RunLog(tmp_path, resumed_step=7, tensorboard=True) as log:
        log.write({"step": 8, "loss": 0.5})
    assert written == [("open", str(tmp_path / "tensorboard"), 8), ("loss", 0.5, 8), "closed"]


def test_tensorboard_that_is_not_installed_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ConfigError, match=r"tensorboard: asked for but not installed; install anylead\[tensorb"
    ):
        RunLog(tmp_path, tensorboard=True)
    assert not (tmp_path / "metrics.jsonl").exists()
