"""Which tokens objectives hide, for encoders of fused tokens and of tokens for each lead."""

import numpy as np
from jaxtyping import Bool, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey, uniform
from anylead.nn.places import Places, places_of
from anylead.objectives.masked_contrast import draw_hidden


def time_mask(encoder: Encoder, batch: Batch) -> Bool[Tensor, "B P"]:
    """Returns which times have a token, whatever leads were recorded."""
    mask = encoder.token_mask(batch)
    if not encoder.has_lead_tokens:
        return mask
    rows = sum(name in encoder.leads for name in batch.leads)
    return mask.view(len(batch), rows, -1).any(dim=1)


def draw_hidden_times(
    encoder: Encoder, batch: Batch, key: DrawKey, *, share: float, span: int
) -> Bool[Tensor, "B T"]:
    """Hides the same share of every row's times, in spans, in all leads alike.

    Args:
        encoder: Says which tokens there are.
        batch: Segments.
        key: Names the draw.
        share: Of the times that are there, rounded.
        span: Tokens a span; 1 hides single tokens.
    """
    times = draw_hidden(key, batch.row, time_mask(encoder, batch), share=share, span=span).mask
    if not encoder.has_lead_tokens:
        return times
    rows = sum(name in encoder.leads for name in batch.leads)
    return times.repeat(1, rows)


def draw_hidden_in_each_lead(
    encoder: Encoder, batch: Batch, key: DrawKey, *, share: float
) -> Bool[Tensor, "B T"]:
    """Hides the same number of tokens of every lead, each lead's own, whether it was recorded or not."""
    rows = sum(name in encoder.leads for name in batch.leads)
    number = encoder.token_mask(batch).shape[1] // max(1, rows)
    order = uniform(key, batch.row, rows, number).argsort(dim=2).argsort(dim=2)
    return (order < round(share * number)).flatten(1)


def shown_places(present: Bool[Tensor, "B T"], hidden: Bool[Tensor, "B T"], most: int) -> Places:
    """Returns the tokens that are present and not hidden, at most `most` in a row."""
    return places_of(present & ~hidden, most)


def places_by_lead(hidden: Bool[Tensor, "B T"], present: Bool[Tensor, "B T"], shown: int) -> Places:
    """Returns equally many shown tokens of every lead, those of absent leads named as not there.

    Args:
        hidden: The same number in every lead.
        present: Tokens that exist.
        shown: Tokens that are not hidden, in all leads together.
    """
    index: Int64[Tensor, "B K"] = places_of(~hidden, shown).index
    return Places(index=index, valid=present.gather(1, index))


def fold_leads(places: Places, leads: int, frames: int) -> Places:
    """Returns each lead's tokens as a row of its own, numbered within the lead."""
    shape = (len(places.index) * leads, -1)
    within = places.index % frames
    return Places(index=within.reshape(shape), valid=places.valid.reshape(shape))


def longest_share(times: int, share: float) -> int:
    """Returns how many of its times a row without padding hides, as `draw_hidden_times` rounds."""
    return round(float(np.float32(times) * np.float32(share)))
