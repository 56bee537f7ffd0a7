"""Does normalising scores against a cohort help to tell persons apart?

    python benchmarks/score_normalisation.py --store stores/ecg-id --bundle runs/pretrained/bundle \\
        --out benchmarks/results/score_normalisation.json

Persons of a store are dealt to halves. Pairs within one half are verified, as they are and after the adaptive
s-norm with the other half as cohort; equal error rate and true acceptance at 1 % false acceptance, over pairs
of both halves, mean over 20 deals, for the encoder's templates and for median beats (the largest lead set of
the store's recordings). The difference has an interval of the deals, which is no interval over persons.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from anylead.gallery.fusion import adaptive_s_norm
from anylead.gallery.gallery import Gallery
from anylead.gallery.template import TemplateTable
from anylead.provenance import environment, write_json
from anylead.seeding import generator
from anylead.store import Store

DEALS = 20


def rates(scores: np.ndarray, genuine: np.ndarray) -> tuple[float, float]:
    """Returns the equal error rate and the true acceptance rate at 1 % false acceptance."""
    own, other = np.sort(scores[genuine]), np.sort(scores[~genuine])
    thresholds = np.unique(scores)
    rejected = np.searchsorted(own, thresholds) / len(own)
    accepted = 1.0 - np.searchsorted(other, thresholds) / len(other)
    crossing = int(np.argmin(np.abs(rejected - accepted)))
    barrier = other[int(np.ceil(0.99 * len(other))) - 1]
    return float(0.5 * (rejected[crossing] + accepted[crossing])), float((own > barrier).mean())


def deal(table: TemplateTable, number: int) -> dict[str, tuple[float, float]]:
    """Verifies pairs within each half of the persons, plain and normalised by the other half."""
    persons, person = np.unique(table.patient_ids, return_inverse=True)
    first = np.zeros(len(persons), dtype=bool)
    first[generator(0, "halves", number).permutation(len(persons))[: len(persons) // 2]] = True
    similarity = table.vectors.astype(np.float64) @ table.vectors.T.astype(np.float64)
    plain, normalised, genuine = [], [], []
    for inside in (first[person], ~first[person]):
        rows, cohort = np.flatnonzero(inside), np.flatnonzero(~inside)
        left, right = (rows[side] for side in np.triu_indices(len(rows), 1))
        against = similarity[:, cohort]
        plain.append(similarity[left, right])
        normalised.append(adaptive_s_norm(plain[-1], against[left], against[right], top=50))
        genuine.append(person[left] == person[right])
    own = np.concatenate(genuine)
    return {"cosine": rates(np.concatenate(plain), own), "s-norm": rates(np.concatenate(normalised), own)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    store, result = Store.open(given.store), {}
    for templates in ("encoder", "median-beat"):
        with (
            tempfile.TemporaryDirectory() as folder,
            Gallery.create(Path(folder) / "g", given.bundle, templates=templates) as gallery,
        ):
            gallery.enrol_store(store)
            counts = gallery.database.template_counts()
            lead_set = max(counts, key=lambda name: counts[name])
            table = gallery.database.templates(lead_set)
        deals = [deal(table, number) for number in range(DEALS)]
        found = {"lead_set": lead_set, "recordings": len(table.record_ids)}
        for place, name in enumerate(("equal_error_rate", "true_acceptance_at_1_percent")):
            values = {how: np.array([one[how][place] for one in deals]) for how in ("cosine", "s-norm")}
            low, high = np.quantile(values["s-norm"] - values["cosine"], (0.025, 0.975)).round(4).tolist()
            found[name] = {how: round(float(one.mean()), 4) for how, one in values.items()}
            found[name]["difference_of_deals"] = [low, high]
        result[templates] = found
        print(templates, json.dumps(found))
    made = environment()
    del made["command"]
    write_json(given.out, {"store": given.store.name, "deals": DEALS, **result, "environment": made})


if __name__ == "__main__":
    main()
