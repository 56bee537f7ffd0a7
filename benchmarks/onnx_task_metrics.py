"""What ONNX files and short numbers do to what counts: findings and persons recognised.

    python benchmarks/onnx_task_metrics.py --bundle BUNDLE --classifier BUNDLE --stores STORES... \\
        --identify STORES... --out benchmarks/results/onnx_task_metrics.json

Each system is the same bundle run in another way: by torch in single precision, by torch with products in
bfloat16, and as ONNX files. A fine-tuned head gives its probabilities; a probe is fitted on each system's own
embeddings, and persons are told apart by each system's own embeddings, as the commands `evaluate classify`,
`evaluate probe` and `evaluate identify` do. Differences are paired, with intervals over patients: torch in
single precision minus the other.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anylead.batch import Batch
from anylead.bundle import Bundle, load
from anylead.export import OnnxNetwork
from anylead.export.contract import OnnxContract
from anylead.export.onnx_file import graph_of, write_graph
from anylead.provenance import environment
from anylead.workflows.judge_classification import (
    EvaluateClassifyConfig,
    EvaluateProbeConfig,
    judge_classify,
    judge_probe,
)
from anylead.workflows.judge_identification import EvaluateIdentifyConfig, judge_identify
from anylead.workflows.selection import Selection, embed_selection, open_stores
from anylead.workflows.systems import Judgement, System

PRECISIONS = ("float32", "bfloat16", "int8")
NAMES = ("torch float32", "torch bfloat16", *(f"onnx {precision}" for precision in PRECISIONS))
Model = Callable[[Batch], Tensor]


class Elsewhere(Bundle):
    """A bundle whose networks are run in another way; everything around them is the bundle's own."""

    def __init__(self, bundle: Bundle, *, reader: Model, classifier: Callable[[str], Model]) -> None:
        super().__init__(encoder=bundle.encoder, heads=dict(bundle.heads), manifest=bundle.manifest)
        self.read_elsewhere, self.classify_elsewhere = reader, classifier
        self.eval()

    def reader(self, readout: Any = None) -> Model:
        assert readout in (None, self.manifest.readout)
        return self.read_elsewhere

    def classifier(self, head: str | None = None) -> Model:
        return self.classify_elsewhere(self.classification_head(head))


def in_bfloat16(model: Model) -> Model:
    def run(batch: Batch) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(batch)

    return run


def systems_of(bundle: Bundle, folder: Path, lead_sets: tuple[str, ...]) -> list[System]:
    """The same bundle in five ways; ONNX files are written into the folder."""
    contract = OnnxContract.of(bundle, precision="float32")
    graph = graph_of(bundle, contract)
    ways = [
        bundle,
        Elsewhere(
            bundle,
            reader=in_bfloat16(bundle.reader()),
            classifier=lambda head: in_bfloat16(bundle.classifier(head)),
        ),
    ]
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        write_graph(graph, path, replace(contract, precision=precision))
        network = OnnxNetwork(path)
        ways.append(Elsewhere(bundle, reader=network.reader(), classifier=network.classifier))
    return [
        System(name=name, bundles=dict.fromkeys(lead_sets, way))
        for name, way in zip(NAMES, ways, strict=True)
    ]


def told(judgement: Judgement) -> dict:
    """What each system scored, and how much less than torch in single precision, with intervals."""
    scores, differences = [], []
    for one in judgement.results:
        row: dict = {"system": one.system, "lead_set": one.lead_set}
        for name in ("subset", "records", "patients", "probes", "persons"):
            if hasattr(one, name):
                row[name] = getattr(one, name)
        for metric in ("macro_auroc", "macro_auprc", "challenge_score", "rank1", "eer"):
            value = getattr(one, metric, None)
            if value is not None and value.value is not None:
                row[metric] = [rounded(value.value), rounded(value.low), rounded(value.high)]
        scores.append(row)
    for apart in judgement.differences:
        differences.append(
            {
                "other": apart.b,
                "metric": apart.metric,
                "lead_set": apart.lead_set,
                "subset": apart.subset,
                "difference": [rounded(getattr(apart.interval, end)) for end in ("value", "low", "high")],
                "excludes_zero": apart.excludes_zero,
            }
        )
    return {"scores": scores, "torch_float32_minus": differences}


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def vectors_apart(systems: list[System], selection: Selection, name: str, leads: tuple[str, ...]) -> dict:
    """How far embeddings of recordings are from those of the first system."""
    chosen = selection.with_leads(leads)
    vectors = [embed_selection(one.bundles[name], chosen, lead_set=leads).astype(float) for one in systems]
    whole = np.all([np.isfinite(one).all(axis=1) for one in vectors], axis=0)
    first = vectors[0][whole]
    found = {}
    for system, part in zip(systems[1:], vectors[1:], strict=True):
        other = part[whole]
        cosine = (first * other).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(other, axis=1)
        found[system.name] = {
            "recordings": int(whole.sum()),
            "cosine_lowest": round(float(cosine.min()), 6),
            "cosine_median": round(float(np.median(cosine)), 6),
            "largest_difference": float(f"{np.abs(first - other).max():.2g}"),
            "largest_number": float(f"{np.abs(first).max():.2g}"),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="pre-trained, for probe and persons")
    parser.add_argument("--classifier", type=Path, required=True, help="with a classification head")
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="labelled")
    parser.add_argument("--identify", type=Path, nargs="*", default=[], help="more stores, for persons only")
    parser.add_argument("--lead-sets", nargs="+", default=["12", "2", "I"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lead_sets = tuple(options.lead_sets)
    start = time.time()
    result: dict = {"stores": [path.name for path in (*options.stores, *options.identify)]}
    with tempfile.TemporaryDirectory() as folder:
        for task, path in (("pretrained", options.bundle), ("classifier", options.classifier)):
            bundle, place = load(path), Path(folder, task)
            place.mkdir()
            systems = systems_of(bundle, place, lead_sets)
            stores = open_stores(options.stores, bundle)
            result[task] = {
                "encoder": bundle.manifest.encoder_kind,
                "parameters": sum(one.numel() for one in bundle.encoder.parameters()),
                "file_bytes": {one: (place / f"{one}.onnx").stat().st_size for one in PRECISIONS},
            }
            common: dict = {
                **{"bundles": (path,), "stores": tuple(options.stores), "out": Path(folder)},
                **{"lead_sets": lead_sets, "seed": options.seed},
            }
            test = Selection.of(stores, "test")
            if task == "classifier":
                result["head"] = told(
                    judge_classify(EvaluateClassifyConfig(**common), systems, test.labelled())
                )
                continue
            result[task]["embeddings"] = {
                name: vectors_apart(systems, test, name, EvaluateProbeConfig(**common).leads[name])
                for name in lead_sets
            }
            parts = [Selection.of(stores, split) for split in ("train", "valid")]
            training = Selection(stores=stores, recordings=parts[0].recordings + parts[1].recordings)
            probe = EvaluateProbeConfig(**common)
            result["probe"] = told(judge_probe(probe, systems, training.labelled(), test.labelled()))
            persons = open_stores([*options.stores, *options.identify], bundle)
            identify = EvaluateIdentifyConfig(**common)
            parts = [Selection.of(persons, split) for split in ("train", "valid")]
            training = Selection(stores=persons, recordings=parts[0].recordings + parts[1].recordings)
            tested = Selection.of(persons, "test").of_known_persons()
            result["persons"] = told(judge_identify(identify, systems, training, tested))
            print(f"{task}: {time.time() - start:.0f} s", flush=True)
    result |= {"seconds": round(time.time() - start), "environment": environment()}
    # Where things lie on this machine is nobody's business.
    result["environment"].pop("command")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(tables(result)))


def tables(result: dict) -> list[str]:
    """Markdown: the metric of each system, and how much more that is than torch in single precision has."""
    lines = []
    for task, metric, subset in (
        ("head", "macro_auroc", None),
        ("head", "challenge_score", None),
        ("probe", "macro_auroc", None),
        ("persons", "rank1", "cross_session"),
        ("persons", "rank1", "all"),
    ):
        part = result[task]
        rows = [one for one in part["scores"] if metric in one and one.get("subset") == subset]
        # Thresholds change the Challenge score alone, and without them it means little.
        chosen = metric == "challenge_score"
        rows = [one for one in rows if ("thresholds" in one["system"]) == chosen]
        sets = list(dict.fromkeys(one["lead_set"] for one in rows))
        if not rows:
            continue
        lines += ["", f"### {task}: {metric}{f', {subset}' if subset else ''}", ""]
        lines += ["| system | " + " | ".join(sets) + " |", "|---" * (len(sets) + 1) + "|"]
        for system in dict.fromkeys(one["system"] for one in rows):
            cells = [cell(part, rows, system, name, metric, subset) for name in sets]
            lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return lines


def cell(part: dict, rows: list[dict], system: str, lead_set: str, metric: str, subset: str | None) -> str:
    mine = [one[metric] for one in rows if (one["system"], one["lead_set"]) == (system, lead_set)]
    if not mine:
        return "-"
    apart = [
        one["difference"]
        for one in part["torch_float32_minus"]
        if (one["other"], one["metric"], one["lead_set"], one["subset"]) == (system, metric, lead_set, subset)
    ]
    if not apart:
        return f"{mine[0][0]:.4f} [{mine[0][1]:.3f}, {mine[0][2]:.3f}]"
    # Turned round: what the other has more. Zero has no sign.
    value, low, high = (0.0 - (end or 0.0) for end in apart[0])
    return f"{mine[0][0]:.4f} ({value:+.4f} [{high:+.4f}, {low:+.4f}])"


if __name__ == "__main__":
    main()
