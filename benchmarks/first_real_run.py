"""The first real run: every command of docs/results/first-real-run.md, and the tables made of their results.

    python benchmarks/first_real_run.py --data FOLDER --out runs/first-real-run [--seeds 0 1 2] [--parallel 2]

FOLDER holds ptb-xl, cinc2021, cinc2020-cpsc2018, ludb and ecg-id as published. Commands whose results are
there are not run again. At the end OUT/summary.json and OUT/summary.md hold the numbers, OUT/splits.json the
recordings of every split, OUT/digests.json hashes of everything that must be the same in a second run.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "cpu.yaml"
TWELVE_LEADS = {
    "ptb-xl": ("ptb-xl", []),
    "cinc2021": ("cinc2021", []),
    "cinc2020": ("cinc2020-cpsc2018", []),
    "ludb": ("ludb", []),
}
# ECG-ID is tested on only: nobody in it is trained on (one person has to stay outside the test split).
ECG_ID = {"ecg-id": ("ecg-id", ["--test-fraction", "0.985", "--valid-fraction", "0"])}
SPLIT = ["--test-fraction", "0.3", "--valid-fraction", "0.1"]
LEAD_SETS = ["12", "6", "4", "3", "2", "I", "II"]


def command(*words: object, out: Path, name: str, done: str) -> None:
    """Runs `anylead WORDS` on one thread unless `done` exists; log, CPU and wall time go to OUT/logs."""
    if (out / done).exists():
        return
    log = out / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    line = ["anylead", *map(str, words)]
    print("$", " ".join(line), flush=True)
    start = time.time()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *line], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"failed: {' '.join(line)}; see {log}")
    cpu = usage.ru_utime + usage.ru_stime
    spent = {"command": " ".join(line), "cpu_s": round(cpu, 1), "wall_s": round(time.time() - start, 1)}
    log.with_suffix(".json").write_text(json.dumps(spent) + "\n")


def prepare(data: Path, out: Path) -> None:
    for name, (folder, options) in {**TWELVE_LEADS, **ECG_ID}.items():
        command(
            *("prepare", name, data / folder, "--out", out / "stores" / name, *(options or SPLIT)),
            **{"out": out, "name": f"prepare-{name}", "done": f"stores/{name}/store.json"},
        )


def step(out: Path, name: str, *words: object, done: str) -> None:
    command(*words, "--out", out / name, out=out, name=name.replace("/", "-"), done=f"{name}/{done}")


def labelled_stores(out: Path) -> list[Path]:
    return [out / "stores" / name for name in TWELVE_LEADS]


def pretrain(out: Path, recipe: Path) -> None:
    words = ("pretrain", "--recipe", recipe, "--stores", *labelled_stores(out), "--seed", 0, "--threads", 1)
    step(out, "pretrain", *words, done="bundle/config.json")


def one_seed(out: Path, seed: int, finetune_steps: int) -> None:
    """Fine-tunes and judges both tasks; the seed is that of heads, order, hidden leads and baselines."""
    run, stores, bundle = f"seed-{seed}", labelled_stores(out), out / "pretrain" / "bundle"
    common = ("--bundle", bundle, "--stores", *stores, "--seed", seed)
    common = (*common, "--steps", finetune_steps, "--learning-rate", "1e-3")
    for name, extra in (("tuned", ()), ("scratch", ("--weights", "fresh"))):
        step(out, f"{run}/{name}", "finetune", "classify", *common, *extra, done="bundle/config.json")
    step(out, f"{run}/arcface", "finetune", "identify", *common, done="bundle/config.json")
    step(
        *(out, f"{run}/judge-classify", "evaluate", "classify"),
        *("--bundles", out / run / "tuned", out / run / "scratch", "--stores", *stores),
        *("--lead-sets", *LEAD_SETS),
        done="results.json",
    )
    step(
        *(out, f"{run}/judge-probe", "evaluate", "probe", "--bundles", bundle, "--names", "pre-trained"),
        *("--stores", *stores, "--lead-sets", *LEAD_SETS, "--seed", seed),
        done="results.json",
    )
    step(
        *(out, f"{run}/judge-identify", "evaluate", "identify", "--bundles", bundle, out / run / "arcface"),
        *("--names", "pre-trained", "ArcFace", "--stores", *stores, out / "stores" / "ecg-id"),
        *("--lead-sets", "I", "12", "--seed", seed),
        done="results.json",
    )


def rows_of(results: dict) -> list[dict]:
    """One row a system, lead set and subset, with each metric's value and interval."""
    rows = []
    for one in results["results"]:
        row = {key: one[key] for key in ("system", "lead_set", "subset", "records", "probes") if key in one}
        for metric in ("macro_auroc", "macro_auprc", "challenge_score", "rank1", "eer"):
            if one.get(metric):
                row[metric] = [one[metric]["value"], one[metric]["low"], one[metric]["high"]]
        rows.append(row)
    return rows


def summarise(out: Path, seeds: list[int]) -> None:
    summary: dict = {"seeds": seeds, "runs": {}, "differences": {}, "spent": {}}
    for seed in seeds:
        for judge in ("judge-probe", "judge-classify", "judge-identify"):
            results = json.loads((out / f"seed-{seed}" / judge / "results.json").read_text())
            summary["runs"].setdefault(judge, {})[seed] = rows_of(results)
            summary["differences"].setdefault(judge, {})[seed] = [
                {k: d.get(k) for k in ("a", "b", "metric", "lead_set", "subset", "interval", "excludes_zero")}
                for d in results["differences"]
            ]
    for spent in sorted((out / "logs").glob("*.json")):
        summary["spent"][spent.stem] = json.loads(spent.read_text())
    log = [json.loads(line) for line in (out / "pretrain/metrics.jsonl").read_text().splitlines()]
    tenth = max(1, len(log) // 10)
    summary["learning"] = {
        name: [float(np.mean([r[name] for r in log[k * tenth : (k + 1) * tenth]])) for k in range(10)]
        for name in ("contrast", "contrast_accuracy", "cmsc", "cmsc_accuracy", "codes_in_use")
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    (out / "summary.md").write_text("\n".join(tables(summary)) + "\n")
    print((out / "summary.md").read_text())


def tables(summary: dict) -> list[str]:
    """Markdown: mean over seeds, [lowest and highest end of the seeds' intervals], (each seed)."""
    lines = []
    for judge, metric, subset in (
        ("judge-probe", "macro_auroc", None),
        ("judge-classify", "macro_auroc", None),
        ("judge-classify", "challenge_score", None),
        ("judge-identify", "rank1", "cross_session"),
        ("judge-identify", "rank1", "all"),
        ("judge-identify", "eer", "cross_session"),
    ):
        cells: dict[str, dict[str, list]] = {}
        for rows in summary["runs"][judge].values():
            for row in rows:
                if metric in row and (subset is None or row.get("subset") == subset):
                    cells.setdefault(row["system"], {}).setdefault(row["lead_set"], []).append(row[metric])
        sets = list(dict.fromkeys(name for row in cells.values() for name in row))
        lines += ["", f"### {judge}: {metric}{f', {subset}' if subset else ''}", ""]
        lines += ["| system | " + " | ".join(sets) + " |", "|---" * (len(sets) + 1) + "|"]
        for system, row in cells.items():
            if not shown(metric, system):
                continue
            lines.append(f"| {system} | " + " | ".join(cell(row.get(name, [])) for name in sets) + " |")
        apart: dict[str, dict[str, list[str]]] = {}
        for differences in summary["differences"][judge].values():
            for one in differences:
                i = one["interval"]
                if one["metric"] == metric and one.get("subset") == subset and i["low"] is not None:
                    told = (
                        f"{i['value']:+.3f} [{i['low']:+.2f}, {i['high']:+.2f}]" + "*" * one["excludes_zero"]
                    )
                    row = apart.setdefault(f"{one['a']} - {one['b']}", {})
                    row.setdefault(one["lead_set"], []).append(told)
        lines += [
            f"| *{name}* | " + " | ".join("<br>".join(row.get(leads, ["-"])) for leads in sets) + " |"
            for name, row in apart.items()
            if shown(metric, name)
        ]
    return lines


def shown(metric: str, name: str) -> bool:
    """Thresholds change the Challenge score alone."""
    return metric == "challenge_score" or "thresholds" not in name


def cell(values: list) -> str:
    known = [v for v in values if v[0] is not None]
    if not known:
        return "-"
    mean = np.mean([v[0] for v in known])
    each = ", ".join(f"{v[0]:.3f}" for v in known)
    return f"{mean:.3f} [{min(v[1] for v in known):.2f}, {max(v[2] for v in known):.2f}] ({each})"


def record_splits(out: Path) -> None:
    """Which recordings are in which split, so that others can rebuild the subset."""
    splits: dict = {}
    for name in (*TWELVE_LEADS, *ECG_ID):
        index = parquet.read_table(out / "stores" / name / "index.parquet").to_pydict()
        for record, split in zip(index["record_id"], index["split"], strict=True):
            splits.setdefault(name, {}).setdefault(split, []).append(record)
    (out / "splits.json").write_text(json.dumps(splits, indent=0) + "\n")


def digest(out: Path, seeds: list[int]) -> None:
    """Hashes of weights and of numbers: two runs are the same where these are."""
    found = {}
    for path in sorted(out.rglob("model.safetensors")):
        found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for seed in seeds:
        for path in sorted((out / f"seed-{seed}").glob("judge-*/results.json")):
            results = json.loads(path.read_text())
            numbers = json.dumps([results["results"], results["differences"]], sort_keys=True)
            found[str(path.relative_to(out))] = hashlib.sha256(numbers.encode()).hexdigest()
    (out / "digests.json").write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=2, help="seeds at a time, one thread each")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--finetune-steps", type=int, default=100)
    options = parser.parse_args()
    prepare(options.data, options.out)
    record_splits(options.out)
    pretrain(options.out, options.recipe)
    with ThreadPoolExecutor(options.parallel) as pool:
        jobs = [pool.submit(one_seed, options.out, seed, options.finetune_steps) for seed in options.seeds]
        for job in jobs:
            job.result()
    digest(options.out, options.seeds)
    summarise(options.out, options.seeds)
    print(f"CPU minutes: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime / 60:.1f}")


if __name__ == "__main__":
    main()
