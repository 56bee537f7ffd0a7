"""A batch seen through fewer leads."""

from dataclasses import replace

import torch

from anylead.batch import Batch
from anylead.errors import LeadError


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
