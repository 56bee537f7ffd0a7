"""Masked contrast within a segment (the local loss): spans to hide, negatives, logits, loss."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from anylead.nn.keyed_random import DrawKey, integers, uniform
from anylead.nn.places import places_of


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenFrames:
    """Which frames are hidden, as a mask and as places."""

    mask: Bool[Tensor, "B T"]
    places: Int64[Tensor, "B M"]
    """Hidden frames in order of time; a row with fewer than M repeats frame 0."""
    valid: Bool[Tensor, "B M"]
    """Which places exist."""


def draw_hidden(
    key: DrawKey, rows: Int64[Tensor, "B"], token_mask: Bool[Tensor, "B T"], *, share: float, span: int
) -> HiddenFrames:
    """Hides the same share of every row's present frames, in spans.

    Spans start at random places and may overlap; they are laid in random order until the share is
    reached, so that the last one may be cut. No row depends on another, unlike the reference, whose
    rows are thinned to the smallest one.

    Args:
        key: Names the draw.
        rows: Keys of the rows.
        token_mask: Present frames, a prefix of every row.
        share: Of the present frames that are hidden, rounded to a whole number.
        span: Frames a span.

    Source: METHOD §3.5 and §8.
    """
    frames = token_mask.shape[1]
    device = token_mask.device
    time = torch.arange(frames, device=device)
    lengths = token_mask.sum(dim=1, keepdim=True)
    # A span may start wherever it fits, at frame 0 in a row shorter than a span.
    may_start = time <= (lengths - span).clamp_min(0)
    order = torch.where(may_start, uniform(key.of("starts"), rows, frames), 2.0)
    rank = order.argsort(dim=1).argsort(dim=1)
    rank = torch.where(may_start, rank, frames)
    # A frame is hidden by the earliest-laid span that covers it, and within it from left to right.
    padded = F.pad(rank, (span - 1, 0), value=frames)
    windows = padded.unfold(1, span, 1)
    earliest, where = windows.min(dim=-1)
    turn = earliest * span + (span - 1 - where)
    turn = torch.where(token_mask, turn, (frames + 1) * span)
    wanted = (lengths * share).round().long()
    sequence = turn.argsort(dim=1, stable=True)
    place_in_sequence = sequence.argsort(dim=1)
    mask = (place_in_sequence < wanted) & token_mask
    return hidden_from_mask(mask, max(1, round(frames * share)))


def hidden_from_mask(mask: Bool[Tensor, "B T"], most: int) -> HiddenFrames:
    """Returns the places of a mask with at most `most` True a row."""
    places = places_of(mask, most)
    return HiddenFrames(mask=mask, places=places.index, valid=places.valid)


def draw_hidden_reference(
    key: DrawKey, rows: Int64[Tensor, "B"], token_mask: Bool[Tensor, "B T"], *, probability: float, span: int
) -> HiddenFrames:
    """Hides spans as the reference does: about ``probability`` nominal, every row thinned to the smallest.

    The number of hidden frames depends on the whole batch, and reading it makes the host wait.

    Args:
        key: Names the draw.
        rows: Keys of the rows.
        token_mask: Present frames.
        probability: Nominal share (0.65 gives about 0.35 at 128 rows).
        span: Frames a span.

    Source: METHOD §3.5.
    """
    frames = token_mask.shape[1]
    time = torch.arange(frames, device=token_mask.device)
    lengths = token_mask.sum(dim=1, keepdim=True)
    # One rounding draw for a batch of equal lengths, one a row where lengths differ.
    rounding = uniform(key.of("rounding"), rows, 1)
    if bool((lengths == lengths[0]).all()):
        rounding = rounding[:1]
    number = (probability * lengths / span + rounding).floor().long().clamp_min(2)
    room = torch.where(lengths - span <= number, number + 1, lengths - span)
    order = torch.where(time < room, uniform(key.of("starts"), rows, frames), 2.0)
    start = order.argsort(dim=1).argsort(dim=1) < number
    covered = F.pad(start, (span - 1, 0), value=False).unfold(1, span, 1).any(dim=-1) & token_mask
    fewest = int(covered.sum(dim=1).min())
    keep = torch.where(covered, uniform(key.of("thin"), rows, frames), 2.0)
    mask = covered & (keep.argsort(dim=1).argsort(dim=1) < fewest)
    return hidden_from_mask(mask, fewest)


def draw_negatives(
    key: DrawKey, rows: Int64[Tensor, "B"], valid: Bool[Tensor, "B M"], *, number: int
) -> Int64[Tensor, "B M K"]:
    """Draws negatives among the row's other hidden frames, with replacement.

    Returns:
        Indices into the row's M places, never the own one (except in a row that has only one).

    Source: METHOD §3.6.
    """
    places = valid.shape[1]
    others = (valid.sum(dim=1) - 1).clamp_min(1)
    drawn = integers(key.of("negatives"), rows, places, number, high=others[:, None, None])
    own = torch.arange(places, device=valid.device)[None, :, None]
    shifted = drawn + (drawn >= own).long()
    return torch.minimum(shifted, (valid.sum(dim=1) - 1).clamp_min(0)[:, None, None])


def contrastive_logits(
    context: Float[Tensor, "B M Q"],
    targets: Float[Tensor, "B M Q"],
    codes: Int64[Tensor, "B M G"],
    negatives: Int64[Tensor, "B M K"],
    *,
    temperature: float = 0.1,
) -> Float[Tensor, "B M candidates"]:
    """Returns cosine logits of each context vector against its target and its negatives.

    All cosines of a segment come from one M x M matrix, of which the negatives are picked: the B x M x K
    vectors themselves are never laid out. A negative with the same codes as the target counts as minus
    infinity.

    Source: METHOD §3.7.
    """
    wide = torch.float64 if context.dtype == torch.float64 else torch.float32
    unit_context = F.normalize(context.to(wide), dim=-1, eps=1e-8)
    unit_targets = F.normalize(targets.to(wide), dim=-1, eps=1e-8)
    cosine = torch.bmm(unit_context, unit_targets.transpose(1, 2)) / temperature
    same = (codes[:, :, None, :] == codes[:, None, :, :]).all(dim=-1)
    positive = cosine.diagonal(dim1=1, dim2=2).unsqueeze(-1)
    others = torch.where(same, float("-inf"), cosine).gather(2, negatives)
    return torch.cat([positive, others], dim=-1)


def contrastive_loss(
    logits: Float[Tensor, "B M candidates"], valid: Bool[Tensor, "B M"]
) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Returns the summed cross-entropy with the target at place 0, and the number of right answers.

    An answer is right if the target is the largest logit and the logits are not all equal.

    Source: METHOD §3.7.
    """
    entropy = -F.log_softmax(logits, dim=-1)[..., 0]
    right = (logits.argmax(dim=-1) == 0) & (logits.argmin(dim=-1) != 0) & valid
    return torch.where(valid, entropy, 0.0).sum(), right.sum().detach()
