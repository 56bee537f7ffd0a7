"""Views of a segment through some of its leads, drawn at random."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.errors import LeadError
from anylead.nn.keyed_random import DrawKey, uniform


def require_two_leads(batch: Batch, objective: str) -> None:
    """Refuses a batch that has one column only, for an objective that compares leads.

    Raises:
        LeadError: If there is a single lead.
    """
    if len(batch.leads) < 2:
        raise LeadError(
            f"{objective}: it compares leads and needs at least two of them, and the batch has "
            f"{', '.join(batch.leads)} only; use recordings with more leads, or another objective."
        )


def through(batch: Batch, leads: Bool[Tensor, "B L"]) -> Batch:
    """Returns the batch with these of its leads only."""
    return replace(batch, lead_mask=batch.lead_mask & leads)


def draw_two_sets(batch: Batch, key: DrawKey) -> tuple[Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Deals the present leads of every row to two sets without a common lead, neither empty.

    A row with one present lead has it in both. The sizes are uniform: where n leads are present, the first
    set has 1 to n - 1 of them with equal chances.

    Source: CRLC (Brüsch et al. 2024, arXiv 2410.19842), "disjoint, non-empty"; PEERS §2.7.
    """
    present = batch.lead_mask
    number = present.sum(dim=1, keepdim=True)
    order = torch.where(present, uniform(key.of("order"), batch.row, len(batch.leads)), 2.0)
    rank = order.argsort(dim=1).argsort(dim=1)
    size = 1 + (uniform(key.of("size"), batch.row, 1) * (number - 1).clamp_min(1)).floor()
    first = present & (rank < size)
    second = torch.where(number > 1, present & (rank >= size), present)
    return first, second


def draw_single_leads(
    batch: Batch, key: DrawKey, *, together: bool
) -> tuple[Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Draws two different present leads of every row, as masks; the same one twice where there is one only.

    Args:
        batch: Segments.
        key: Names the draw.
        together: Give both rows of a pair the same order of leads, so that they get the same two leads
            wherever they have the same ones.
    """
    rows = batch.row // 2 * 2 if together else batch.row
    order = torch.where(batch.lead_mask, uniform(key.of("order"), rows, len(batch.leads)), 2.0)
    rank = order.argsort(dim=1).argsort(dim=1)
    first = batch.lead_mask & (rank == 0)
    second = batch.lead_mask & (rank == 1)
    return first, torch.where(second.any(dim=1, keepdim=True), second, first)
