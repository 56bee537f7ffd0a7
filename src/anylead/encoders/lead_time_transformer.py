"""A transformer over tokens of one lead and one stretch of time each: absent leads make no tokens."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, LeadMechanism, Tokens, features_of
from anylead.errors import ConfigError, LeadError
from anylead.leads import STANDARD_12
from anylead.nn.dropout import Dropout
from anylead.nn.places import Places
from anylead.nn.presence import mean_square
from anylead.nn.sinusoid import grid_sinusoid, sinusoid
from anylead.nn.transformer import TransformerLayer

Attention = Literal["full", "cross_pattern", "within_lead"]
"""Which tokens a token sees: all; those of its lead and those of its time; those of its lead."""

Positions = Literal["time", "lead_and_time"]
"""What a token's position says: its time; its time and, by the other half of the dimensions, its lead."""


@dataclass(frozen=True, kw_only=True)
class LeadTimeTransformerConfig:
    """Configuration of `LeadTimeTransformer`; the defaults are the size ``mini``."""

    leads: tuple[str, ...] = STANDARD_12
    """Lead names it knows, in the order of the rows of tokens."""
    sampling_rate_hz: float = 500.0
    patch_samples: int = 100
    """Samples a token: 0.2 s at 500 Hz."""
    dimension: int = 256
    layers: int = 4
    heads: int = 4
    feedforward: int = 1024
    attention: Attention = "full"
    lead_embedding: bool = True
    """Add a learned vector by the lead's name; without, tokens do not know which lead they are of."""
    positions: Positions = "time"
    repeat_positions: bool = False
    """Add positions to what goes into every layer, not only the first."""
    centre_leads: bool = True
    """Take each lead off its mean over the segment."""
    qkv_bias: bool = True
    """Of queries, keys and values."""
    dropout: float = 0.1
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.dimension % self.heads or self.dimension % 2 or self.patch_samples < 1:
            raise ConfigError(
                f"encoder: got dimension {self.dimension}, {self.heads} heads and patches of "
                f"{self.patch_samples} samples; give an even dimension that the heads divide, and patches of "
                "at least 1 sample."
            )
        if self.positions == "lead_and_time" and self.dimension % 4:
            raise ConfigError(
                f"encoder: got dimension {self.dimension} with positions of lead and time, which need a "
                "dimension that 4 divides."
            )

    @property
    def lead_mechanism(self) -> LeadMechanism:
        """What this is called among the ways to take any leads."""
        if self.attention == "within_lead":
            return "per_lead_pool"
        if self.attention == "cross_pattern":
            return "cross_pattern"
        named = self.lead_embedding or self.positions == "lead_and_time"
        return "lead_embedding" if named else "token_drop"

    @classmethod
    def named(cls, name: str) -> "LeadTimeTransformerConfig":
        """Returns a named size: ``base``, ``mini`` or ``tiny``.

        Raises:
            ConfigError: If there is no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"encoder: got size {name!r}; there are {', '.join(SIZES)}.")
        return SIZES[name]


SIZES: dict[str, LeadTimeTransformerConfig] = {
    "base": LeadTimeTransformerConfig(dimension=768, layers=12, heads=12, feedforward=3072),
    "mini": LeadTimeTransformerConfig(),
    "tiny": LeadTimeTransformerConfig(dimension=128, layers=2, feedforward=512),
}
"""``mini`` and ``tiny`` are for a CPU."""


class LeadTimeTransformer(Encoder):
    """Patches of single leads to context vectors, which all leads share the weights of.

    Only leads that the batch has columns for make tokens, and of those only the recorded ones are attended
    to. Each lead is taken off its mean, for an offset says nothing of the heart; its amplitude in millivolts
    stays.

    Source: ST-MEM (PEERS §2.2) for tokens of a lead and a time and embeddings of leads; Kim's ECG-JEPA
    (PEERS §2.5) for attention by the cross pattern and positions on the grid of leads and times. Deviation:
    embeddings and positions go by the lead's name, so that any subset is at home, and by default positions
    are of time and added once.
    """

    has_lead_tokens = True

    def __init__(self, config: LeadTimeTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.leads = config.leads
        self.sampling_rate_hz = config.sampling_rate_hz
        self.dimension = self.token_dimension = config.dimension
        self.layers = config.layers
        self.reference = False
        self.lead_mechanism = config.lead_mechanism
        self.samples_per_token = config.patch_samples
        self.patches = nn.Linear(config.patch_samples, config.dimension)
        self.names = nn.Embedding(len(config.leads), config.dimension) if config.lead_embedding else None
        if self.names is not None:
            nn.init.normal_(self.names.weight, std=0.02)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerLayer(
                config.dimension,
                config.heads,
                config.feedforward,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                norm_first=True,
                qkv_bias=config.qkv_bias,
            )
            for _ in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(config.dimension)

    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples with all leads: 300 for 2500."""
        return len(self.leads) * (samples // self.samples_per_token)

    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which tokens stand for a present lead and for present samples only."""
        present = batch.select(self._columns(batch)).lead_mask
        patch = self.samples_per_token
        rows, frames = batch.sample_mask.shape[0], batch.sample_mask.shape[1] // patch
        whole = batch.sample_mask[:, : frames * patch].reshape(rows, frames, patch).all(dim=2)
        mask: Tensor = (present.unsqueeze(2) & whole.unsqueeze(1)).flatten(1)
        return mask

    def tokenize(self, batch: Batch) -> Tokens:
        """Projects every patch of every lead that the batch has a column for.

        Raises:
            LeadError: If the batch has no lead the encoder knows.
        """
        columns = self._columns(batch)
        ordered = batch.select(columns)
        present = ordered.lead_mask.unsqueeze(2) & ordered.sample_mask.unsqueeze(1)
        signal = torch.where(present, ordered.signal, 0.0)
        if self.config.centre_leads:
            count = ordered.sample_mask.sum(dim=1).clamp_min(1)[:, None, None]
            signal = torch.where(present, signal - signal.sum(dim=2, keepdim=True) / count, 0.0)
        patch = self.samples_per_token
        frames = signal.shape[2] // patch
        patches = signal[..., : frames * patch].reshape(*signal.shape[:2], frames, patch)
        values: Tensor = self.patches(patches)
        places = tuple(self.leads.index(name) for name in columns)
        if self.names is not None:
            values = values + self.names(torch.tensor(places, device=signal.device))[:, None]
        values, mask = values.flatten(1, 2), self.token_mask(batch)
        # Leads are absent whatever the batch says of padding: the mask always counts.
        values = torch.where(mask.unsqueeze(-1), values, 0.0)
        penalty = mean_square(values, mask)
        return Tokens(values=values, mask=mask, penalty=penalty, frames=frames, lead_places=places)

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
        """Adds positions and runs the transformer.

        Raises:
            ConfigError: If there is no such layer.
        """
        self.check_layer(layer)
        x, mask = tokens.values, tokens.mask
        if hidden is not None and hidden_embedding is not None:
            x = torch.where(hidden.unsqueeze(-1), hidden_embedding.to(x.dtype), x)
        lead, time = self._grid(tokens)
        position = self._positions(tokens.lead_places, lead, time).to(x.dtype)
        x = x + position
        rows = x.shape[0]
        lead, time = lead.expand(rows, -1), time.expand(rows, -1)
        if shown is not None:
            x, mask, lead, time = shown.of(x), shown.valid, shown.of(lead), shown.of(time)
            position = shown.of(position.expand(rows, -1, -1)) if self.config.repeat_positions else position
        x = self.dropout(x)
        seen = self._seen(mask, lead, time)
        for number, block in enumerate(self.blocks[:layer]):
            x = block(x + position if self.config.repeat_positions and number else x, seen)
        return features_of(self.output_norm(x), mask, None)

    def _columns(self, batch: Batch) -> tuple[str, ...]:
        known = tuple(name for name in self.leads if name in batch.leads)
        if not known:
            raise LeadError(
                f"encoder: none of the leads {', '.join(batch.leads)} is known; it knows "
                f"{', '.join(self.leads)}."
            )
        return known

    def _grid(self, tokens: Tokens) -> tuple[Int64[Tensor, "T"], Int64[Tensor, "T"]]:
        """Returns the row of its lead and the number of the time of every token."""
        number = torch.arange(tokens.mask.shape[1], device=tokens.mask.device)
        frames = tokens.frames or tokens.mask.shape[1]
        lead = number // frames
        return lead, number - lead * frames

    def _positions(
        self, places: tuple[int, ...], lead: Int64[Tensor, "T"], time: Int64[Tensor, "T"]
    ) -> Float[Tensor, "T D"]:
        """Returns the position of every token; `places` says which leads the rows are."""
        if self.config.positions == "time":
            return sinusoid(time, self.dimension)
        place = torch.tensor(places, device=lead.device)[lead]
        return grid_sinusoid(time, place, self.dimension)

    def _seen(
        self, mask: Bool[Tensor, "B T"], lead: Int64[Tensor, "B T"], time: Int64[Tensor, "B T"]
    ) -> Bool[Tensor, "B T T"] | Bool[Tensor, "B T"]:
        """Returns which tokens a token attends to; an absent one attends to itself, to have something."""
        if self.config.attention == "full":
            return mask
        allowed = lead[:, :, None] == lead[:, None, :]
        if self.config.attention == "cross_pattern":
            allowed = allowed | (time[:, :, None] == time[:, None, :])
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        return (allowed & mask[:, None, :]) | itself
