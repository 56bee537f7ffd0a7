"""What is left of a training run when its processes are killed, stopped, or find the disk full?

    python benchmarks/faults.py --out benchmarks/results/faults.json [--kills 6]

Real processes (torchrun, gloo, two of them) on a small synthetic store. Each case ends with the same command
run again to its end, by the number of processes it names, and says whether the weights are those of a run
that nothing happened to: bit for bit where the number of processes is the same all along, to rounding
otherwise.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from anylead.engine import read_run_log
from anylead.engine.checkpoint import checkpoints
from anylead.preparation import Preparation
from anylead.provenance import environment, write_json
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, write_store

LIMIT_S = 180.0
STEPS = 80
SETTINGS = [
    *("--steps", str(STEPS), "--log-every", "1", "--threads", "1", "--device", "cpu"),
    *(
        "--encoder.conv-channels",
        "8",
        "--encoder.dimension",
        "16",
        "--encoder.layers",
        "1",
        "--encoder.heads",
        "2",
    ),
    *("--encoder.feedforward", "16", "--encoder.position-kernel", "4", "--encoder.position-groups", "2"),
    *("--encoder.sampling-rate-hz", "100", "--objective.span", "2", "--objective.negatives", "4"),
    *("--objective.entries", "8", "--objective.final-dimension", "8", "--feed.pairs-per-batch", "4"),
    *("--feed.micro-batches", "2", "--feed.crop", "random", "--optimizer.learning-rate", "1e-3"),
]


def line(store: Path, out: Path, processes: int, *more: str) -> list[str]:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [
        *launcher,
        "-m",
        "anylead",
        "pretrain",
        "--store",
        str(store),
        "--out",
        str(out),
        *SETTINGS,
        *more,
    ]


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=LIMIT_S)
    return process.returncode, said


def wait_for(out: Path, process: subprocess.Popen[str], steps: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while len(read_run_log(out)) < steps:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the run ended before step {steps}: {finish(process)[1][:3000]}")
        time.sleep(0.005)


def ranks(launcher: subprocess.Popen[str]) -> list[int]:
    return [
        int(pid) for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    ]


def weights(out: Path) -> dict[str, torch.Tensor]:
    content = torch.load(checkpoints(out / "checkpoints")[-1], weights_only=True)
    return {
        f"{part}.{name}": value for part in ("encoder", "objective") for name, value in content[part].items()
    }


def compared(out: Path, reference: Path) -> dict[str, Any]:
    mine, theirs = weights(out), weights(reference)
    gaps = [float((mine[name] - theirs[name]).abs().max()) for name in mine]
    return {"bit_equal": all(torch.equal(mine[n], theirs[n]) for n in mine), "largest_difference": max(gaps)}


def last_step(out: Path) -> int:
    found = checkpoints(out / "checkpoints")
    return int(found[-1].stem.split("-")[1]) if found else 0


class Faults:
    """Runs the cases, all on one store."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.store = folder / "store"
        write_store(
            Synthetic(patients=12, sessions=1),
            None,
            self.store,
            preparation=Preparation.default(rate_hz=100.0),
            split=SplitConfig(),
        )
        self.reference = {}
        for processes in (1, 2):
            out = folder / f"undisturbed-{processes}"
            code, said = finish(start(line(self.store, out, processes)))
            assert code == 0, said
            self.reference[processes] = out

    def nameless(self, text: str) -> str:
        """Returns what was said without the folder of this machine."""
        return text.replace(f"{self.folder}/", "")

    def case(
        self,
        name: str,
        disturb: Callable[[subprocess.Popen[str], Path], None],
        *,
        before: int = 2,
        after: int = 2,
        more: tuple[str, ...] = ("--checkpoint-minutes", "0"),
    ) -> dict[str, Any]:
        out = self.folder / f"{name.replace(' ', '-')}-{self.random.getrandbits(32)}"
        process = start(line(self.store, out, before, *more))
        wait_for(out, process, self.random.randint(3, STEPS // 2))
        began = time.monotonic()
        disturb(process, out)
        code, said = finish(process)
        ended_s = time.monotonic() - began
        saved, logged = last_step(out), len(read_run_log(out))
        again, told = finish(start(line(self.store, out, after)))
        result = {
            "case": name,
            "processes": [before, after],
            "exit_code": code,
            "all_ended_after_s": round(ended_s, 1),
            "logged_step": logged,
            "saved_step": saved,
            "exit_code_again": again,
            "steps_in_log": [entry["step"] for entry in read_run_log(out)] == list(range(1, STEPS + 1)),
        }
        passed_over = next((text for text in told.splitlines() if "it is passed over" in text), None)
        if passed_over:
            result["sentence_again"] = self.nameless(passed_over)
        result |= compared(out, self.reference[after]) if again == 0 else {"said": self.nameless(told)[:1500]}
        if "Traceback" in told or (code not in (0, -9) and before == 1 and "Traceback" in said):
            result["traceback"] = True
        print(json.dumps(result), flush=True)
        return result


def kill(pids: Callable[[subprocess.Popen[str]], list[int]], number: int) -> Any:
    def disturb(process: subprocess.Popen[str], out: Path) -> None:
        for pid in pids(process):
            os.kill(pid, number)

    return disturb


def kill_while_writing(process: subprocess.Popen[str], out: Path) -> None:
    """Kills all when a checkpoint that is being written is seen."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if any(path.name.endswith(".partial") for path in os.scandir(out / "checkpoints")):
            for pid in [*ranks(process), process.pid]:
                os.kill(pid, signal.SIGKILL)
            return


def damage_last(process: subprocess.Popen[str], out: Path) -> None:
    """Stops the run, then flips bytes in the newest checkpoint."""
    for pid in ranks(process):
        os.kill(pid, signal.SIGTERM)
    process.wait(LIMIT_S)
    newest = checkpoints(out / "checkpoints")[-1]
    raw = bytearray(newest.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 16] = bytes(byte ^ 0xFF for byte in raw[middle : middle + 16])
    newest.write_bytes(raw)


def disk_full(faults: Faults) -> dict[str, Any]:
    """A limit on the size of files, which gives the error of a full disk at the first checkpoint."""
    out = faults.folder / "full"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, said = finish(start(line(faults.store, out, 2, "--checkpoint-minutes", "0"), preexec_fn=limit))
    again, _ = finish(start(line(faults.store, out, 2)))
    result = {
        "case": "disk full",
        "processes": [2, 2],
        "exit_code": code,
        "sentence": next(
            (faults.nameless(text) for text in said.splitlines() if "could not be written" in text), None
        ),
        "exit_code_again": again,
        **compared(out, faults.reference[2]),
    }
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kills", type=int, default=6, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(Path(folder), options.seed)
        found = []
        for _ in range(options.kills):
            found.append(faults.case("kill -9 of one", kill(lambda p: ranks(p)[-1:], signal.SIGKILL)))
            everyone = kill(lambda p: [*ranks(p), p.pid], signal.SIGKILL)
            found.append(faults.case("kill -9 of all", everyone))
            found.append(faults.case("kill -9 while writing a checkpoint", kill_while_writing))
        found.append(faults.case("SIGTERM to the processes", kill(ranks, signal.SIGTERM)))
        found.append(faults.case("SIGTERM to torchrun", kill(lambda p: [p.pid], signal.SIGTERM)))
        found.append(
            faults.case(
                "SIGTERM to a single process", kill(lambda p: [p.pid], signal.SIGTERM), before=1, after=1
            )
        )
        found.append(faults.case("last checkpoint damaged", damage_last))
        found.append(
            faults.case("killed, 2 then 1 process", kill(lambda p: ranks(p)[:1], signal.SIGKILL), after=1)
        )
        found.append(
            faults.case(
                "killed, 1 then 2 processes", kill(lambda p: [p.pid], signal.SIGKILL), before=1, after=2
            )
        )
        found.append(disk_full(faults))
    if options.out is not None:
        write_json(options.out, {"cases": found, "steps": STEPS, "environment": environment()})


if __name__ == "__main__":
    main()
