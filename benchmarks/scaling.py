"""What does a second process bring, and what would many nodes?

    python benchmarks/scaling.py --out benchmarks/results/scaling.json [--note "nothing else ran"]
    python benchmarks/scaling.py --pages benchmarks/results/scaling.json

The first measures on this machine, for each size: segments a second of one process with one thread, of two
with one thread each (torchrun, gloo, both shares) and of one with two threads; the time of a step's feed,
from the store to the batch; the time in which two processes sum that many gradients; bytes a step. It is the
whole update of ``anylead pretrain`` on a synthetic store: feed a step ahead, draws, losses, AdamW. Every case
runs in processes of its own; cases alternate in rounds, forwards and backwards, so that the machine's noise
meets all of them. About five minutes.

The second writes the tables of docs/scaling.md and its figure: what was measured, and `step_time`, a model of
the step on nodes with accelerators. Nothing of the model was measured on an accelerator.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
FIGURE = ROOT / "docs" / "scaling.svg"


# --- the model: plain arithmetic ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a network costs, whatever it runs on."""

    parameters: int
    """Encoder and objective."""
    flop_a_segment: float
    """Forward and backward, dense products only (benchmarks/step.py)."""
    share_of_peak: float
    """Of the accelerator's rate that a step reaches. An assumption."""
    segments_a_step: int = 128
    """Of one device, in one micro-batch: 64 pairs, as in the paper."""
    stored_bytes_a_segment: float = 12 * 2500 * 2
    """12 leads of 5 s at 500 Hz as 16-bit integers."""
    feed_s_a_segment: float = 0.0
    """From the store to the batch, one thread."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Equal nodes of some accelerators each, all of it assumed: makers' figures, taken cautiously."""

    devices_a_node: int = 8
    device_flops: float = 312e12
    """Products in bfloat16 a second (NVIDIA A100, its maker's figure)."""
    inside_bytes_s: float = 150e9
    """What a device sends to its neighbour within the node while all do."""
    inside_latency_s: float = 10e-6
    """Of one message within a node."""
    network_bytes_s: float = 10e9
    """What a node sends to another: a 100 Gbit/s adapter, at 80 %."""
    network_latency_s: float = 30e-6
    """Of one message between nodes."""
    storage_bytes_s: float = 2e9
    """What a node reads from the store on a disk of its own."""
    launch_s: float = 5e-3
    """Of a step, in which the device waits for the host."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds of one update by what they go into."""

    compute_s: float
    all_reduce_s: float
    data_s: float

    @property
    def total_s(self) -> float:
        """Batches are made while the step before computes; the all-reduce is taken to hide behind nothing."""
        return max(self.compute_s + self.all_reduce_s, self.data_s)


def ring_s(members: int, size_bytes: float, *, bytes_s: float, latency_s: float) -> float:
    """Time in which a ring of n members sums numbers: 2 (n - 1) messages of an n-th, one after the other."""
    return 2 * (members - 1) * (size_bytes / members / bytes_s + latency_s)


def step_time(work: Work, nodes: int, cluster: Cluster) -> StepTime:
    """Models an update in which every device has its own micro-batch, so that the batch grows with the nodes.

    Gradients in float32 are summed within each node, then between nodes by all devices' parts at once, which
    share the node's adapter.
    """
    size = 4.0 * work.parameters
    inside = ring_s(
        cluster.devices_a_node, size, bytes_s=cluster.inside_bytes_s, latency_s=cluster.inside_latency_s
    )
    between = ring_s(nodes, size, bytes_s=cluster.network_bytes_s, latency_s=cluster.network_latency_s)
    rate = cluster.device_flops * work.share_of_peak
    read = work.segments_a_step * cluster.devices_a_node * work.stored_bytes_a_segment
    return StepTime(
        compute_s=work.segments_a_step * work.flop_a_segment / rate + cluster.launch_s,
        all_reduce_s=inside + between,
        data_s=max(work.segments_a_step * work.feed_s_a_segment, read / cluster.storage_bytes_s),
    )


def price(work: Work, nodes: int, cluster: Cluster, *, records: float, epochs: float) -> dict[str, float]:
    """What a run takes; a record of 10 s is one pair, two segments."""
    devices = nodes * cluster.devices_a_node
    step = step_time(work, nodes, cluster)
    steps = epochs * 2 * records / (devices * work.segments_a_step)
    hours = steps * step.total_s / 3600
    alone = step_time(work, 1, cluster)
    return {
        "nodes": nodes,
        "devices": devices,
        "records": records,
        "epochs": epochs,
        "steps": round(steps),
        "compute_s": step.compute_s,
        "all_reduce_s": step.all_reduce_s,
        "data_s": step.data_s,
        "step_s": step.total_s,
        "efficiency": alone.total_s / step.total_s,
        "hours": hours,
        "device_hours": hours * devices,
    }


# --- measured here ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Size:
    """How a size is measured, small enough for a step of seconds."""

    pairs_a_micro_batch: int
    steps: int
    share_of_peak: float
    """Assumed in the model: larger products keep an accelerator busier."""


SIZES = {
    "tiny": Size(pairs_a_micro_batch=16, steps=2, share_of_peak=0.05),
    "mini": Size(pairs_a_micro_batch=16, steps=4, share_of_peak=0.1),
    "base": Size(pairs_a_micro_batch=2, steps=2, share_of_peak=0.25),
}
MICRO_BATCHES = 2
SYSTEMS = {
    "1 process, 1 thread": (1, 1, "micro_batches"),
    "2 processes, 1 thread each, whole micro-batches": (2, 1, "micro_batches"),
    "2 processes, 1 thread each, pairs": (2, 1, "pairs"),
    "1 process, 2 threads": (1, 2, "micro_batches"),
}
"""Name -> processes, threads of each, what they share out."""
NODES = (1, 2, 4, 8, 16, 32)
RECORDS = (1e6, 1e7)
EPOCHS = 200.0


def write_synthetic(folder: Path, patients: int) -> None:
    from anylead.preparation import Preparation
    from anylead.sources.synthetic import Synthetic
    from anylead.store import SplitConfig, write_store

    split = SplitConfig(test_fraction=0.0, valid_fraction=0.0)
    source = Synthetic(patients=patients, sessions=1)
    write_store(source, None, folder, preparation=Preparation.default(), split=split)


def seconds_of(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def work_here(store: Path, size: str, share: str, threads: int, steps: int) -> dict[str, Any] | None:
    """Times one case in this process, alone or as one of several; the first one tells."""
    import torch
    import torch.distributed as dist

    from anylead.encoders import ConvTransformerConfig, build_encoder
    from anylead.engine import (
        AdamWConfig,
        Constant,
        TrainState,
        build_optimizer,
        fit,
        joined_processes,
        keep_freed_memory,
    )
    from anylead.feed import Lookahead, PairFeed, PairFeedConfig, RandomLeadMasking
    from anylead.objectives import W2VCMSCConfig, build_objective
    from anylead.store import Store

    torch.set_num_threads(threads)
    keep_freed_memory()
    with joined_processes(accelerator=False) as processes:
        config = PairFeedConfig(pairs_per_batch=SIZES[size].pairs_a_micro_batch, micro_batches=MICRO_BATCHES)
        feed = PairFeed([Store.open(store)], config, seed=0, lead_masking=RandomLeadMasking())
        torch.manual_seed(0)
        encoder = build_encoder(ConvTransformerConfig.named(size))
        objective = build_objective(W2VCMSCConfig(), encoder)
        optimizer = build_optimizer(AdamWConfig(), encoder, objective)
        state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)
        part = {"part": processes.rank, "parts": processes.world_size, "share": share}

        def own(step: int) -> list[Any]:
            return feed.batches_of(step, **part)  # type: ignore

        with Lookahead(own) as batches:
            updates = fit(
                state,
                batches,
                total_steps=10_000,
                schedule=Constant(),
                processes=processes,
                share=share,  # type: ignore
            )
            next(updates).floats()  # the first one lays out memory
            taken = [seconds_of(lambda: next(updates).floats()) for _ in range(steps)]
        fed = [seconds_of(lambda step=step: own(step)) for step in range(100, 105)]
        parameters = sum(p.numel() for module in (encoder, objective) for p in module.parameters())
        summed = []
        if processes.world_size > 1:
            numbers = torch.zeros(parameters)
            for _ in range(4):
                dist.barrier()
                summed.append(seconds_of(lambda: dist.all_reduce(numbers)))
        own_segments = sum(len(batch) for batch in own(0))
        batch_bytes = sum(batch.signal.nbytes for batch in own(0))
    if processes.rank:
        return None
    return {
        "step_s": taken,
        "segments_a_step": own_segments * processes.world_size,
        "feed_s_a_segment": statistics.median(fed) / own_segments,
        "all_reduce_s": summed[1:],
        "parameters": parameters,
        "bytes_a_step_and_process": {
            "read from the store": own_segments * 12 * 2500 * 2,
            "batches": batch_bytes,
            # Two processes: half of the numbers to the other, and its sums of the other half.
            "gradients sent": 4 * parameters if processes.world_size > 1 else 0,
        },
    }


def in_processes(store: Path, size: str, system: str, steps: int) -> dict[str, Any]:
    count, threads, share = SYSTEMS[system]
    command = [sys.executable]
    if count > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command += [__file__, "--case", str(store), size, share, str(threads), str(steps)]
    load = os.getloadavg()[0]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{size}, {system}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("{")))
    return found | {"load_before": round(load, 2)}


def summary(size: str, system: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [one["segments_a_step"] / seconds for one in rounds for seconds in one["step_s"]]
    summed = [seconds for one in rounds for seconds in one["all_reduce_s"]]
    return {
        "size": size,
        "system": system,
        "segments_a_step": rounds[0]["segments_a_step"],
        "segments_per_s": round(statistics.median(rates), 3),
        "every_segments_per_s": [round(rate, 3) for rate in rates],
        "feed_ms_a_segment": round(1e3 * statistics.median(one["feed_s_a_segment"] for one in rounds), 4),
        "all_reduce_s": round(statistics.median(summed), 4) if summed else None,
        "parameters": rounds[0]["parameters"],
        "bytes_a_step_and_process": rounds[0]["bytes_a_step_and_process"],
        "load_before": [one["load_before"] for one in rounds],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    from step import counted_flops

    from anylead.provenance import environment

    began = time.monotonic()
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        write_synthetic(store, options.patients)
        for number in range(options.rounds):
            for size in options.sizes:
                systems = list(SYSTEMS) if number % 2 == 0 else list(SYSTEMS)[::-1]
                for system in systems:
                    found = in_processes(store, size, system, options.steps or SIZES[size].steps)
                    rounds.setdefault((size, system), []).append(found)
                    shown = summary(size, system, rounds[size, system])
                    print(
                        f"{size}, {system}: {shown['segments_per_s']} segments/s", file=sys.stderr, flush=True
                    )
    cases = [summary(*key, found) for key, found in rounds.items()]
    return {
        "measured": cases,
        "flop_a_segment": {size: counted_flops(size) for size in options.sizes},
        "rounds": options.rounds,
        "seconds_taken": round(time.monotonic() - began),
        "note": options.note,
        "environment": environment(),
    }


# --- pages --------------------------------------------------------------------------------------------------


def modelled(result: Mapping[str, Any]) -> dict[str, Work]:
    """Returns the work of each size that was measured; feeding it goes by the time measured here."""
    found = {}
    for case in result["measured"]:
        if case["system"] == "1 process, 1 thread":
            found[case["size"]] = Work(
                parameters=case["parameters"],
                flop_a_segment=result["flop_a_segment"][case["size"]],
                share_of_peak=SIZES[case["size"]].share_of_peak,
                feed_s_a_segment=case["feed_ms_a_segment"] / 1e3,
            )
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ruler, *rows])


def reading(result: Mapping[str, Any]) -> str:
    """Says in sentences what the table of measurements holds, and in what state the machine was."""
    rate = {(case["size"], case["system"]): case["segments_per_s"] for case in result["measured"]}
    one, whole, pairs, threads = SYSTEMS
    told = []
    for size in dict.fromkeys(case["size"] for case in result["measured"]):
        times = [rate[size, system] / rate[size, one] for system in (whole, pairs, threads)]
        told.append(
            f"`{size}`: two processes gave {times[0]:.2f} (whole micro-batches) and {times[1]:.2f} (pairs) "
            f"times the rate of one, one process with two threads {times[2]:.2f} times."
        )
    loads = [load for case in result["measured"] for load in case["load_before"]]
    told.append(
        f"The machine has {result['environment']['cpu_count']} cores; its load average before the cases was "
        f"{min(loads):.1f} to {max(loads):.1f}, of which the benchmark itself makes up to 2."
        + (f" {result['note'][0].upper()}{result['note'][1:].rstrip('.')}." if result["note"] else "")
    )
    return " ".join(told)


def measured_table(result: Mapping[str, Any]) -> str:
    alone = {
        c["size"]: c["segments_per_s"] for c in result["measured"] if c["system"] == "1 process, 1 thread"
    }
    rows = []
    for case in result["measured"]:
        spread = case["every_segments_per_s"]
        sent = case["bytes_a_step_and_process"]
        rows.append(
            [
                f"`{case['size']}`: {case['system']}",
                f"{case['segments_a_step']}",
                f"{case['segments_per_s']:.2f} ({min(spread):.2f} to {max(spread):.2f})",
                f"{case['segments_per_s'] / alone[case['size']]:.2f}",
                f"{case['feed_ms_a_segment']:.2f} ms",
                f"{case['all_reduce_s']:.3f} s" if case["all_reduce_s"] is not None else "",
                f"{sent['read from the store'] / 1e6:.1f} / {sent['gradients sent'] / 1e6:.0f} MB",
            ]
        )
    head = ["size and processes", "segments a step", "segments/s: median (range)", "to one thread"]
    head += ["feed a segment", "all-reduce alone", "read / sent a step and process"]
    return table(head, rows)


def assumptions_table(result: Mapping[str, Any]) -> str:
    cluster = Cluster()
    rows = [
        ["node", f"{cluster.devices_a_node} accelerators", "assumed"],
        [
            "accelerator",
            f"{cluster.device_flops / 1e12:.0f} TFLOP/s in bfloat16",
            "maker's figure, NVIDIA A100",
        ],
    ]
    for size, work in modelled(result).items():
        rows += [
            [f"share of that rate, `{size}`", f"{work.share_of_peak:.0%}", "assumed"],
            [
                f"operations a segment, `{size}`",
                f"{work.flop_a_segment / 1e9:.2f} GFLOP",
                "counted ([speed](speed.md))",
            ],
            [f"parameters, `{size}`", f"{work.parameters / 1e6:.1f} M, summed in float32", "counted"],
        ]
    one = next(iter(modelled(result).values()))
    rows += [
        ["waiting for the host", f"{1e3 * cluster.launch_s:.0f} ms a step", "assumed"],
        ["segments a step and device", f"{one.segments_a_step} (64 pairs)", "the paper's"],
        [
            "within a node",
            f"{cluster.inside_bytes_s / 1e9:.0f} GB/s, {1e6 * cluster.inside_latency_s:.0f} µs",
        ],
        [
            "between nodes",
            f"{cluster.network_bytes_s / 1e9:.0f} GB/s, {1e6 * cluster.network_latency_s:.0f} µs",
        ],
        ["store, on each node's disk", f"{cluster.storage_bytes_s / 1e9:.0f} GB/s a node"],
    ]
    rows = [[*row, "assumed"] if len(row) == 2 else row for row in rows]
    feeds = ", ".join(f"{1e3 * w.feed_s_a_segment:.2f} ms (`{size}`)" for size, w in modelled(result).items())
    rows.append(["feeding a segment, one thread", feeds, "measured here, from the page cache"])
    return table(["", "value", "where from"], rows).replace("---:", "---")


def prices_table(result: Mapping[str, Any]) -> str:
    rows = []
    for size, work in modelled(result).items():
        for nodes in NODES:
            found = [price(work, nodes, Cluster(), records=records, epochs=EPOCHS) for records in RECORDS]
            one = found[0]
            compute, summed, data, step = (
                f"{1e3 * one[name]:.0f}" for name in ("compute_s", "all_reduce_s", "data_s", "step_s")
            )
            rows.append([f"`{size}`, {nodes} ({one['devices']})", f"{compute} + {summed}", data, step])
            rows[-1] += [f"{one['efficiency']:.0%}"]
            rows[-1] += [f"{each['hours']:.1f}" for each in found]
            rows[-1] += [f"{each['device_hours']:.0f}" for each in found]
    head = ["size, nodes (devices)", "compute + all-reduce [ms]", "data [ms]", "step [ms]", "efficiency"]
    for name in ("hours", "device-hours"):
        head += [f"{name}, {records / 1e6:.0f} M" for records in RECORDS]
    return table(head, rows)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draws hours and the parts of a step against nodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    grey = "#777777"  # is seen on light and on dark pages
    style = {"svg.hashsalt": "scaling", "svg.fonttype": "none", "font.size": 9, "text.color": grey}
    style |= {name: grey for name in ("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")}
    works = modelled(result)
    with matplotlib.rc_context(style):  # type: ignore
        figure = Figure(figsize=(8.4, 3.0), layout="constrained")
        hours, *parts = figure.subplots(1, 1 + len(works))
        for colour, (size, work) in zip(("#2a78b5", "#d1662b", "#3a9a5b"), works.items(), strict=False):
            for line, records in zip(("-", "--"), RECORDS, strict=True):
                found = [price(work, n, Cluster(), records=records, epochs=EPOCHS)["hours"] for n in NODES]
                hours.plot(
                    NODES, found, line, marker="o", ms=3, c=colour, label=f"{size}, {records / 1e6:.0f} M"
                )
        hours.set(xscale="log", yscale="log", xlabel="nodes", ylabel=f"hours, {EPOCHS:.0f} epochs")
        for axes, (size, work) in zip(parts, works.items(), strict=True):
            steps = [step_time(work, n, Cluster()) for n in NODES]
            compute = [1e3 * step.compute_s for step in steps]
            names = [str(n) for n in NODES]
            axes.bar(names, compute, color="#2a78b5", label="compute")
            sums = [1e3 * step.all_reduce_s for step in steps]
            axes.bar(names, sums, bottom=compute, color="#d1662b", label="all-reduce")
            axes.plot(names, [1e3 * step.data_s for step in steps], c="#3a9a5b", label="data")
            axes.set(xlabel="nodes", title=size, ylabel="ms a step")
        hours.set_xticks(NODES, [str(n) for n in NODES])
        hours.minorticks_off()
        for axes in (hours, parts[0]):
            axes.legend(frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None, "Creator": None}, transparent=True)


def rendered(page: str, result: Mapping[str, Any]) -> str:
    """Returns the page with the tables of a result between their marks."""
    made = {
        "measured": f"{measured_table(result)}\n\n{reading(result)}",
        "assumptions": assumptions_table(result),
        "prices": prices_table(result),
    }
    for name, text in made.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.S)
        page, count = marks.subn(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
        if count != 1:
            raise ValueError(f"the page has {count} places for the table {name}")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--pages", type=Path, help="write tables and figure of such a result, measure nothing"
    )
    parser.add_argument("--sizes", nargs="*", default=["mini", "base"], choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of each case and round")
    parser.add_argument("--patients", type=int, default=64, help="of the synthetic store")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        store, size, share, threads, steps = options.case
        found = work_here(Path(store), size, share, int(threads), int(steps))
        if found is not None:
            print(json.dumps(found))
        return
    if options.pages:
        result = json.loads(options.pages.read_text(encoding="utf-8"))
        PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")
        draw(result, FIGURE)
        return
    result = measure(options)
    print(measured_table(result))
    if options.out is not None:
        from anylead.provenance import write_json

        write_json(options.out, result)


if __name__ == "__main__":
    main()
