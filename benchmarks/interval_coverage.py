"""How often do the intervals of a report hold the truth, where patients have several recordings each?

    python benchmarks/interval_coverage.py --out benchmarks/interval_coverage.json [--sets 2000]

Data sets are made up so that the truth is known: normal scores, correlated within a patient, and labels of
which a patient has some positive and some negative. Two more shapes of scores, wider positives and a part
of the positives that looks like negatives, show what happens where the interval's assumption fails. The
constants of `auroc_interval` were chosen on other random numbers than these.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import special

from anylead.evaluation.auroc_interval import auroc_bounds
from anylead.evaluation.bootstrap import logit_interval, patient_draws, percentile_interval
from anylead.evaluation.classification import macro, rank_scores
from anylead.provenance import environment
from anylead.seeding import generator

Shape = Literal["normal", "wide", "mixture"]
POSITIVES = (10, 20, 49, 50, 100, 300)
AUROCS = (0.6, 0.8, 0.95, 0.99)
MACROS = {
    "ten classes of 12 positives": ([12] * 10, list(np.linspace(0.8, 0.98, 10))),
    "ten classes of 10 to 300 positives": (
        [10, 12, 15, 20, 30, 50, 80, 120, 200, 300],
        list(np.linspace(0.75, 0.97, 10)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Patients:
    """How the recordings of one patient belong together."""

    name: str
    recordings: int
    """Of each patient."""
    scores: float = 0.0
    """Correlation of the scores of a patient's recordings."""
    labels: float = 0.0
    """Correlation of what makes a recording positive: patients have some positives and some negatives."""


ALONE = Patients(name="1 recording a patient", recordings=1)
SOME = Patients(name="4 recordings a patient", recordings=4, scores=0.7, labels=0.6)
MANY = Patients(name="8 recordings a patient", recordings=8, scores=0.8, labels=0.8)


def data_sets(
    random: np.random.Generator,
    *,
    sets: int,
    positives: int,
    records: int,
    auroc: float,
    patients: Patients,
    shape: Shape = "normal",
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns labels and scores, a column a data set, and whose each row is."""
    count = records // patients.recordings

    def correlated(part: float) -> np.ndarray:
        own = random.standard_normal((records, sets))
        shared = np.repeat(random.standard_normal((count, sets)), patients.recordings, axis=0)
        return np.sqrt(part) * shared + np.sqrt(1.0 - part) * own

    propensity = correlated(patients.labels)
    labels = propensity >= np.partition(propensity, records - positives, axis=0)[records - positives]
    noise = correlated(patients.scores)
    if shape == "wide":
        scores = np.where(labels, 1.8 * noise + np.sqrt(1.0 + 1.8**2) * special.ndtri(auroc), noise)
    elif shape == "mixture":
        hidden = 1.4 * (1.0 - auroc)
        apart = special.ndtri((auroc - 0.5 * hidden) / (1.0 - hidden))
        scores = noise + np.sqrt(2.0) * apart * (labels & (random.random(labels.shape) >= hidden))
    else:
        scores = noise + np.sqrt(2.0) * special.ndtri(auroc) * labels
    return labels, scores, [str(row // patients.recordings) for row in range(records)]


def population_auprc(auroc: float, prevalence: float) -> float:
    """Returns the average precision of endlessly many recordings with normal scores."""
    thresholds = np.linspace(-9.0, 14.0, 200_001)
    found = special.ndtr(np.sqrt(2.0) * special.ndtri(auroc) - thresholds)
    answered = prevalence * found + (1.0 - prevalence) * special.ndtr(-thresholds)
    precision = np.divide(prevalence * found, answered, out=np.ones_like(found), where=answered > 0.0)
    return float(np.sum(0.5 * (precision[1:] + precision[:-1]) * -np.diff(found)))


def auroc_cell(positives: int, auroc: float, patients: Patients, shape: Shape, sets: int, seed: int) -> dict:
    """Measures the interval of one class's AUROC."""
    random = generator(seed, "coverage", positives, str(auroc), patients.name, shape)
    labels, scores, whose = data_sets(
        random,
        sets=sets,
        positives=positives,
        records=max(1000, 4 * positives),
        auroc=auroc,
        patients=patients,
        shape=shape,
    )
    bounds = auroc_bounds(labels, scores, whose)
    told = ~np.isnan(bounds.low)
    holds = (bounds.low <= auroc) & (auroc <= bounds.high)
    return {
        "positives": positives,
        "auroc": auroc,
        "patients": patients.name,
        "shape": shape,
        "sets": int(told.sum()),
        "without_interval": int((~told).sum()),
        "coverage": round(float(holds[told].mean()), 4),
        "too_high": round(float((bounds.low[told] > auroc).mean()), 4),
        "too_low": round(float((bounds.high[told] < auroc).mean()), 4),
        "mean_width": round(float((bounds.high - bounds.low)[told].mean()), 4),
        "positive_patients": round(float(bounds.positive_patients.mean()), 1),
    }


def resampled_cell(
    positives: int, auroc: float, patients: Patients, sets: int, resamples: int, seed: int
) -> dict:
    """Measures the interval of average precision, and the percentile intervals it and the others replace."""
    records = max(1000, 4 * positives)
    random = generator(seed, "coverage, resampled", positives, str(auroc), patients.name)
    labels, scores, whose = data_sets(
        random, sets=sets, positives=positives, records=records, auroc=auroc, patients=patients
    )
    truth = population_auprc(auroc, positives / records)
    freedom = auroc_bounds(labels, scores, whose).positive_patients - 1.0
    held: dict[str, list[bool]] = {"auprc": [], "auprc, percentiles": [], "auroc, percentiles": []}
    width, values = [], []
    for one in range(sets):
        weights = _weights(whose, resamples, seed=one)
        found = rank_scores(labels[:, one : one + 1], scores[:, one : one + 1], weights)
        area, precision = found.auroc[:, 0], found.auprc[:, 0]
        intervals = {
            "auprc": logit_interval(float(precision[0]), precision[1:], freedom=float(freedom[one])),
            "auprc, percentiles": percentile_interval(float(precision[0]), precision[1:]),
            "auroc, percentiles": percentile_interval(float(area[0]), area[1:]),
        }
        values.append(float(precision[0]))
        for name, interval in intervals.items():
            if interval.low is not None and interval.high is not None:
                held[name].append(interval.low <= (auroc if "auroc" in name else truth) <= interval.high)
                if name == "auprc":
                    width.append(interval.high - interval.low)
    return {
        "positives": positives,
        "auroc": auroc,
        "patients": patients.name,
        "sets": sets,
        "true_auprc": round(truth, 4),
        "mean_auprc": round(float(np.mean(values)), 4),
        "coverage": {name: round(float(np.mean(one)), 4) for name, one in held.items()},
        "mean_width": round(float(np.mean(width)), 4),
    }


def macro_cell(name: str, patients: Patients, sets: int, resamples: int, seed: int) -> dict:
    """Measures the intervals of macro AUROC and AUPRC.

    Average precision of few positives lies too high in every class, which a mean over classes does not even
    out: its interval is also held against the mean over all data sets.
    """
    positives, areas = MACROS[name]
    random = generator(seed, "coverage, macro", name, patients.name)
    records = 800
    given = [
        data_sets(random, sets=sets, positives=count, records=records, auroc=area, patients=patients)
        for count, area in zip(positives, areas, strict=True)
    ]
    chosen = np.ones(len(positives), dtype=bool)
    area, precision = [], []
    for one in range(sets):
        labels = np.stack([labels[:, one] for labels, _, _ in given], axis=1)
        scores = np.stack([scores[:, one] for _, scores, _ in given], axis=1)
        found = rank_scores(labels, scores, _weights(given[0][2], resamples, seed=one))
        freedom = auroc_bounds(labels, scores, given[0][2]).mean_freedom(chosen)
        values = macro(found.auroc)
        area.append(
            (
                logit_interval(float(values[0]), values[1:], freedom=freedom),
                percentile_interval(float(values[0]), values[1:]),
            )
        )
        values = macro(found.auprc)
        precision.append(percentile_interval(float(values[0]), values[1:]))
    truth = float(np.mean(areas))
    pairs = zip(areas, positives, strict=True)
    true_auprc = float(np.mean([population_auprc(one, count / records) for one, count in pairs]))
    mean_auprc = float(np.mean([one.value for one in precision]))
    held = {
        "macro auroc": [one.low <= truth <= one.high for one, _ in area],
        "macro auroc, percentiles": [one.low <= truth <= one.high for _, one in area],
        "macro auprc, percentiles": [one.low <= true_auprc <= one.high for one in precision],
        "macro auprc, percentiles, of the mean": [one.low <= mean_auprc <= one.high for one in precision],
    }
    return {
        "classes": name,
        "patients": patients.name,
        "sets": sets,
        "true_auprc": round(true_auprc, 4),
        "mean_auprc": round(mean_auprc, 4),
        "coverage": {name: round(float(np.mean(one)), 4) for name, one in held.items()},
        "mean_width": round(float(np.mean([one.high - one.low for one, _ in area])), 4),
    }


def _weights(whose: list[str], resamples: int, *, seed: int) -> np.ndarray:
    drawn = patient_draws(whose, resamples=resamples, seed=seed).record_weights(whose)
    return np.concatenate([np.ones((1, len(whose))), drawn])


def _extremes(cells: Sequence[dict], positives: Sequence[int]) -> dict:
    chosen = [cell["coverage"] for cell in cells if cell["positives"] in positives]
    return {"cells": len(chosen), "lowest": min(chosen), "highest": max(chosen)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--resampled-sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.perf_counter()
    normal = [
        auroc_cell(positives, auroc, patients, "normal", given.sets, given.seed)
        for positives in POSITIVES
        for auroc in AUROCS
        for patients in (ALONE, SOME, MANY)
    ]
    for cell in normal:
        few_positives = cell["positives"] < 50
        if not 0.93 <= cell["coverage"] <= (1.0 if few_positives else 0.97):
            # Of so many cells, one may be outside by chance: other, and three times as many, data sets tell.
            (patients,) = (one for one in (ALONE, SOME, MANY) if one.name == cell["patients"])
            again = auroc_cell(
                cell["positives"], cell["auroc"], patients, "normal", 3 * given.sets, given.seed + 1
            )
            cell["again"] = {name: again[name] for name in ("sets", "coverage")}
    others = [
        auroc_cell(positives, auroc, patients, shape, given.sets // 2, given.seed)
        for shape in ("wide", "mixture")
        for positives in POSITIVES
        for auroc in AUROCS
        for patients in (ALONE, SOME)
    ]
    resampled = [
        resampled_cell(positives, auroc, patients, given.resampled_sets, 200, given.seed)
        for positives in (10, 20, 50, 100, 300)
        for auroc in AUROCS[1:]
        for patients in (ALONE, SOME)
    ]
    macros = [
        macro_cell(name, patients, given.resampled_sets, 200, given.seed)
        for name in MACROS
        for patients in (ALONE, SOME)
    ]
    few, many = (10, 20, 49), (50, 100, 300)
    summary = {
        "auroc, 10 to 49 positives": _extremes(normal, few),
        "auroc, 50 positives and more": _extremes(normal, many),
        "auroc, cells outside, measured again": [cell for cell in normal if "again" in cell],
        **{
            f"auroc, {shape}, {name}": _extremes([one for one in others if one["shape"] == shape], counts)
            for shape in ("wide", "mixture")
            for name, counts in (("10 to 49 positives", few), ("50 positives and more", many))
        },
        **{
            name: _extremes([{**one, "coverage": one["coverage"][name]} for one in resampled], (*few, *many))
            for name in ("auprc", "auprc, percentiles", "auroc, percentiles")
        },
    }
    told = {
        "summary": summary,
        "auroc": normal,
        "auroc, other shapes": others,
        "resampled": resampled,
        "macro": macros,
        "macros": {name: {"positives": counts, "aurocs": areas} for name, (counts, areas) in MACROS.items()},
        "patients": [asdict(one) for one in (ALONE, SOME, MANY)],
        "seed": given.seed,
        "seconds": round(time.perf_counter() - start, 1),
        "environment": environment(),
    }
    given.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    print(f"{told['seconds']} s")


if __name__ == "__main__":
    main()
