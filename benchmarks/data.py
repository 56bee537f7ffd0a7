"""The path of the data: what a segment, a recording and a large corpus cost.

    python benchmarks/data.py --out benchmarks/results/data.json --figure docs/data.svg [--only feed growth]

Four parts, each of which replaces its own entry of the JSON file:

feed    segments a second from a prepared store to a torch batch, of `PairFeed`; of a loop that copies the
        same segments out of one memory-mapped array of 16-bit integers; and of a loop over one .mat file of
        64-bit floats for every five seconds, the layout of fairseq-signals. The three take turns, step by
        step, over the same segments in the same order, from files that are in the page cache.
read    recordings a second and core of `anylead prepare`, of each of its stages, and of `wfdb.rdrecord`
        alone, on one tree of WFDB recordings (500 Hz, 10 s, 12 leads). They take turns, round by round, in
        one process.
growth  seconds and peak of the anonymous memory of ``anylead prepare files`` on trees of 1,000, 10,000 and
        100,000 recordings (2.5 s, 12 leads, 500 Hz), each in a process of its own, with a line through
        them. The trees repeat a hundred recordings, so all their files are in the page cache.
open    seconds to open a store of up to 1,000,000 recordings, to make its index twin, to plan pre-training
        on it, and the anonymous memory after 100 steps; each in a process of its own. All shards of such a
        store are links to one.

Times of other machines will differ; ratios were taken within one run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("feed", "read", "growth", "open")
WINDOW = 2500
LEADS = 12


def turns(
    cases: dict[str, Callable[[], object]], rounds: int, *, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Times the cases one after the other, forwards and backwards, so that noise meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for _ in range(rounds):
        for name in names:
            began = clock()
            cases[name]()
            seconds[name].append(clock() - began)
        names.reverse()
    return seconds


def ratio(seconds: dict[str, list[float]], other: str, ours: str) -> dict[str, float]:
    """Returns how many times as fast `ours` is as `other`: median of the ratios, and their quartiles."""
    values = [b / a for a, b in zip(seconds[ours], seconds[other], strict=True)]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return {"median": round(middle, 3), "lower_quartile": round(low, 3), "upper_quartile": round(high, 3)}


# --- feed ---------------------------------------------------------------------------------------------------


def feed_part(folder: Path, *, recordings: int = 2048, steps: int = 60) -> dict[str, Any]:
    """Compares the feed with a raw memory map and with one .mat file a segment."""
    import scipy.io
    import torch

    from anylead.feed import PairFeed, PairFeedConfig
    from anylead.preparation import Preparation
    from anylead.sources.synthetic import Synthetic
    from anylead.store import SplitConfig, Store, write_store

    write_store(
        Synthetic(patients=recordings, sessions=1),
        None,
        folder / "store",
        preparation=Preparation.default(),
        split=SplitConfig(test_fraction=0.0, valid_fraction=0.0),
    )
    store = Store.open(folder / "store")
    feed = PairFeed([store], PairFeedConfig(), seed=0)
    raw = np.lib.format.open_memmap(
        folder / "raw.npy", mode="w+", dtype=np.int16, shape=(recordings, LEADS, 2 * WINDOW)
    )
    (folder / "mat").mkdir()
    for row in range(recordings):
        signal = store.signal(row)
        raw[row] = np.rint(signal * 1000)
        for half in (0, 1):
            part = signal[:, half * WINDOW : (half + 1) * WINDOW]
            scipy.io.savemat(
                folder / "mat" / f"{row}_{half}.mat",
                {"feats": part.astype(np.float64), "curr_sample_rate": 500},
            )
    raw.flush()
    raw = np.load(folder / "raw.npy", mmap_mode="r")

    def segments(step: int) -> list[tuple[int, int]]:
        chosen = feed._pairs[feed._order.at(step * feed.pairs_per_step, feed.pairs_per_step)]
        return [(row, half) for _, row, _, _ in chosen.tolist() for half in (0, 1)]

    def from_raw(step: int) -> torch.Tensor:
        places = segments(step)
        out = np.empty((len(places), LEADS, WINDOW), dtype=np.float32)
        for place, (row, half) in enumerate(places):
            np.multiply(raw[row, :, half * WINDOW : (half + 1) * WINDOW], np.float32(0.001), out=out[place])
        return torch.from_numpy(out)

    def from_mat(step: int) -> torch.Tensor:
        parts = [
            scipy.io.loadmat(folder / "mat" / f"{row}_{half}.mat")["feats"] for row, half in segments(step)
        ]
        return torch.from_numpy(np.stack(parts).astype(np.float32))

    np.testing.assert_allclose(feed.batches(3)[0].signal, from_raw(3), atol=0.0011)
    np.testing.assert_array_equal(feed.batches(3)[0].signal, from_mat(3))
    now = iter(range(1_000_000))
    seconds: dict[str, list[float]] = {"anylead": [], "raw memory map": [], "a .mat file a segment": []}
    for number in now:
        if number == steps:
            break
        cases: dict[str, Callable[[], object]] = {
            "anylead": lambda step=number: feed.batches(step),
            "raw memory map": lambda step=number: from_raw(step),
            "a .mat file a segment": lambda step=number: from_mat(step),
        }
        for name, values in turns(cases, 1, clock=time.perf_counter).items():
            seconds[name] += values
    per_step = 2 * feed.pairs_per_step
    return {
        "recordings": recordings,
        "segments_a_step": per_step,
        "steps": steps,
        "segments_per_s": {
            name: round(per_step / statistics.median(values)) for name, values in seconds.items()
        },
        "of_raw_memory_map": ratio(seconds, "raw memory map", "anylead"),
        "of_a_mat_file_a_segment": ratio(seconds, "a .mat file a segment", "anylead"),
    }


# --- read ---------------------------------------------------------------------------------------------------


def read_part(folder: Path, *, recordings: int = 400, rounds: int = 7) -> dict[str, Any]:
    """Compares `prepare` and its stages with bare `wfdb.rdrecord`."""
    import wfdb

    from anylead.formats.wfdb import read_wfdb
    from anylead.preparation import FlagQuality, Preparation, Resample
    from anylead.signal.recording_quality import recording_quality
    from anylead.sources.files import Files
    from anylead.store import SplitConfig, write_store
    from anylead.store.quantise import quantise, recording_hash
    from anylead.store.shards import ShardRow, write_shard

    tree = folder / "tree"
    names = write_tree(tree, recordings, duration_s=10.0)
    records = [read_wfdb(name) for name in names]
    flag, resample, number = FlagQuality(), Resample(rate_hz=400.0), iter(range(1_000_000))

    def write() -> None:
        rows = []
        for record in records:
            counts, scale_mv = quantise(record.signal)
            rows.append(
                ShardRow(facts=_facts(record, recording_hash(record)), scale_mv=scale_mv, counts=counts)
            )
        write_shard(folder / f"shard-{next(number)}.arrow", rows)

    def prepare() -> None:
        out = folder / f"store-{next(number)}"
        write_store(Files(), tree, out, preparation=Preparation.default(), split=SplitConfig())
        shutil.rmtree(out)

    cases: dict[str, Callable[[], object]] = {
        "wfdb.rdrecord": lambda: [wfdb.rdrecord(str(name)) for name in names],
        "read": lambda: [read_wfdb(name) for name in names],
        "resample 500 to 400 Hz": lambda: [resample(record) for record in records],
        "flag quality": lambda: [flag(record) for record in records],
        "hash, quantise and write": write,
        "prepare": prepare,
        "measure quality (anylead quality)": lambda: [
            recording_quality(record.signal, leads=record.leads, rate_hz=500.0) for record in records[:40]
        ],
    }
    turns(cases, 1, clock=time.process_time)  # the first round imports and fills the page cache
    seconds = turns(cases, rounds, clock=time.process_time)
    counted = dict.fromkeys(cases, recordings) | {"measure quality (anylead quality)": 40}
    return {
        "recordings": recordings,
        "rounds": rounds,
        "recordings_per_s_and_core": {
            name: round(counted[name] / statistics.median(values), 1) for name, values in seconds.items()
        },
        "read_of_rdrecord": ratio(seconds, "wfdb.rdrecord", "read"),
        "prepare_of_rdrecord": ratio(seconds, "wfdb.rdrecord", "prepare"),
    }


def _facts(record: Any, digest: str) -> dict[str, Any]:
    from anylead.store.layout import FACTS

    known = {
        "record_id": record.record_id,
        "patient_id": record.record_id,
        "leads": list(record.leads),
        "sampling_rate_hz": record.sampling_rate_hz,
        "samples": record.samples,
        "hash": digest,
        "labels": [],
        "unknown_labels": [],
        "flags": [],
    }
    return {name: known.get(name) for name in FACTS.names}


def write_tree(folder: Path, recordings: int, *, duration_s: float) -> list[Path]:
    """Writes synthetic WFDB recordings into a folder, each of another patient; returns their names."""
    from anylead.formats.wfdb_writer import write_wfdb
    from anylead.sources.synthetic import Synthetic

    folder.mkdir(parents=True)
    source = Synthetic(patients=recordings, sessions=1, duration_s=duration_s)
    names = []
    for number, ref in enumerate(source.scan(folder)):
        names.append(folder / f"r{number:06d}")
        write_wfdb(source.load(ref), names[-1])
    return names


# --- growth -------------------------------------------------------------------------------------------------

DISTINCT = 100


def growth_part(folder: Path, *, sizes: Sequence[int] = (1_000, 10_000, 100_000)) -> dict[str, Any]:
    """Prepares trees of growing size, each in a process of its own."""
    made: list[dict[str, float]] = []
    for size in sizes:
        tree = linked_tree(folder / f"tree-{size}", size)
        out = folder / f"store-{size}"
        command = [sys.executable, "-m", "anylead", "prepare", "files", str(tree), "--out", str(out)]
        made.append({"recordings": size, **watched(command)})
        print(json.dumps(made[-1]), flush=True)
        shutil.rmtree(out)
        shutil.rmtree(tree)
    count = np.array([one["recordings"] for one in made])
    cpu = np.array([one["cpu_s"] for one in made])
    slope, start = np.polyfit(count, cpu, 1, w=1 / cpu)
    exponent = float(np.polyfit(np.log(count[1:]), np.log(cpu[1:]), 1)[0])
    return {
        "recording": "2.5 s, 12 leads, 500 Hz",
        "runs": made,
        "fit": {
            "cpu_s_a_recording": float(f"{slope:.4g}"),
            "cpu_s_at_start": round(float(start), 2),
            "worst_departure": round(float(np.abs((start + slope * count) / cpu - 1).max()), 3),
            "exponent_between_the_largest": round(exponent, 3),
            "cpu_h_of_1000000": round(float(start + slope * 1_000_000) / 3600, 2),
        },
        "anonymous_bytes_a_recording": round(
            (made[-1]["peak_anonymous_mib"] - made[0]["peak_anonymous_mib"]) * 2**20 / (sizes[-1] - sizes[0])
        ),
    }


def linked_tree(folder: Path, recordings: int) -> Path:
    """Makes a tree of folders of a thousand headers each, which share a hundred data files by links."""
    names = write_tree(folder / "000", DISTINCT, duration_s=2.5)
    for number in range(DISTINCT, recordings):
        part, of = folder / f"{number // 1000:03d}", names[number % DISTINCT]
        if not part.exists():
            part.mkdir()
            for name in names:
                os.link(name.with_suffix(".dat"), part / f"{name.name}.dat")
        os.link(of.with_suffix(".hea"), part / f"h{number:06d}.hea")
    return folder


def watched(command: list[str]) -> dict[str, float]:
    """Runs a command and returns its wall and processor seconds and the largest anonymous memory seen."""
    before = os.times()
    began = time.perf_counter()
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        os.set_blocking(process.stderr.fileno(), False)
        while process.poll() is None:
            peak = max(peak, anonymous_kib(process.pid))
            process.stderr.read()
            time.sleep(0.02)
    wall, after = time.perf_counter() - began, os.times()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[2:5])} failed with {process.returncode}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_anonymous_mib": round(peak / 1024, 1)}


def anonymous_kib(pid: int | str) -> int:
    """Returns the anonymous memory of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


# --- open ---------------------------------------------------------------------------------------------------

OPEN = textwrap.dedent("""
    import json, sys, time
    from pathlib import Path
    from anylead.feed import PairFeed, PairFeedConfig, RandomLeadMasking
    from anylead.store import Store

    def anonymous_mib():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    def timed(work):
        began = time.perf_counter()
        result = work()
        return result, round(time.perf_counter() - began, 4)

    memory = {"imported": round(anonymous_mib())}
    store, open_s = timed(lambda: Store.open(sys.argv[1]))
    memory["opened"] = round(anonymous_mib())
    masking = RandomLeadMasking()
    feed, plan_s = timed(lambda: PairFeed([store], PairFeedConfig(), seed=0, lead_masking=masking))
    memory["planned"] = round(anonymous_mib())
    for step in range(0, 100_000, 1000):
        feed.batches(step)
    memory["after 100 steps"] = round(anonymous_mib())
    print(json.dumps({"open_s": open_s, "plan_s": plan_s, "anonymous_mib": memory}))
""")


def open_part(
    folder: Path, *, sizes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
) -> list[dict[str, Any]]:
    """Opens stores of growing size and plans pre-training on them, each in a process of its own."""
    from large_store import make_large_store

    from anylead.store import Store

    made = []
    for size in sizes:
        path = make_large_store(folder / f"large-{size}", size)
        began = time.perf_counter()
        Store.open(path)
        twin_s = time.perf_counter() - began
        runs = [
            json.loads(
                subprocess.run([sys.executable, "-c", OPEN, path], capture_output=True, check=True).stdout
            )
            for _ in range(3)
        ]
        best = min(runs, key=lambda run: run["open_s"])
        made.append({"recordings": size, "twin_s": round(twin_s, 3), **best})
        print(json.dumps(made[-1]), flush=True)
        shutil.rmtree(path)
    return made


# --- figure -------------------------------------------------------------------------------------------------


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws what a corpus costs against its size: preparing, opening and planning, memory."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "anylead"
    from matplotlib import pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    growth, opened = result["growth"], result["open"]
    count = [run["recordings"] for run in growth["runs"]]
    line = np.geomspace(count[0], 1_000_000, 50)
    fit = growth["fit"]
    left.plot(line, fit["cpu_s_at_start"] + fit["cpu_s_a_recording"] * line, color="0.6", label="line fitted")
    left.plot(count, [run["cpu_s"] for run in growth["runs"]], "o", color="#1f5fa8", label="measured")
    left.set(ylabel="processor seconds", title="anylead prepare, one process")
    sizes = [one["recordings"] for one in opened]
    for key, label, colour in (
        ("open_s", "open the store", "#1f5fa8"),
        ("plan_s", "plan pre-training", "#c2571a"),
        ("twin_s", "make the index twin, once", "0.5"),
    ):
        middle.plot(sizes, [one[key] for one in opened], "o-", color=colour, label=label)
    middle.set(ylabel="seconds", title="starting to train")
    right.plot(
        sizes,
        [one["anonymous_mib"]["after 100 steps"] for one in opened],
        "o-",
        color="#c2571a",
        label="training, after 100 steps",
    )
    right.plot(
        count,
        [run["peak_anonymous_mib"] for run in growth["runs"]],
        "o-",
        color="#1f5fa8",
        label="preparing, peak",
    )
    right.set(ylabel="MiB", title="anonymous memory", ylim=(0, None))
    for axes in (left, middle):
        axes.set(yscale="log")
    for axes in (left, middle, right):
        axes.set(xscale="log", xlabel="recordings")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file; other parts in it are kept")
    parser.add_argument(
        "--figure", type=Path, help="SVG file, drawn of the JSON file's growth and open parts"
    )
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--scratch", type=Path, help="folder on a disk with 10 GB to spare")
    given = parser.parse_args()

    from anylead.provenance import environment, write_json

    result: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    parts = {"feed": feed_part, "read": read_part, "growth": growth_part, "open": open_part}
    for name in given.only:
        with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
            result[name] = parts[name](Path(folder))
        made = environment()
        del made["command"]
        result.setdefault("environment", {})[name] = made
        write_json(given.out, result)
        print(name, json.dumps(result[name], indent=1), flush=True)
    if given.figure is not None:
        draw(result, given.figure)


if __name__ == "__main__":
    main()
