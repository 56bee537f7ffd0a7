"""A batch seen through fewer leads."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64

from anylead.batch import Batch
from anylead.errors import ConfigError, LeadError
from anylead.leads import lead_set


def restrict_leads(batch: Batch, leads: tuple[str, ...]) -> Batch:
    """Makes all leads absent but the given ones; the columns stay.

    Raises:
        LeadError: If the batch has none of them.
    """
    wanted = [name in leads for name in batch.leads]
    if not any(wanted):
        raise LeadError(
            f"batch: none of the leads {', '.join(leads)} is a column; it has {', '.join(batch.leads)}."
        )
    return replace(batch, lead_mask=batch.lead_mask & torch.tensor(wanted, device=batch.lead_mask.device))


def store_lead_sets(words: Sequence[str], stores: int) -> tuple[tuple[str, ...] | None, ...]:
    """Returns the leads that each store shows; None shows all it has.

    Args:
        words: One a store: ``all``, a named set such as ``6``, or leads such as ``I,II``; none means all.
        stores: How many there are.

    Raises:
        ConfigError: If there is not one a store.
        LeadError: If a set names a lead twice.
    """
    if words and len(words) != stores:
        raise ConfigError(
            f"store leads: got {len(words)} for {stores} stores; give one for each store, in their order: "
            "all, a set such as 6, or leads such as I,II."
        )
    found = tuple(None if word == "all" else lead_set(word) for word in words)
    return found or (None,) * stores


def shown_leads(
    leads: tuple[str, ...], store_leads: Sequence[tuple[str, ...] | None]
) -> list[tuple[str, ...]]:
    """Returns which of the leads each store shows.

    Raises:
        LeadError: If a store would show none of them.
    """
    found = [leads if own is None else tuple(name for name in leads if name in own) for own in store_leads]
    for number, (own, shown) in enumerate(zip(store_leads, found, strict=True)):
        if own is not None and not shown:
            raise LeadError(
                f"store leads: store {number + 1} is to show {', '.join(own)}, and none of these is fed; "
                f"name some of {', '.join(leads)}."
            )
    return found


def restrict_rows(batch: Batch, shown: Sequence[tuple[str, ...]], stores: Int64[np.ndarray, "B"]) -> Batch:
    """Makes the leads of each row absent but those that its store shows.

    Args:
        batch: Segments.
        shown: By `shown_leads`, one a store.
        stores: Number of the store of each row.
    """
    if all(own == batch.leads for own in shown):
        return batch
    visible = np.array([[name in own for name in batch.leads] for own in shown])
    return replace(batch, lead_mask=batch.lead_mask & torch.from_numpy(visible[stores]))
