"""Hand-made features under the protocol of the first real run: same recordings, classes, probe, intervals.

python benchmarks/handmade_baseline.py --run runs/first-real-run
"""

import argparse
import json
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from anylead.config import to_plain
from anylead.evaluation.baselines import handmade_features
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.evaluate import evaluate_classification
from anylead.evaluation.probe import fit_probe
from anylead.leads import LEAD_SETS
from anylead.sources.challenge import SCORED_CLASSES, class_targets
from anylead.store import Store
from anylead.workflows.selection import Selection

STORES = ("ptb-xl", "cinc2021", "cinc2020", "ludb")


def features(selection: Selection, leads: tuple[str, ...]) -> np.ndarray:
    rows = []
    for number, row in selection.recordings:
        record = selection.stores[number].record(row).select(leads)
        rows.append(
            handmade_features(
                np.nan_to_num(record.signal), leads, rate_hz=record.sampling_rate_hz, vocabulary=leads
            )
        )
    found = np.array(rows, dtype=np.float64)
    return np.where(np.isfinite(found), found, 0.0)


def targets(selection: Selection) -> np.ndarray:
    labels = [selection.stores[number].column("labels")[row] for number, row in selection.recordings]
    return np.array([class_targets(codes) for codes in labels], dtype=bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args()
    stores = tuple(Store.open(options.run / "stores" / name) for name in STORES)
    train, valid, test = (Selection.of(stores, split).labelled() for split in ("train", "valid", "test"))
    seen = Selection(stores=train.stores, recordings=train.recordings + valid.recordings)
    found = {}
    for name in ("12", "2", "I"):
        leads = LEAD_SETS[name]
        fitted, judged = seen.with_leads(leads), test.with_leads(leads)
        classes = np.flatnonzero((targets(fitted).sum(0) >= 5) & (targets(test).sum(0) >= 5))
        with threadpool_limits(1):
            probe = fit_probe(features(fitted, leads), targets(fitted)[:, classes], patients=fitted.persons)
        evaluation = evaluate_classification(
            targets(judged)[:, classes],
            probe.predict_proba(features(judged, leads)),
            classes=[SCORED_CLASSES[c].abbreviation for c in classes],
            patients=judged.persons,
            draws=patient_draws(test.persons, resamples=1000, seed=0),
            system="hand-made features",
            lead_set=name,
        )
        found[name] = to_plain(evaluation.result)
        print(name, len(classes), "classes", evaluation.result.macro_auroc)
    (options.run / "handmade.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
