"""How long does `anylead evaluate suite` take on 1,000 ten-second recordings?

    python benchmarks/suite_speed.py --out benchmarks/suite_speed.json [--records 1000] [--size mini] [--full]

Synthetic recordings of two sessions and an encoder with fresh weights: the time depends on neither. It is
run as a user would start it, with --quick; the parts' own times are those of its report.

With --full the whole suite is run twice in one folder. The first run makes the passes, which takes long, and
trains the baselines, with two updates each where not told otherwise; the second finds them, and its time is
that of everything else, which depends neither on the updates nor on the weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.preparation import Preparation
from anylead.provenance import environment
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig
from anylead.workflows.prepare import PrepareConfig, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--full", action="store_true", help="everything but passes and training, of it all")
    parser.add_argument("--supervised-steps", type=int, default=2, help="of each network, with --full")
    parser.add_argument("--folder", type=Path, help="keep the passes here, to go on after an interruption")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        _make(folder, records=options.records, size=options.size)
        more = ("--supervised-steps", str(options.supervised_steps)) if options.full else ("--quick",)
        runs = [_run(folder, *more) for _ in range(2 if options.full else 1)]
    result = {
        "encoder": options.size,
        "records": options.records,
        "protocol": "full" if options.full else "quick",
        **runs[-1],
        **({"first_run": runs[0], "supervised_steps": options.supervised_steps} if options.full else {}),
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _make(folder: Path, *, records: int, size: str) -> None:
    """Writes a store and a bundle; those that are there stay as they are."""
    source = Synthetic(patients=records // 2, sessions=2, seed=0)
    split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
    prepare(PrepareConfig(source=source, out=folder / "store", split=split, jobs=1))
    torch.manual_seed(0)
    encoder = build_encoder(ConvTransformerConfig.named(size))
    Bundle.assemble(encoder, preparation=Preparation.default()).save_pretrained(folder / "bundle")


def _run(folder: Path, *more: str) -> dict[str, Any]:
    """Runs the suite; returns its minutes, those of its parts, and what it had to make."""
    words = ("evaluate", "suite", "--bundle", folder / "bundle", "--store", folder / "store")
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "anylead", *map(str, words), "--out", str(folder / "report"), *more],
        check=True,
    )
    minutes = (time.perf_counter() - start) / 60.0
    section = json.loads((folder / "report" / "report.json").read_text())["sections"][-1]
    return {
        "minutes": round(minutes, 2),
        "parts": dict(section["tables"][0]["rows"]),
        "passes": section["notes"][0],
    }


if __name__ == "__main__":
    main()
