"""What the signal around every token is like in time and frequency, in a few numbers, for codes of it."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Tokens
from anylead.nn.presence import present_signal

BANDS = 4
STATISTICS = 2 + BANDS
"""Numbers a token: level, slope, and an amplitude for each octave."""
_SMALLEST_MV = 0.01
"""Below this amplitudes are compared as they are, above it by their ratio."""


@torch.no_grad()
def signal_statistics(
    encoder: Encoder, batch: Batch, tokens: Tokens, *, window_s: float
) -> Float[Tensor, "B T S"]:
    """Returns level, slope and amplitudes of the signal around every token.

    Each is a number of millivolts, ``asinh(x / 0.01 mV)`` of which makes ratios differences: level, rise over
    the window, and the amplitude in octaves whose first has one period a window (5, 10-15, 20-35 and 40-75 Hz
    at 0.2 s), all under a Hann window, and each lead without its mean over the segment. A token of fused
    leads has the mean over those that were recorded, without signs: what is up in one lead is down in
    another, and their sum would tell which leads there are.

    Args:
        encoder: Says which samples and leads a token stands for.
        batch: Segments.
        tokens: What the encoder's front end made of the batch.
        window_s: At least a token is taken.

    Source: PEERS §2.15: HuBERT-ECG begins with statistics in time and frequency where HuBERT has MFCC; which
    ones is ours.
    """
    leads = tuple(name for name in encoder.leads if name in batch.leads)
    ordered = batch.select(leads)
    recorded = ordered.lead_mask.unsqueeze(2) & ordered.sample_mask.unsqueeze(1)
    signal = present_signal(batch, leads)
    mean = signal.sum(dim=2, keepdim=True) / recorded.sum(dim=2, keepdim=True).clamp_min(1)
    step = encoder.samples_per_token
    window = max(step, round(window_s * batch.sampling_rate_hz))
    frames = tokens.frames or tokens.mask.shape[1]
    windows = _windows(torch.where(recorded, signal - mean, 0.0), frames, step, window)
    with torch.autocast(signal.device.type, enabled=False):
        of_leads = torch.asinh(_amplitudes(windows) / _SMALLEST_MV)
        if encoder.has_lead_tokens:
            return of_leads.flatten(1, 2)
        weight = ordered.lead_mask.to(of_leads.dtype)
        together = torch.einsum("bl,blts->bts", weight, of_leads.abs())
        return together / weight.sum(dim=1).clamp_min(1)[:, None, None]


def _windows(signal: Float[Tensor, "B L N"], frames: int, step: int, window: int) -> Float[Tensor, "B L T W"]:
    """Returns the samples around the middle of every token, zeros beyond the segment."""
    before = (window - step) // 2
    behind = max(0, (frames - 1) * step + window - before - signal.shape[2])
    return F.pad(signal, (before, behind)).unfold(2, window, step)[:, :, :frames]


def _amplitudes(windows: Float[Tensor, "B L T W"]) -> Float[Tensor, "B L T S"]:
    """Returns level, rise and the amplitude of every octave, in the unit of the signal."""
    window = windows.shape[3]
    time = torch.arange(window, dtype=windows.dtype, device=windows.device) - (window - 1) / 2
    weight = 0.5 + 0.5 * torch.cos(2 * math.pi * time / window)
    level = weight / weight.sum()
    rise = weight * time / (weight * time.square()).sum() * window
    centred = windows - (windows @ level).unsqueeze(3)
    found = [windows @ level, windows @ rise]
    for octave in range(BANDS):
        rates = torch.arange(2**octave, min(2 ** (octave + 1), window // 2 + 1), device=windows.device)
        angle = 2 * math.pi * time.unsqueeze(1) * rates.to(time.dtype) / window
        waves = torch.cat([angle.cos(), angle.sin()], dim=1) * 2.0 * level.unsqueeze(1)
        found.append((centred @ waves).square().sum(dim=3).sqrt())
    return torch.stack(found, dim=3)
