"""Contrastive multi-segment coding: two segments of one person agree (the global loss)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def unit_rows(x: Float[Tensor, "B D"], *, detach_norm: bool, epsilon: float = 1e-8) -> Float[Tensor, "B D"]:
    """Divides every row by its length; with `detach_norm` the length is a constant to the gradient.

    Source: METHOD §0.7 and §3.8.
    """
    norm = x.norm(dim=1, keepdim=True)
    length: Tensor = (norm.detach() if detach_norm else norm).clamp_min(epsilon)
    return x / length


def cmsc_loss(
    pooled: Float[Tensor, "B D"],
    patient: Int64[Tensor, "B"],
    segment: Int64[Tensor, "B"],
    *,
    temperature: float = 0.1,
    detach_norm: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the symmetric contrastive loss between first and second segments, and its accuracy.

    Args:
        pooled: One vector a segment, of any length.
        patient: Equal numbers are the same person; all their pairs are positives of one another.
        segment: 0 for the first segment of a pair, 1 for the second.
        temperature: Divides the cosines.
        detach_norm: Let no gradient through the vectors' lengths, as the paper's code does.

    Returns:
        ``-1/2 mean log_softmax_rows(S)[positives] - 1/2 mean log_softmax_columns(S)[positives]`` and the
        share of first segments whose nearest second segment is the same person's, both scalars; 0 where
        the batch has no positive pair.

    Source: METHOD §3.8; Kiyasseh et al. 2021 (CLOCS, arXiv 2005.13249).
    """
    unit = unit_rows(pooled if pooled.dtype == torch.float64 else pooled.float(), detach_norm=detach_norm)
    first, second = segment == 0, segment == 1
    # The full B x B matrix with masks, rather than the rows of each segment: picking rows by a mask would
    # make the host wait for the device.
    similarity = unit @ unit.T / temperature
    pair = first[:, None] & second[None, :]
    positive: Bool[Tensor, "B B"] = pair & (patient[:, None] == patient[None, :])
    lowest = torch.finfo(similarity.dtype).min
    by_row = F.log_softmax(torch.where(pair, similarity, lowest), dim=1)
    by_column = F.log_softmax(torch.where(pair, similarity, lowest), dim=0)
    count = positive.sum().clamp_min(1)
    loss = -0.5 * torch.where(positive, by_row + by_column, 0.0).sum() / count

    best = torch.where(pair, similarity, lowest).argmax(dim=1)
    hit = positive.gather(1, best.unsqueeze(1)).squeeze(1)
    accuracy = (hit & first).sum() / first.sum().clamp_min(1)
    return loss, accuracy.detach()
