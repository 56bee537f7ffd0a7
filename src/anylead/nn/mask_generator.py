"""Soft masks over leads and stretches of time, which a small network makes of a window."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


def standardized_window(
    signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L N"], *, epsilon: float = 1e-3
) -> Float[Tensor, "B L N"]:
    """Gives every lead of every window mean 0 and deviation 1 over its recorded samples; a flat one stays 0.

    Args:
        signal: Millivolts, 0 where nothing was recorded.
        present: Recorded samples.
        epsilon: Millivolts; a deviation well below it is taken for none.
    """
    count = present.sum(dim=2, keepdim=True).clamp_min(1)
    centred = torch.where(present, signal - signal.sum(dim=2, keepdim=True) / count, 0.0)
    variance = centred.square().sum(dim=2, keepdim=True) / count
    return centred / (variance + epsilon**2).sqrt()


class MaskGenerator(nn.Module):
    """Three convolutions from a standardised window to how far each mask hides each lead, block by block.

    The masks and what none of them hides share every place out by a softmax, so that no two masks can both
    hide the same place; with one mask this is a sigmoid.

    Args:
        leads: Input columns L.
        masks: K.
        block: Samples for which a mask has one value.
        width: Channels between the convolutions.
        share: Of every place that each mask hides before anything is learnt, about; K of them are below 1.

    Source: Shi et al. 2022 (ADIOS, arXiv 2201.13100) for masks that share places out; Bo et al. 2022 (arXiv
    2211.07889) for masks of leads and times. Deviation: three convolutions over blocks instead of a U-Net, so
    that masks are made of blocks and cost little beside the encoder.
    """

    def __init__(self, leads: int, masks: int, *, block: int, width: int, share: float) -> None:
        super().__init__()
        self.masks = masks
        self.block = block
        self.enter = nn.Conv1d(leads, width, block, stride=block)
        self.mix = nn.Conv1d(width, width, 5, padding=2)
        self.leave = nn.Conv1d(width, masks * leads, 5, padding=2)
        nn.init.constant_(self.leave.bias, math.log(share / (1.0 - masks * share)))  # type: ignore[arg-type]

    def forward(
        self, signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L N"]
    ) -> Float[Tensor, "B K L N"]:
        """Returns how far every sample is hidden by every mask, 0 to 1; 0 where nothing was recorded.

        Args:
            signal: Millivolts, 0 where nothing was recorded.
            present: Recorded samples.
        """
        rows, leads, samples = signal.shape
        missing = -samples % self.block
        window = F.pad(standardized_window(signal, present), (0, missing))
        recorded = F.pad(present.any(dim=1), (0, missing)).view(rows, -1, self.block).any(dim=2)[:, None]
        # Zeros behind a segment's end, as behind the batch's: its masks are its own.
        x = torch.where(recorded, F.gelu(self.enter(window)), 0.0)
        x = torch.where(recorded, F.gelu(self.mix(x)), 0.0)
        logits = self.leave(x).view(rows, self.masks, leads, -1)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        blocks = F.pad(logits, (0, 0, 0, 0, 0, 1)).softmax(dim=1)[:, :-1]
        hidden = blocks.unsqueeze(-1).expand(-1, -1, -1, -1, self.block).flatten(3)[..., :samples]
        return torch.where(present[:, None], hidden, 0.0)
