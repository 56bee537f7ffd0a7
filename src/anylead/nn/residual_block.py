"""Residual block of two convolutions over time."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.nn.masked_group_norm import MaskedGroupNorm


def pooled_frames(x: Float[Tensor, "B C T"], stride: int) -> Float[Tensor, "B C T2"]:
    """Returns means over `stride` neighbouring frames, zeros standing for those missing at the end.

    A pooling layer would divide by the frames there are, and a segment padded in a batch would differ from
    the same segment alone.
    """
    padded = F.pad(x, (0, -x.shape[2] % stride))
    return padded.reshape(*x.shape[:2], -1, stride).mean(dim=-1)


class ResidualBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm; then the sum with the shortcut and a ReLU.

    A shortcut that changes rate or width takes means of neighbouring frames and a projection without norm:
    a norm over one segment takes the amplitude in millivolts away, and this path keeps it.

    Args:
        channels: Of the input.
        out_channels: Of the output.
        kernel: Odd number of taps of both convolutions.
        groups: Of the norms; divides `out_channels`.
        stride: Of the first convolution and the shortcut.
        dilation: Frames between the taps of both convolutions.

    Source: He et al. 2015 (arXiv 1512.03385); the shortcut is ResNet-D of He et al. 2019 (arXiv 1812.01187,
    §4.2). Deviations: group norm instead of batch norm, and no norm on the shortcut.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        kernel: int,
        groups: int,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.stride = stride
        padding = dilation * (kernel // 2)
        self.first = nn.Conv1d(
            channels, out_channels, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
        )
        self.first_norm = MaskedGroupNorm(groups, out_channels)
        self.second = nn.Conv1d(
            out_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False
        )
        self.second_norm = MaskedGroupNorm(groups, out_channels)
        self.shortcut: nn.Module = (
            nn.Conv1d(channels, out_channels, 1, bias=False) if channels != out_channels else nn.Identity()
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(
        self, x: Float[Tensor, "B C T"], mask: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, "B C2 T2"]:
        """Runs the block.

        Args:
            x: Frames, 0 where absent.
            mask: Present frames, a prefix of every row; None where all are.

        Returns:
            Frames at 1 / stride of the rate, 0 where absent.
        """
        kept = mask if mask is None else mask[:, :: self.stride]
        branch = F.relu(self.first_norm(self.first(x), kept))
        branch = self.second_norm(self.second(branch), kept)
        shortcut: Tensor = self.shortcut(pooled_frames(x, self.stride) if self.stride > 1 else x)
        return torch.relu(branch + shortcut)
