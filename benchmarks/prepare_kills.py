"""Kills `anylead prepare` at random moments and compares what the restarts make with a store made in one go.

    python benchmarks/prepare_kills.py --kills 10 --out benchmarks/results/prepare_kills.json

The whole process group gets SIGKILL at a moment drawn uniformly over the duration of the uninterrupted run;
then the same command starts again. After a run that ends before its moment, the next begins another store.
All stores are compared byte by byte, of the manifest all but its provenance.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from anylead.provenance import environment
from anylead.store import Store
from anylead.store.layout import TWIN


def command(out: Path, options: argparse.Namespace) -> list[str]:
    """Returns the command line that is killed and started again."""
    return [
        *(sys.executable, "-m", "anylead", "prepare", "synthetic", "--out", str(out)),
        *("--patients", str(options.patients), "--duration-s", str(options.duration_s)),
        *("--jobs", str(options.jobs), "--backend", options.backend),
    ]


def shards(store: Path) -> int:
    return len(list((store / "shards").glob("*.arrow")))


def contents(store: Path) -> dict[str, bytes]:
    """Returns every file of a store, hidden ones too, and the manifest without its provenance.

    The twin of the index is left out: it holds the time at which the index was written.
    """
    files = [path for path in store.rglob("*") if path.is_file() and path.name != TWIN]
    found = {str(path.relative_to(store)): path.read_bytes() for path in files}
    manifest = json.loads(found["store.json"])
    del manifest["provenance"]
    return {**found, "store.json": json.dumps(manifest).encode()}


def kill_at(moment_s: float, out: Path, options: argparse.Namespace) -> bool:
    """Starts the command, kills its process group at a moment, and says whether it had not ended before."""
    process = subprocess.Popen(
        command(out, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"the command failed with {process.returncode} before it was killed.")
    return False


def run(options: argparse.Namespace, folder: Path) -> dict:
    """Kills as often as asked, and compares."""
    whole, killed = folder / "whole", folder / "killed"
    began = time.perf_counter()
    subprocess.run(command(whole, options), check=True, stdout=subprocess.DEVNULL)
    duration_s = time.perf_counter() - began
    moments = random.Random(options.seed)
    kills: list[dict] = []
    finished = 0
    rounds = 0
    equal: list[bool] = []
    while len(kills) < options.kills:
        out = folder / f"{killed.name}-{finished}"
        moment_s = moments.uniform(0, duration_s)
        if kill_at(moment_s, out, options):
            kills.append({"store": finished, "moment_s": round(moment_s, 3), "shards": shards(out)})
            print(kills[-1], file=sys.stderr)
        else:
            equal.append(contents(out) == contents(whole))
            finished += 1
        rounds += 1
    last = folder / f"{killed.name}-{finished}"
    subprocess.run(command(last, options), check=True, stdout=subprocess.DEVNULL)
    equal.append(contents(last) == contents(whole))
    ids = Store.open(last).column("record_id")
    expected = Store.open(whole).column("record_id")
    return {
        "question": "Does prepare, killed and started again, make the store of an uninterrupted run?",
        "options": {k: v for k, v in vars(options).items() if k != "out"},
        "uninterrupted_s": round(duration_s, 3),
        "recordings": len(expected),
        "shards": shards(whole),
        "kills": kills,
        "stores": len(equal),
        "equal": all(equal),
        "duplicates": len(ids) - len(set(ids)),
        "lost": len(set(expected) - set(ids)),
        "leftovers": sorted(set(contents(last)) - set(contents(whole))),
        "environment": {k: v for k, v in environment().items() if k != "command"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patients", type=int, default=1200, help="each has two recordings")
    parser.add_argument("--duration-s", type=float, default=2.5, help="of a recording")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--backend", default="loky")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options, Path(folder))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("equal" if result["equal"] else "NOT equal", file=sys.stderr)


if __name__ == "__main__":
    main()
