"""Made-up answers of two systems, for the tests of comparisons."""

import numpy as np

from anylead.evaluation.predictions import BlockKey, ClassificationBlock, IdentificationBlock
from anylead.evaluation.predictions_file import read_predictions, write_predictions

CLASSES = ("AF", "SR", "PVC")
RECORDS = tuple(f"s/{number:03d}" for number in range(80))
PATIENTS = tuple(f"person {number // 2}" for number in range(80))
LABELS = np.random.default_rng(0).random((80, 3)) < 0.3


def classification(
    system,
    skill,
    *,
    condition="clean",
    protocol="probe",
    seed=0,
    rows=slice(None),
    labels=LABELS,
    patients=PATIENTS,
):
    noise = np.random.default_rng([seed, len(condition)]).normal(size=LABELS.shape)
    return ClassificationBlock(
        key=BlockKey(task="classification", protocol=protocol, condition=condition, system=system),
        record_ids=RECORDS[rows],
        patients=patients[rows],
        labels=labels[rows],
        scores=(skill * LABELS + noise).astype(np.float32)[rows],
    )


def identification(
    system, ranks, *, patients, sessions=None, enrolled=40, condition="clean", protocol="cosine"
):
    count = len(ranks)
    return IdentificationBlock(
        key=BlockKey(task="identification", protocol=protocol, condition=condition, system=system),
        record_ids=RECORDS[:count],
        patients=tuple(patients),
        ranks=np.array(ranks, dtype=np.int32),
        enrolled=np.full(count, enrolled, dtype=np.int32),
        own_similarity=np.full(count, 0.5, dtype=np.float32),
        best_other_similarity=np.full(count, 0.4, dtype=np.float32),
        sessions=tuple(sessions or ["unknown"] * count),
    )


def keep(path, *blocks, classes=CLASSES, stores=("f1",)):
    with write_predictions(path, classes=classes, stores=stores) as writer:
        for block in blocks:
            writer.write(block)
    return read_predictions(path)
