"""What was recorded and what was not: zeros before any arithmetic, and frames of recorded samples."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anylead.batch import Batch
from anylead.errors import LeadError
from anylead.nn.dipole import fill_absent_leads

AbsentLeads = Literal["zero_fill", "vcg_fill"]
"""What stands in the column of an absent lead: zeros, or what follows from the others if anything does."""


def present_signal(
    batch: Batch, leads: tuple[str, ...], absent: AbsentLeads = "zero_fill"
) -> Float[Tensor, "B L N"]:
    """Returns the columns of the given leads, zero wherever nothing was recorded.

    Args:
        batch: Segments, through whichever leads they have.
        leads: Columns wanted, in order.
        absent: With ``vcg_fill`` leads that follow from others are not zero (`fill_absent_leads`).

    Raises:
        LeadError: If the batch has none of the leads.
    """
    if not set(batch.leads) & set(leads):
        raise LeadError(
            f"encoder: none of the leads {', '.join(batch.leads)} is known; it knows {', '.join(leads)}."
        )
    ordered = batch.select(leads)
    present = ordered.lead_mask.unsqueeze(2) & ordered.sample_mask.unsqueeze(1)
    signal = torch.where(present, ordered.signal, 0.0)
    return fill_absent_leads(signal, ordered.lead_mask, leads)[0] if absent == "vcg_fill" else signal


def num_frames(samples: int, stride: int) -> int:
    """Returns the frames of a convolution with half a kernel of padding: one for every begun stride."""
    return (samples + stride - 1) // stride


def frame_mask(sample_mask: Bool[Tensor, "B N"], stride: int) -> Bool[Tensor, "B T"]:
    """Returns which frames of such a convolution have their centre on a present sample."""
    centres = torch.arange(num_frames(sample_mask.shape[1], stride), device=sample_mask.device) * stride
    return centres < sample_mask.sum(dim=1, keepdim=True)


def mean_square(frames: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, ""]:
    """Returns the mean square over present frames, in single precision at least; `mask` None counts all."""
    wide = frames if frames.dtype == torch.float64 else frames.float()
    if mask is None:
        return wide.square().mean()
    squares = torch.where(mask.unsqueeze(-1), wide, 0.0).square().sum()
    return squares / (mask.sum().clamp_min(1) * frames.shape[2])
