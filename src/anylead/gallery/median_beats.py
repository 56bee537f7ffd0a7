"""Templates without learning: the median beat of each lead, which a small encoder has yet to beat.

On ECG-ID it names the right person about twice as often as the encoder of our first real run
(docs/results/identification.md). It knows the shape of a beat only: no rhythm, no amplitude.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from anylead.evaluation.baselines import median_beat_embedding
from anylead.gallery.template import LeadSet
from anylead.record import Record

MODEL = "median-beat-1"
"""Stands in the place of a bundle's fingerprint; another number is another way to make them."""


def median_beat_templates(
    records: Sequence[Record], lead_sets: Sequence[LeadSet], *, dimension: int
) -> list[dict[str, Float32[np.ndarray, "dimension"]]]:
    """Returns the median beats of recordings, of length 1, with zeros behind those of small lead sets.

    Args:
        records: Prepared, all at one rate.
        lead_sets: Largest first.
        dimension: From `median_beat_dimension`.

    Returns:
        As `embed_prepared`; none for a set that a recording lacks leads of, or where no beat was found.
    """
    templates: list[dict[str, np.ndarray]] = [{} for _ in records]
    for made, record in zip(templates, records, strict=True):
        for lead_set in lead_sets:
            vector = (
                _template(record, lead_set, dimension) if set(lead_set.leads) <= set(record.leads) else None
            )
            if vector is not None:
                made[lead_set.name] = vector
    return templates


def median_beat_dimension(lead_sets: Sequence[LeadSet], *, rate_hz: float) -> int:
    """Returns the length of the vectors: that of the largest lead set.

    Args:
        lead_sets: Of the gallery.
        rate_hz: Sampling rate of the prepared recordings.
    """
    noise = np.random.default_rng(0).normal(0.0, 0.1, (1, round(2 * rate_hz))).astype(np.float32)
    points = len(median_beat_embedding(noise, ("I",), rate_hz=rate_hz, vocabulary=("I",)))
    return points * max(len(one.leads) for one in lead_sets)


def _template(record: Record, lead_set: LeadSet, dimension: int) -> Float32[np.ndarray, "dimension"] | None:
    rows = [record.leads.index(lead) for lead in lead_set.leads]
    signal = record.signal[rows]
    if not np.isfinite(signal).all():
        return None  # a median beat of some leads is none of all of them
    shape = median_beat_embedding(
        signal, lead_set.leads, rate_hz=record.sampling_rate_hz, vocabulary=lead_set.leads
    )
    length = float(np.linalg.norm(shape))
    if not length > 0.0:
        return None
    vector = np.zeros(dimension, dtype=np.float32)
    vector[: len(shape)] = shape / length
    return vector
