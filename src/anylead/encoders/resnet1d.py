"""A one-dimensional residual network: the supervised baseline that is quick on a CPU."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens, features_of
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.places import Places
from anylead.nn.presence import AbsentLeads, frame_mask, mean_square, num_frames, present_signal
from anylead.nn.residual_block import ResidualBlock

STEM_STRIDES = (2, 2, 1)
"""Of the stem's convolutions."""


@dataclass(frozen=True, kw_only=True)
class ResNet1dConfig:
    """Configuration of `ResNet1d`; the defaults are the size ``small``.

    Raises:
        ConfigError: If the kernel is even, the groups divide no width, or there is no stage or block.
    """

    leads: tuple[str, ...] = STANDARD_12
    """Lead names in the order of the input columns."""
    sampling_rate_hz: float = 500.0
    stem_channels: int = 32
    """Width of the two convolutions that halve the rate; the stem's third has that of the first stage."""
    stage_channels: tuple[int, ...] = (64, 128)
    """Width of the residual stages before the tokens, each of which halves the rate; the last is D."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Of the context blocks, one each, at the tokens' rate."""
    kernel: int = 5
    """Odd number of taps of every convolution."""
    norm_groups: int = 8
    absent_leads: AbsentLeads = "zero_fill"
    """What stands in the column of an absent lead."""

    def __post_init__(self) -> None:
        if not self.stage_channels or not self.dilations:
            raise ConfigError("encoder: got no stage or no context block; give at least one of each.")
        if self.kernel % 2 == 0 or any(width % self.norm_groups for width in self.stage_channels):
            raise ConfigError(
                f"encoder: got kernel {self.kernel} and stages {self.stage_channels} in {self.norm_groups} "
                "norm groups; give an odd kernel, and stages that the groups divide."
            )

    @classmethod
    def named(cls, name: str) -> "ResNet1dConfig":
        """Returns a named size: ``base``, ``small`` or ``tiny``.

        Raises:
            ConfigError: If there is no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"encoder: got size {name!r}; there are {', '.join(SIZES)}.")
        return SIZES[name]


SIZES: dict[str, ResNet1dConfig] = {
    "base": ResNet1dConfig(stem_channels=64, stage_channels=(128, 256), dilations=(1, 2, 4, 8, 1, 2)),
    "small": ResNet1dConfig(),
    "tiny": ResNet1dConfig(stem_channels=16, stage_channels=(32, 64), dilations=(1, 2)),
}
"""``small`` and ``tiny`` are for a CPU."""


class ResNet1d(Encoder):
    """Raw millivolts to context vectors by convolutions alone, 16 samples (32 ms at 500 Hz) a token.

    The stem and the stages halve the rate; the context blocks keep it and widen what a token sees by
    dilation, where an image network would go on halving. An absent lead is a column of zeros. Nothing
    normalises the path of the shortcuts, so that the amplitude in millivolts reaches the features.

    Source: Wang, Yan & Oates 2017 (arXiv 1611.06455), §II-C; He et al. 2019 (arXiv 1812.01187), §4.2, for the
    stem and the shortcuts; Yu & Koltun 2016 (arXiv 1511.07122) for the dilation.
    """

    def __init__(self, config: ResNet1dConfig) -> None:
        super().__init__()
        self.config = config
        self.leads = config.leads
        self.sampling_rate_hz = config.sampling_rate_hz
        self.dimension = self.token_dimension = config.stage_channels[-1]
        self.layers = len(config.dilations)
        self.reference = False
        self.lead_mechanism = config.absent_leads
        first, stages = config.stem_channels, config.stage_channels
        widths = (len(config.leads), first, first, stages[0])
        self.stem = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel, stride=stride, padding=config.kernel // 2)
            for before, after, stride in zip(widths, widths[1:], STEM_STRIDES, strict=False)
        )
        for module in self.stem.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.stages = nn.ModuleList(
            ResidualBlock(before, after, kernel=config.kernel, groups=config.norm_groups, stride=2)
            for before, after in zip((stages[0], *stages), stages, strict=False)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(
                stages[-1], stages[-1], kernel=config.kernel, groups=config.norm_groups, dilation=dilation
            )
            for dilation in config.dilations
        )
        self.samples_per_token = 4 * 2 ** len(stages)

    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples: 157 for 2500."""
        return num_frames(samples, self.samples_per_token)

    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which tokens have their centre on a present sample."""
        return frame_mask(batch.sample_mask, self.samples_per_token)

    def tokenize(self, batch: Batch) -> Tokens:
        """Runs the stem and the stages that halve the rate."""
        x = present_signal(batch, self.leads, self.config.absent_leads)
        mask = batch.sample_mask if batch.padded else None
        for convolution, stride in zip(self.stem, STEM_STRIDES, strict=True):
            mask = mask if mask is None else mask[:, ::stride]
            x = F.relu(convolution(x))
            x = x if mask is None else torch.where(mask[:, None], x, 0.0)
        for stage in self.stages:
            x = stage(x, mask)
            mask = mask if mask is None else mask[:, ::2]
        values = x.mT
        return Tokens(values=values, mask=self.token_mask(batch), penalty=mean_square(values, mask))

    def contextualize(
        self,
        tokens: Tokens,
        *,
        padded: bool,
        hidden: Bool[Tensor, "B T"] | None = None,
        hidden_embedding: Float[Tensor, "D"] | None = None,
        shown: Places | None = None,
        layer: int | None = None,
    ) -> Features:
        """Runs the context blocks.

        Raises:
            ConfigError: If there is no such layer.
        """
        self.check_layer(layer)
        x = tokens.values
        if hidden is not None and hidden_embedding is not None:
            x = torch.where(hidden.unsqueeze(-1), hidden_embedding.to(x.dtype), x)
        if shown is not None:
            x = torch.where(shown.mask(x.shape[1]).unsqueeze(-1), x, 0.0)
        x = x.mT
        mask = tokens.mask if padded else None
        if mask is not None:
            x = torch.where(mask[:, None], x, 0.0)
        for block in self.blocks[:layer]:
            x = block(x, mask)
        return features_of(x.mT, tokens.mask, shown)
