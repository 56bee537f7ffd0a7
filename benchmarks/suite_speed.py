"""How long does `anylead evaluate suite --quick` take on 1,000 ten-second recordings?

    python benchmarks/suite_speed.py --out benchmarks/suite_speed.json [--records 1000] [--size mini]

Synthetic recordings of two sessions and an encoder with fresh weights: the time depends on neither. It is
run as a user would start it; the parts' own times are those of its report.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Synthetic(patients=options.records // 2, sessions=2, seed=0)
        split = SplitConfig(test_fraction=0.3, valid_fraction=0.1)
        prepare(PrepareConfig(source=source, out=folder / "store", split=split, jobs=1))
        torch.manual_seed(0)
        encoder = build_encoder(ConvTransformerConfig.named(options.size))
        Bundle.assemble(encoder, preparation=Preparation.default()).save_pretrained(folder / "bundle")
        words = ("evaluate", "suite", "--bundle", folder / "bundle", "--store", folder / "store")
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "anylead", *map(str, words), "--out", str(folder / "report"), "--quick"],
            check=True,
        )
        minutes = (time.perf_counter() - start) / 60.0
        report = json.loads((folder / "report" / "report.json").read_text())
    result = {
        "encoder": options.size,
        "records": options.records,
        "minutes": round(minutes, 2),
        "parts": dict(report["sections"][-1]["tables"][0]["rows"]),
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
