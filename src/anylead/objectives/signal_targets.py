"""What objectives that predict the signal predict: the samples of every token, and errors on them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Tokens
from anylead.nn.presence import present_signal


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """The samples that tokens stand for: of one lead, or of all leads side by side where these are fused."""

    values: Float[Tensor, "B T S"]
    """Millivolts, or what has been made of them; 0 where nothing was recorded."""
    present: Bool[Tensor, "B T S"]
    """Recorded samples."""


def patches_of(encoder: Encoder, batch: Batch, tokens: Tokens) -> Patches:
    """Returns the samples of every token, in its order of leads.

    Args:
        encoder: Says how many samples a token stands for, and of which leads.
        batch: Segments.
        tokens: What the encoder's front end made of the batch.
    """
    step = encoder.samples_per_token
    leads = encoder.leads
    if encoder.has_lead_tokens:
        leads = tuple(name for name in leads if name in batch.leads)
    signal = present_signal(batch, leads)
    recorded = batch.select(leads).lead_mask.unsqueeze(2) & batch.sample_mask.unsqueeze(1)
    frames = tokens.frames or tokens.mask.shape[1]
    values, present = (_cut(x, frames, step) for x in (signal, recorded))
    if encoder.has_lead_tokens:
        return Patches(values=values.flatten(1, 2), present=present.flatten(1, 2))
    return Patches(values=values.transpose(1, 2).flatten(2), present=present.transpose(1, 2).flatten(2))


def patch_width(encoder: Encoder) -> int:
    """Returns S, the samples of a token's patch."""
    return encoder.samples_per_token * (1 if encoder.has_lead_tokens else len(encoder.leads))


def without_level(patches: Patches, step: int) -> Patches:
    """Takes the mean of its patch off every lead, so that the shape is predicted and not the level.

    Source: MTECG (PEERS §2.3), the fluctuated target.
    """
    values, present = (_by_lead(x, step) for x in (patches.values, patches.present))
    count = present.sum(dim=3, keepdim=True).clamp_min(1)
    centred = torch.where(present, values - values.sum(dim=3, keepdim=True) / count, 0.0)
    return Patches(values=centred.flatten(2), present=patches.present)


def standardized(patches: Patches, step: int, epsilon: float = 1e-4) -> Patches:
    """Gives every lead of every patch mean 0 and deviation 1; a flat one stays 0.

    Source: He et al. 2022 (arXiv 2111.06377), §4, and ST-MEM (PEERS §2.2): normalised patches as targets.
    """
    centred = without_level(patches, step)
    values, present = (_by_lead(x, step) for x in (centred.values, centred.present))
    count = present.sum(dim=3, keepdim=True).clamp_min(1)
    deviation = (values.square().sum(dim=3, keepdim=True) / count + epsilon).sqrt()
    return Patches(values=(values / deviation).flatten(2), present=patches.present)


def squared_error(
    guess: Float[Tensor, "B T S"], patches: Patches, hidden: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the summed error of the recorded samples of hidden tokens, and the number of these samples."""
    counted = patches.present & hidden.unsqueeze(-1)
    wide = guess if guess.dtype == torch.float64 else guess.float()
    error = (wide - patches.values.to(wide.dtype)).square()
    return torch.where(counted, error, 0.0).sum(), counted.sum().to(wide.dtype)


def _by_lead(x: Tensor, step: int) -> Tensor:
    """Returns (B, T, leads, step): the leads of a patch apart."""
    return x.reshape(*x.shape[:2], x.shape[2] // step, step)


def _cut(x: Float[Tensor, "B L N"] | Bool[Tensor, "B L N"], frames: int, step: int) -> Tensor:
    """Returns (B, L, frames, step), with zeros behind the end."""
    missing = max(0, frames * step - x.shape[2])
    padded = F.pad(x, (0, missing)) if missing else x
    return padded[..., : frames * step].reshape(*x.shape[:2], frames, step)
