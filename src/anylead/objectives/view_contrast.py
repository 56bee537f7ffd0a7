"""Contrast of views: rows of the same thing agree, rows of other things do not. The losses alone."""

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


def cosines(x: Float[Tensor, "B D"], *, detach_norm: bool) -> Float[Tensor, "B B"]:
    """Returns the cosine of every row with every other, in single precision at least."""
    unit = unit_rows(x if x.dtype == torch.float64 else x.float(), detach_norm=detach_norm)
    return unit @ unit.T


def pair_loss(
    similarity: Float[Tensor, "B B"],
    patient: Int64[Tensor, "B"],
    side: Int64[Tensor, "B"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Int64[Tensor, ""]]:
    """Returns the symmetric contrast between rows of side 0 and of side 1, its accuracy and its positives.

    ``-1/2 mean log_softmax_rows(S)[positives] - 1/2 mean log_softmax_columns(S)[positives]``, S being the
    part of the similarities from side 0 to side 1, and positive what is of the same person. Rows of other
    sides take no part. Both are 0 where there is no positive.

    Args:
        similarity: Divided by the temperature.
        patient: Equal numbers are the same person.
        side: 0, 1, or anything else for rows that take no part.

    Source: METHOD §3.8; Kiyasseh et al. 2021 (CLOCS, arXiv 2005.13249). Computed by log-sum-exp, so that no
    cosine makes it NaN.
    """
    first, second = side == 0, side == 1
    # The full B x B matrix with masks, rather than the rows of each side: picking rows by a mask would make
    # the host wait for the device.
    pair = first[:, None] & second[None, :]
    positive: Bool[Tensor, "B B"] = pair & (patient[:, None] == patient[None, :])
    lowest = torch.finfo(similarity.dtype).min
    between = torch.where(pair, similarity, lowest)
    log_odds = F.log_softmax(between, dim=1) + F.log_softmax(between, dim=0)
    count = positive.sum()
    loss = -0.5 * torch.where(positive, log_odds, 0.0).sum() / count.clamp_min(1)
    hit = positive.gather(1, between.argmax(dim=1, keepdim=True)).squeeze(1)
    accuracy = (hit & first).sum() / first.sum().clamp_min(1)
    return loss, accuracy.detach(), count


def nt_xent_loss(
    similarity: Float[Tensor, "B B"], group: Int64[Tensor, "B"], valid: Bool[Tensor, "B"] | None = None
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Int64[Tensor, ""]]:
    """Returns the summed normalised-temperature cross-entropy, its accuracy and the number of anchors.

    Every row is an anchor; its positives are the other rows of its group, and each is told from all rows
    but the anchor. With one positive an anchor, as for two views of each thing, this is SimCLR's loss.

    Args:
        similarity: Divided by the temperature.
        group: Equal numbers are views of the same thing.
        valid: Rows that take part; None for all.

    Source: Chen et al. 2020 (SimCLR, arXiv 2002.05709), eq. 1; METHOD §5.
    """
    number = len(similarity)
    taking_part = torch.ones_like(group, dtype=torch.bool) if valid is None else valid
    others = taking_part[None, :] & ~torch.eye(number, dtype=torch.bool, device=group.device)
    positive = others & (group[:, None] == group[None, :]) & taking_part[:, None]
    lowest = torch.finfo(similarity.dtype).min
    log_odds = F.log_softmax(torch.where(others, similarity, lowest), dim=1)
    positives = positive.sum(dim=1)
    anchors = positives > 0
    mean = torch.where(positive, log_odds, 0.0).sum(dim=1) / positives.clamp_min(1)
    nearest = torch.where(others, similarity, lowest).argmax(dim=1, keepdim=True)
    hit = positive.gather(1, nearest).squeeze(1)
    count = anchors.sum()
    accuracy = (hit & anchors).sum() / count.clamp_min(1)
    return -torch.where(anchors, mean, 0.0).sum(), accuracy.detach(), count


def patient_nt_xent_loss(
    similarity: Float[Tensor, "B B"], patient: Int64[Tensor, "B"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the summed contrast of each positive with everybody else, and its accuracy.

    ``- sum_ip log(exp s_ip / (exp s_ip + sum_n exp s_in))`` over rows i, other rows p of the same person and
    rows n of other persons: an anchor with several positives counts once for each, and they are no negatives
    of one another.

    Args:
        similarity: Divided by the temperature.
        patient: Equal numbers are the same person.

    Source: 3KG (Gopal et al. 2021, arXiv 2106.04452); METHOD §5.
    """
    same = patient[:, None] == patient[None, :]
    itself = torch.eye(len(patient), dtype=torch.bool, device=patient.device)
    positive = same & ~itself
    negatives = torch.where(same, float("-inf"), similarity).logsumexp(dim=1, keepdim=True)
    cost = torch.logaddexp(similarity, negatives) - similarity
    lowest = torch.finfo(similarity.dtype).min
    nearest = torch.where(itself, lowest, similarity).argmax(dim=1, keepdim=True)
    anchors = positive.any(dim=1)
    accuracy = (positive.gather(1, nearest).squeeze(1) & anchors).sum() / anchors.sum().clamp_min(1)
    return torch.where(positive, cost, 0.0).sum(), accuracy.detach()
