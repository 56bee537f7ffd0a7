"""How long windows take in torch, and as ONNX files in each precision.

    python benchmarks/onnx_latency.py --out benchmarks/results/onnx.json [--sizes tiny mini base]

Encoders with fresh weights, windows of synthetic patients, twelve leads at 500 Hz. In each cell all systems
take turns in one process: a pause, calls that are not counted, then the counted ones. The first system is
torch in single precision as `Bundle.embed` runs it; how much faster another one is, is the median over the
rounds of a cell of what it was in each.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.export.contract import OnnxContract
from anylead.export.onnx_file import graph_of, write_graph
from anylead.feed.collate import collate
from anylead.preparation import Preparation
from anylead.provenance import environment
from anylead.sources.synthetic import Synthetic

PRECISIONS = ("float32", "bfloat16", "int8")
PAUSE_S = 0.05
"""Longer than threads of a runtime wait for more work before they leave the core to others."""
WARM_UP_S, TURN_S = 0.02, 0.15
"""How long a system is called without and with a clock when it is its turn."""

Run = Callable[[], np.ndarray]


def synthetic_windows(rows: int, samples: int, *, leads: Sequence[str], rate: float) -> Batch:
    source = Synthetic(patients=rows, sessions=1, seed=0, duration_s=samples / rate)
    prepare = Preparation.default()
    records = [prepare(source.load(ref)) for ref in source.scan(Path())]
    return collate(
        [(record.signal[:, :samples], record.leads) for record in records],
        leads=tuple(leads),
        sampling_rate_hz=rate,
    )


def in_torch(bundle: Bundle, batch: Batch, *, autocast: bool) -> Run:
    read = bundle.reader()

    def run() -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return read(batch).float().numpy()

    return run


def in_onnxruntime(session: onnxruntime.InferenceSession, batch: Batch) -> Run:
    inputs = {name: getattr(batch, name).numpy() for name in ("signal", "lead_mask", "sample_mask")}
    return lambda: session.run(["embedding"], inputs)[0]


def race(systems: dict[str, Run], *, seconds: float, rounds: int) -> dict[str, dict]:
    """Lets the systems take turns until there were `rounds`, or `seconds` are over after the third."""
    turns: dict[str, list[list[float]]] = {name: [] for name in systems}
    given: dict[str, np.ndarray] = {}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - start > seconds:
            break
        for name, run in systems.items():
            time.sleep(PAUSE_S)
            given[name] = run()
            calls(run, WARM_UP_S)
            turns[name].append(calls(run, TURN_S))
    first = next(iter(systems))
    told = {}
    for name, spent in turns.items():
        a, b = given[name], given[first]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        times = [one for turn in spent for one in turn]
        # Round by round: what slows the machine for a while slows both.
        faster = [np.median(x) / np.median(y) for x, y in zip(turns[first], spent, strict=True)]
        told[name] = {
            "median_ms": round(1e3 * statistics.median(times), 2),
            "min_ms": round(1e3 * min(times), 2),
            "calls": len(times),
            "times_as_fast": round(float(np.median(faster)), 2),
            "quartiles": [round(float(one), 2) for one in np.percentile(faster, [25, 75])],
            "largest_difference": float(f"{np.abs(a - b).max():.2g}"),
            "cosine": round(float(cosine.min()), 6),
        }
    return told


def calls(run: Run, seconds: float) -> list[float]:
    """Calls until the time is over, at least once; returns what each call took."""
    spent: list[float] = []
    while sum(spent) < seconds:
        before = time.perf_counter()
        run()
        spent.append(time.perf_counter() - before)
    return spent


class OtherWork:
    """How many cores other processes keep busy, from here on."""

    def __init__(self) -> None:
        self.start = self._now()

    def cores(self) -> float | None:
        if self.start is None:
            return None
        busy, own, wall = (b - a for a, b in zip(self.start, self._now() or self.start, strict=True))
        return round((busy - own) / wall, 2) if wall else None

    def _now(self) -> tuple[float, float, float] | None:
        try:
            ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        except OSError:
            return None
        own = os.times()
        busy_s = (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return busy_s, own.user + own.system, time.perf_counter()


def measure(
    size: str, cells: Sequence[tuple[int, int]], *, threads: int, seconds: float, rounds: int
) -> dict:
    torch.manual_seed(0)
    encoder = build_encoder(ConvTransformerConfig.named(size))
    bundle = Bundle.assemble(encoder, preparation=Preparation.default()).eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    told: dict = {"encoder": size, "parameters": sum(p.numel() for p in encoder.parameters())}
    with tempfile.TemporaryDirectory() as folder:
        contract = OnnxContract.of(bundle, precision="float32")
        start = time.perf_counter()
        graph = graph_of(bundle, contract)
        told["export_s"] = round(time.perf_counter() - start, 1)
        sessions, told["file_bytes"] = {}, {}
        for precision in PRECISIONS:
            path = Path(folder) / f"{precision}.onnx"
            write_graph(graph, path, replace(contract, precision=precision))
            told["file_bytes"][precision] = path.stat().st_size
            sessions[precision] = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        told["cells"] = []
        for rows, samples in cells:
            batch = synthetic_windows(rows, samples, leads=encoder.leads, rate=encoder.sampling_rate_hz)
            systems = {
                "torch float32": in_torch(bundle, batch, autocast=False),
                "torch bfloat16": in_torch(bundle, batch, autocast=True),
                **{f"onnx {name}": in_onnxruntime(session, batch) for name, session in sessions.items()},
            }
            others = OtherWork()
            found = race(systems, seconds=seconds, rounds=rounds)
            told["cells"].append(
                {"batch": rows, "samples": samples, "cores_taken_by_others": others.cores(), "systems": found}
            )
            print(size, rows, samples, {name: one["median_ms"] for name, one in found.items()}, flush=True)
    return told


def processor() -> dict:
    """What the processor is, and whether it multiplies short numbers."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    told = {name.strip(): value.strip() for name, value in told.items()}
    short = {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
    return {"name": told.get("model name"), "has": sorted(short & set(told.get("flags", "").split()))}


def table(result: dict) -> str:
    """Markdown: a row a cell; milliseconds, and how many times as fast as torch in single precision."""
    names = list(result["runs"][0]["cells"][0]["systems"])
    lines = ["| encoder | windows | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for run in result["runs"]:
        for cell in run["cells"]:
            cells = [
                f"{one['median_ms']:.1f} ms" + (f" ({one['times_as_fast']:.2f}x)" if place else "")
                for place, one in enumerate(cell["systems"].values())
            ]
            where = f"| {run['encoder']} | {cell['batch']} x {cell['samples']} | "
            lines.append(where + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "mini", "base"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a cell, about")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()
    cells = [(1, 2500), (8, 2500), (1, 5000)]
    runs = [
        measure(size, cells, threads=options.threads, seconds=options.seconds, rounds=options.rounds)
        for size in options.sizes
    ]
    result = {
        "threads": options.threads,
        "load_before": load,
        "processor": processor(),
        "onnxruntime": onnxruntime.__version__,
        "runs": runs,
        "environment": environment(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
