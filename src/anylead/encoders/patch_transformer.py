"""A plain vision transformer over patches of time in which all leads are fused."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens, features_of
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.dropout import Dropout
from anylead.nn.places import Places
from anylead.nn.presence import AbsentLeads, mean_square, present_signal
from anylead.nn.sinusoid import sinusoid
from anylead.nn.transformer import TransformerLayer


@dataclass(frozen=True, kw_only=True)
class PatchTransformerConfig:
    """Configuration of `PatchTransformer`; the defaults are the published ViT-S.

    Raises:
        ConfigError: If the dimension is odd or not divisible by the heads, or a number is too small.
    """

    leads: tuple[str, ...] = STANDARD_12
    """Lead names in the order of the input columns."""
    sampling_rate_hz: float = 500.0
    patch_samples: int = 25
    """Samples a token: 50 ms at 500 Hz."""
    dimension: int = 384
    layers: int = 8
    heads: int = 6
    feedforward: int = 1536
    registers: int = 1
    """Learned tokens that stand for no time: every layer may keep there what belongs to the whole segment."""
    bias: bool = False
    """Of every projection and norm."""
    dropout: float = 0.0
    attention_dropout: float = 0.0
    absent_leads: AbsentLeads = "zero_fill"
    """What stands in the column of an absent lead."""

    def __post_init__(self) -> None:
        if self.dimension % self.heads or self.dimension % 2 or self.patch_samples < 1 or self.registers < 0:
            raise ConfigError(
                f"encoder: got dimension {self.dimension}, {self.heads} heads, patches of "
                f"{self.patch_samples} samples and {self.registers} registers; give an even dimension that "
                "the heads divide, patches of at least 1 sample, and 0 registers or more."
            )

    @classmethod
    def named(cls, name: str) -> "PatchTransformerConfig":
        """Returns a named size: ``base``, ``small``, ``mini`` or ``tiny``.

        Raises:
            ConfigError: If there is no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"encoder: got size {name!r}; there are {', '.join(SIZES)}.")
        return SIZES[name]


SIZES: dict[str, PatchTransformerConfig] = {
    "base": PatchTransformerConfig(dimension=768, layers=12, heads=12, feedforward=3072),
    "small": PatchTransformerConfig(),
    "mini": PatchTransformerConfig(dimension=192, heads=4, feedforward=768),
    "tiny": PatchTransformerConfig(dimension=128, layers=2, heads=4, feedforward=512),
}
"""The first three are the published ViT-B, ViT-S and ViT-XS; ``tiny`` is for a CPU."""

NORM_EPSILON = 1e-6
"""Added to the variance in every norm, as published."""


class PatchTransformer(Encoder):
    """Patches of all leads to context vectors, one linear map in front of a transformer with the norm first.

    An absent lead is a column of zeros. Registers take part in attention and are no part of the features.

    Source: Weimann & Conrad 2024 (arXiv 2410.13867), PEERS §2.4; registers are of Darcet et al. 2023 (arXiv
    2309.16588).
    """

    def __init__(self, config: PatchTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.leads = config.leads
        self.sampling_rate_hz = config.sampling_rate_hz
        self.dimension = self.token_dimension = config.dimension
        self.layers = config.layers
        self.reference = False
        self.lead_mechanism = config.absent_leads
        self.samples_per_token = config.patch_samples
        self.patches = nn.Linear(len(config.leads) * config.patch_samples, config.dimension, bias=config.bias)
        self.registers = (
            nn.Parameter(torch.empty(config.registers, config.dimension)) if config.registers else None
        )
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerLayer(
                config.dimension,
                config.heads,
                config.feedforward,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                norm_first=True,
                bias=config.bias,
                qkv_bias=config.bias,
                norm_epsilon=NORM_EPSILON,
            )
            for _ in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(config.dimension, eps=NORM_EPSILON, bias=config.bias)
        self._initialise()

    def _initialise(self) -> None:
        """Draws weights as published: those that write to the residual stream shrink with the depth."""
        if self.registers is not None:
            nn.init.trunc_normal_(self.registers, std=0.02)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                writes = name.endswith(("attention.output", "contract"))
                std = 0.02 / math.sqrt(2 * self.layers) if writes else 0.02
                nn.init.trunc_normal_(module.weight, std=std)
                if self.config.bias:
                    nn.init.zeros_(module.bias)

    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples: 100 for 2500."""
        return samples // self.samples_per_token

    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which patches lie wholly within the segment."""
        patch = self.samples_per_token
        rows, frames = batch.sample_mask.shape[0], batch.sample_mask.shape[1] // patch
        mask: Tensor = batch.sample_mask[:, : frames * patch].reshape(rows, frames, patch).all(dim=2)
        return mask

    def tokenize(self, batch: Batch) -> Tokens:
        """Projects every patch.

        Raises:
            LeadError: If the batch has no lead the encoder knows.
        """
        signal = present_signal(batch, self.leads, self.config.absent_leads)
        patch = self.samples_per_token
        rows, leads, samples = signal.shape
        frames = samples // patch
        patches = signal[..., : frames * patch].reshape(rows, leads, frames, patch).transpose(1, 2)
        values: Tensor = self.patches(patches.reshape(rows, frames, leads * patch))
        mask = self.token_mask(batch)
        return Tokens(values=values, mask=mask, penalty=mean_square(values, mask if batch.padded else None))

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
        """Adds positions in time and runs the transformer over registers and tokens.

        Raises:
            ConfigError: If there is no such layer.
        """
        self.check_layer(layer)
        x, mask = tokens.values, tokens.mask
        if hidden is not None and hidden_embedding is not None:
            x = torch.where(hidden.unsqueeze(-1), hidden_embedding.to(x.dtype), x)
        time = torch.arange(x.shape[1], device=x.device)
        x = x + sinusoid(time, x.shape[2], interleaved=True).to(x.dtype)
        if shown is not None:
            x, mask = shown.of(x), shown.valid
        x = self.dropout(x)
        rows, count = x.shape[0], self.config.registers
        if self.registers is not None:
            x = torch.cat([self.registers.to(x.dtype).expand(rows, -1, -1), x], dim=1)
        seen = torch.cat([mask.new_ones(rows, count), mask], dim=1) if padded else None
        for block in self.blocks[:layer]:
            x = block(x, seen)
        return features_of(self.output_norm(x)[:, count:], mask, None)
