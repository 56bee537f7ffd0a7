"""How long do 1,000 resamples of 26 classes and 20,000 recordings take?

    python benchmarks/bootstrap_speed.py --out benchmarks/bootstrap_speed.json

AUROC and AUPRC of every class in every resample of the patients, in one process on one thread. Beside it, the
same by scikit-learn, one resample after another with copied recordings, extrapolated from a few.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.calibration import calibration_scores
from anylead.evaluation.classification import micro, rank_scores
from anylead.evaluation.evaluate import evaluate_classification
from anylead.provenance import environment
from anylead.seeding import generator


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def copied(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores one resample after another as scikit-learn does it."""
    found = np.empty((2, len(weights), labels.shape[1]))
    for draw, counts in enumerate(weights):
        rows = np.repeat(np.arange(len(counts)), counts.astype(int))
        for k in range(labels.shape[1]):
            found[0, draw, k] = roc_auc_score(labels[rows, k], scores[rows, k])
            found[1, draw, k] = average_precision_score(labels[rows, k], scores[rows, k])
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=26)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--copied", type=int, default=4, help="resamples that scikit-learn scores")
    given = parser.parse_args()
    random = generator(0, "bootstrap speed")
    prevalence = np.geomspace(0.005, 0.4, given.classes)
    labels = random.random((given.records, given.classes)) < prevalence
    scores = 1.0 / (1.0 + np.exp(-random.standard_normal(labels.shape) - labels))
    patients = [str(row // 2) for row in range(given.records)]
    drawing, draws = timed(lambda: patient_draws(patients, resamples=given.resamples))
    weighing, weights = timed(lambda: draws.record_weights(patients))
    ranking, ours = timed(lambda: rank_scores(labels, scores, weights))
    slow, theirs = timed(lambda: copied(labels, scores, weights[: given.copied]))
    np.testing.assert_allclose(ours.auroc[: given.copied], theirs[0], rtol=1e-9)
    np.testing.assert_allclose(ours.auprc[: given.copied], theirs[1], rtol=1e-9)
    whole, _ = timed(
        lambda: evaluate_classification(
            labels,
            scores,
            classes=[str(k) for k in range(given.classes)],
            patients=patients,
            draws=draws,
            system="speed",
            lead_set="12",
            f1_thresholds=np.full(given.classes, 0.5),
        )
    )
    seconds = {
        "drawing patients": drawing,
        "weighing recordings": weighing,
        "auroc and auprc of every class": ranking,
        "all scores of a report": whole,
        "of these, micro": timed(lambda: micro(labels, scores, weights))[0],
        "of these, calibration": timed(lambda: calibration_scores(labels, scores, weights))[0],
        f"scikit-learn, {given.copied} resamples": slow,
    }
    expected = slow / given.copied * given.resamples
    told = {
        "records": given.records,
        "classes": given.classes,
        "resamples": given.resamples,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "scikit-learn, extrapolated, seconds": round(expected, 1),
        "times as fast": round(expected / (drawing + weighing + ranking), 1),
        "environment": environment(),
    }
    given.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps({name: value for name, value in told.items() if name != "environment"}, indent=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
