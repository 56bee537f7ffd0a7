"""A structured state-space network: the strongest published supervised baseline on ECGs."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens, features_of
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.diagonal_state_space import DiagonalStateSpace, Initialization
from anylead.nn.places import Places
from anylead.nn.presence import AbsentLeads, frame_mask, mean_square, num_frames, present_signal


@dataclass(frozen=True, kw_only=True)
class S4Config:
    """Configuration of `S4`; the defaults are the size ``base``.

    Raises:
        ConfigError: If the state is odd, or a number is below 1.
    """

    leads: tuple[str, ...] = STANDARD_12
    """Lead names in the order of the input columns."""
    sampling_rate_hz: float = 500.0
    stride: int = 5
    """Samples a token: 100 tokens a second of 500 Hz."""
    dimension: int = 512
    layers: int = 4
    state: int = 8
    """Order N of the linear system of each channel and layer; even."""
    initialization: Initialization = "lin"
    """Of the systems' poles: S4D-Lin or S4D-Inv."""
    causal: bool = False
    """Run forwards in time only, so that no token's context holds what comes after it."""
    dropout: float = 0.1
    """On what each state-space layer gives."""
    absent_leads: AbsentLeads = "zero_fill"
    """What stands in the column of an absent lead."""

    def __post_init__(self) -> None:
        if self.state < 2 or self.state % 2 or min(self.stride, self.dimension, self.layers) < 1:
            raise ConfigError(
                f"encoder: got state {self.state}, stride {self.stride}, dimension {self.dimension} and "
                f"layers {self.layers}; give an even state and at least 1 of the others."
            )

    @classmethod
    def named(cls, name: str) -> "S4Config":
        """Returns a named size: ``base``, ``small`` or ``tiny``.

        Raises:
            ConfigError: If there is no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"encoder: got size {name!r}; there are {', '.join(SIZES)}.")
        return SIZES[name]


SIZES: dict[str, S4Config] = {
    "base": S4Config(),
    "small": S4Config(dimension=256),
    "tiny": S4Config(dimension=96),
}
"""``base`` has the published baseline's width, depth and state; ``tiny`` is for a CPU."""


class StateSpaceBlock(nn.Module):
    """Norm, state-space layer, GELU and a gated projection, on a residual path.

    Args:
        config: Configuration of the encoder.

    Source: Gu et al. 2022 (arXiv 2206.11893), whose blocks have the norm behind the sum or, as here, first.
    """

    def __init__(self, config: S4Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dimension)
        self.mix = DiagonalStateSpace(
            config.dimension, state=config.state, initialization=config.initialization, causal=config.causal
        )
        self.dropout = nn.Dropout(config.dropout)
        self.gate = nn.Linear(config.dimension, 2 * config.dimension)

    def forward(self, x: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B T D"]:
        """Runs the block; frames where `mask` is False enter as 0, so that they are as good as not there."""
        normed: Tensor = self.norm(x)
        if mask is not None:
            normed = torch.where(mask.unsqueeze(-1), normed, 0.0)
        mixed: Tensor = self.mix(normed.mT)
        y: Tensor = self.dropout(F.gelu(mixed).mT)
        return x + F.glu(self.gate(y), dim=-1)


class S4(Encoder):
    """Raw millivolts to context vectors, 5 samples (10 ms at 500 Hz) a token, by linear systems in time.

    An absent lead is a column of zeros. The stem has a bias, so that the norms, each of one token, do not
    take the amplitude in millivolts away.

    Source: Gu et al. 2022 (S4D, arXiv 2206.11893); ``base`` has the 4 layers, width 512 and state 8 of the
    supervised network in arXiv 2509.25095. Deviation: a strided convolution makes the tokens of 500 Hz.
    """

    def __init__(self, config: S4Config) -> None:
        super().__init__()
        self.config = config
        self.leads = config.leads
        self.sampling_rate_hz = config.sampling_rate_hz
        self.dimension = self.token_dimension = config.dimension
        self.layers = config.layers
        self.reference = False
        self.lead_mechanism = config.absent_leads
        self.samples_per_token = config.stride
        self.causal = config.causal
        self.stem = nn.Conv1d(
            len(config.leads),
            config.dimension,
            2 * config.stride + 1,
            stride=config.stride,
            padding=config.stride,
        )
        self.blocks = nn.ModuleList(StateSpaceBlock(config) for _ in range(config.layers))
        # Without parameters: what reads it scales as it likes, and every layer can be read through it.
        self.output_norm = nn.LayerNorm(config.dimension, elementwise_affine=False)

    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples: 500 for 2500."""
        return num_frames(samples, self.config.stride)

    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which tokens have their centre on a present sample."""
        return frame_mask(batch.sample_mask, self.config.stride)

    def tokenize(self, batch: Batch) -> Tokens:
        """Runs the strided convolution."""
        values: Tensor = self.stem(present_signal(batch, self.leads, self.config.absent_leads)).mT
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
        """Runs the state-space blocks.

        Raises:
            ConfigError: If there is no such layer.
        """
        self.check_layer(layer)
        x = tokens.values
        if hidden is not None and hidden_embedding is not None:
            x = torch.where(hidden.unsqueeze(-1), hidden_embedding.to(x.dtype), x)
        if shown is not None:
            x = torch.where(shown.mask(x.shape[1]).unsqueeze(-1), x, 0.0)
        mask = tokens.mask if padded else None
        for block in self.blocks[:layer]:
            x = block(x, mask)
        x = self.output_norm(x)
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), x, 0.0)
        return features_of(x, tokens.mask, shown)
