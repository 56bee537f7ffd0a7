"""Templates of recordings: one vector of length 1 for each lead set whose leads a recording has all of."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from anylead.bundle.bundle import Bundle
from anylead.bundle.inference import cut, record_means
from anylead.errors import GalleryError
from anylead.gallery.template import LeadSet
from anylead.record import Record


def usable_lead_sets(bundle: Bundle, lead_sets: Sequence[LeadSet]) -> tuple[LeadSet, ...]:
    """Returns the lead sets that the bundle's encoder knows all leads of.

    Raises:
        GalleryError: If there is none.
    """
    known = bundle.encoder.leads
    usable = tuple(one for one in lead_sets if set(one.leads) <= set(known))
    if not usable:
        raise GalleryError(
            f"gallery: the bundle knows the leads {', '.join(known)}, which are all of none of the lead sets "
            f"{', '.join(one.name for one in lead_sets) or '(none)'}; name other lead sets."
        )
    return usable


def embed_prepared(
    bundle: Bundle, records: Sequence[Record], lead_sets: Sequence[LeadSet], *, batch_size: int = 64
) -> list[dict[str, Float32[np.ndarray, "dimension"]]]:
    """Returns the templates of recordings, the mean over their windows, of length 1.

    Only windows without a missing sample in any lead of the set count: a template of twelve leads is made by
    twelve leads.

    Args:
        bundle: The encoder; its readout is used.
        records: Prepared by the bundle's own steps.
        lead_sets: Largest first.
        batch_size: Windows at a time.

    Returns:
        Name of a lead set -> vector, in the order of the sets; none for a set that a recording lacks leads of
        or has no complete window of.
    """
    templates: list[dict[str, np.ndarray]] = [{} for _ in records]
    for lead_set in lead_sets:
        numbers = [number for number, one in enumerate(records) if set(lead_set.leads) <= set(one.leads)]
        windows = (
            window
            for number in numbers
            for window in cut(
                lambda start, count, signal=records[number].signal: signal[:, start : start + count],  # type: ignore[misc]
                samples=records[number].samples,
                leads=records[number].leads,
                known=lead_set.leads,
                length=bundle.manifest.window_samples,
                record=number,
            )
            if np.isfinite(window.signal).all() and bundle.encoder.num_tokens(window.signal.shape[1]) >= 1
        )
        rows = bundle.run(bundle.reader(), windows, batch_size=batch_size)
        means, seen = record_means(rows, len(records))
        for number in np.flatnonzero(seen).tolist():
            length = float(np.linalg.norm(means[number].astype(np.float64)))
            # Embeddings of length 0 or without numbers have no direction to compare.
            if np.isfinite(length) and length > 0.0:
                templates[number][lead_set.name] = (means[number] / length).astype(np.float32)
    return templates


def template_dimension(bundle: Bundle, lead_set: LeadSet) -> int:
    """Returns the length of the bundle's vectors, by making one of noise."""
    samples = bundle.manifest.window_samples
    noise = np.random.default_rng(0).normal(0.0, 0.1, (len(lead_set.leads), samples)).astype(np.float32)
    record = Record(
        signal=noise, leads=lead_set.leads, sampling_rate_hz=float(bundle.manifest.sampling_rate_hz)
    )
    return len(embed_prepared(bundle, [record], [lead_set])[0][lead_set.name])
