"""The paper's encoder: convolutional front end, positional convolution, transformer."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.conv_stem import ConvStem
from anylead.nn.dropout import Dropout
from anylead.nn.gradient_scale import scale_gradient
from anylead.nn.places import Places
from anylead.nn.pooling import masked_mean, reference_mean
from anylead.nn.positional_convolution import PositionalConvolution
from anylead.nn.presence import AbsentLeads, present_signal
from anylead.nn.transformer import TransformerLayer


@dataclass(frozen=True, kw_only=True)
class ConvTransformerConfig:
    """Configuration of `ConvTransformer`; the defaults are the paper's base model."""

    leads: tuple[str, ...] = STANDARD_12
    """Lead names in the order of the input columns."""
    sampling_rate_hz: float = 500.0
    conv_channels: int = 256
    conv_layers: int = 4
    """Convolutions of kernel 2 and stride 2."""
    conv_kernels: tuple[int, ...] | None = None
    """Kernel and stride of each convolution, instead of `conv_layers`: (5, 2, 2) makes frames of 40 ms."""
    dimension: int = 768
    layers: int = 12
    heads: int = 12
    feedforward: int = 3072
    position_kernel: int = 128
    position_groups: int = 16
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    input_dropout: float = 0.1
    """On projected frames, before hidden ones are replaced."""
    norm_first: bool = False
    """Norm before attention and feed-forward, and once at the end, instead of after each."""
    feature_gradient_scale: float = 0.1
    """Multiplies the gradient into the convolutions; 0 freezes them."""
    absent_leads: AbsentLeads = "zero_fill"
    """What stands in the column of an absent lead."""
    reference: bool = False
    """Bring back the reference code's norm over padding, mean by non-zero count and thinned masks."""

    def __post_init__(self) -> None:
        if self.dimension % self.heads or self.dimension % self.position_groups:
            raise ConfigError(
                f"encoder: dimension {self.dimension} is not divisible by {self.heads} heads and "
                f"{self.position_groups} position groups; choose numbers that divide it."
            )

        if self.conv_kernels is not None and (not self.conv_kernels or min(self.conv_kernels) < 1):
            raise ConfigError(
                f"encoder: conv_kernels is {self.conv_kernels}; give at least one, each at least 1."
            )

    @property
    def kernels(self) -> tuple[int, ...]:
        """Kernel and stride of each convolution."""
        return (2,) * self.conv_layers if self.conv_kernels is None else self.conv_kernels

    @classmethod
    def named(cls, name: str) -> "ConvTransformerConfig":
        """Returns a named size: ``base``, ``small``, ``mini`` or ``tiny``.

        Raises:
            ConfigError: If there is no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"encoder: got size {name!r}; there are {', '.join(SIZES)}.")
        return SIZES[name]


SIZES: dict[str, ConvTransformerConfig] = {
    "base": ConvTransformerConfig(),
    "small": ConvTransformerConfig(layers=8),
    "mini": ConvTransformerConfig(dimension=256, layers=4, heads=4, feedforward=1024),
    "tiny": ConvTransformerConfig(conv_channels=128, dimension=128, layers=2, heads=4, feedforward=512),
}
"""``base`` and ``small`` are the paper's; ``mini`` and ``tiny`` are for a CPU."""


class ConvTransformer(Encoder):
    """Raw millivolts to context vectors, 16 samples (32 ms at 500 Hz) a frame.

    An absent lead is a column of zeros; a batch is encoded for whatever subset of `config.leads` it has.

    Source: METHOD §3.1-3.3; Oh et al. 2022 (arXiv 2203.06889); wav2vec 2.0 (arXiv 2006.11477).
    """

    def __init__(self, config: ConvTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.leads = config.leads
        self.sampling_rate_hz = config.sampling_rate_hz
        self.dimension = config.dimension
        self.token_dimension = config.conv_channels
        self.layers = config.layers
        self.reference = config.reference
        self.lead_mechanism = config.absent_leads
        self.samples_per_token = math.prod(config.kernels)
        self.stem = ConvStem(len(config.leads), config.conv_channels, kernels=config.kernels)
        self.frame_norm = nn.LayerNorm(config.conv_channels)
        # As in the reference, no projection where the widths agree.
        self.project: nn.Module = (
            nn.Linear(config.conv_channels, config.dimension)
            if config.conv_channels != config.dimension
            else nn.Identity()
        )
        self.input_dropout = Dropout(config.input_dropout)
        self.position = PositionalConvolution(
            config.dimension, kernel=config.position_kernel, groups=config.position_groups
        )
        self.context_norm = nn.LayerNorm(config.dimension)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerLayer(
                config.dimension,
                config.heads,
                config.feedforward,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                activation_dropout=config.activation_dropout,
                norm_first=config.norm_first,
            )
            for _ in range(config.layers)
        )
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, mean=0.0, std=0.02)
                nn.init.zeros_(module.bias)

    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples: 156 for 2500."""
        return self.stem.num_frames(samples)

    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which frames stand for present samples only."""
        return self.stem.frame_mask(batch.sample_mask)

    def signal_of(self, batch: Batch) -> Float[Tensor, "B L N"]:
        """Returns the input columns, with what stands for absent leads.

        Raises:
            LeadError: If the batch has no column the encoder knows.
        """
        return present_signal(batch, self.leads, self.config.absent_leads)

    def tokenize(self, batch: Batch) -> Tokens:
        """Runs the convolutions and the LayerNorm of METHOD §3.1-3.2."""
        signal = self.signal_of(batch)
        padded = batch.padded
        statistics_mask = batch.sample_mask if padded and not self.config.reference else None
        # A stem that is not to learn needs no graph, hence no memory for one.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.feature_gradient_scale > 0):
            frames = self.stem(signal, statistics_mask)
        frames = scale_gradient(frames, self.config.feature_gradient_scale)
        mask = self.token_mask(batch)
        counted = mask if padded and not self.config.reference else None
        return Tokens(values=self.frame_norm(frames), mask=mask, penalty=_mean_square(frames, counted))

    def embed_tokens(
        self,
        tokens: Tokens,
        *,
        hidden: Bool[Tensor, "B T"] | None = None,
        hidden_embedding: Float[Tensor, "D"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Projects tokens and replaces hidden ones (METHOD §3.2)."""
        x: Tensor = self.input_dropout(self.project(tokens.values))
        if hidden is not None and hidden_embedding is not None:
            x = torch.where(hidden.unsqueeze(-1), hidden_embedding.to(x.dtype), x)
        return x

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
        """Runs the positional convolution and the transformer (METHOD §3.3).

        Raises:
            ConfigError: If there is no such layer.
        """
        self.check_layer(layer)
        x = self.embed_tokens(tokens, hidden=hidden, hidden_embedding=hidden_embedding)
        mask = tokens.mask
        if shown is not None:
            # Before the positional convolution, which lets every frame see its neighbours.
            x = torch.where(shown.mask(x.shape[1]).unsqueeze(-1), x, 0.0)
        present = mask.unsqueeze(-1) if padded else None
        if present is not None and not self.config.reference:
            # The reference lets padding reach its neighbours through the positional convolution.
            x = torch.where(present, x, 0.0)
        x = x + self.position(x)
        if present is not None:
            x = torch.where(present, x, 0.0)
        if shown is not None:
            x, mask = shown.of(x), shown.valid
        first = self.config.norm_first
        x = self.dropout(x if first else self.context_norm(x))
        for block in self.blocks[:layer]:
            x = block(x, mask if padded else None)
        if first:
            x = self.context_norm(x)
        return Features(tokens=x, token_mask=mask, pooled=self._pooled(x, mask))

    def _pooled(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        return reference_mean(x, mask) if self.config.reference else masked_mean(x, mask)


def _mean_square(frames: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, ""]:
    wide = frames if frames.dtype == torch.float64 else frames.float()
    if mask is None:
        return wide.square().mean()
    squares = torch.where(mask.unsqueeze(-1), wide, 0.0).square().sum()
    return squares / (mask.sum().clamp_min(1) * frames.shape[2])
