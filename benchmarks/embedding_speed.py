"""How close does extraction from a store come to the encoder's bare batched forward?

    python benchmarks/embedding_speed.py --out benchmarks/embedding_speed.json [--records 1000] [--size mini]

1,000 ten-second synthetic recordings. Bare: full batches of windows that lie in memory already. Extraction:
what the suite does, from the memory-mapped store, window by window. Both alternate in one process, so that
the machine's noise meets both; the ratio is that of the medians.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.encoders.base import Readout
from anylead.evaluation.conditions import condition
from anylead.feed.collate import collate
from anylead.preparation import Preparation
from anylead.provenance import environment
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store
from anylead.workflows.prepare import PrepareConfig, prepare
from anylead.workflows.selection import Selection
from anylead.workflows.suite.embedders import BundleEmbedder


def windows_in_memory(embedder: BundleEmbedder, store: Store, records: int, size: int) -> list[Batch]:
    length, leads = embedder.bundle.manifest.window_samples, embedder.bundle.encoder.leads
    pieces = []
    for row in range(records):
        signal = store.signal(row)
        pieces += [(signal[:, s : s + length], store.leads[row]) for s in range(0, signal.shape[1], length)]
    groups = [pieces[start : start + size] for start in range(0, len(pieces), size)]
    return [collate(group, leads=leads, sampling_rate_hz=store.sampling_rate_hz) for group in groups]


def bare(embedder: BundleEmbedder, batches: list[Batch]) -> None:
    with torch.inference_mode():
        for batch in batches:
            embedder.bundle.encoder.read(batch, embedder.readout)


def measure(size: str, records: int, repeats: int, batch_size: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        source = Synthetic(patients=records, sessions=1, seed=0)
        split = SplitConfig(test_fraction=0.0, valid_fraction=0.0)
        prepare(PrepareConfig(source=source, out=path, split=split, jobs=1))
        store = Store.open(path)
        encoder = build_encoder(ConvTransformerConfig.named(size))
        bundle = Bundle.assemble(encoder, preparation=Preparation.default()).eval()
        embedder = BundleEmbedder(name=size, bundle=bundle, readout=Readout(), batch_size=batch_size)
        selection = Selection.of([store], "train")
        batches = windows_in_memory(embedder, store, records, batch_size)
        spent: dict[str, list[float]] = {"bare": [], "extraction": []}
        for _ in range(repeats):
            for name, work in (
                ("bare", lambda: bare(embedder, batches)),
                ("extraction", lambda: embedder.embed(selection, condition("clean"))),
            ):
                start = time.perf_counter()
                work()
                spent[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in spent.items()}
    return {
        "encoder": size,
        "records": len(selection),
        "seconds": {name: [round(value, 2) for value in values] for name, values in spent.items()},
        "ratio_to_bare": round(median["bare"] / median["extraction"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "mini"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    found = [measure(size, options.records, options.repeats, options.batch_size) for size in options.sizes]
    result = {"threads": torch.get_num_threads(), "runs": found, "environment": environment()}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
