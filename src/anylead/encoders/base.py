"""Encoder: Batch -> Features, for any subset of the leads it knows and any length."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.errors import ConfigError
from anylead.nn.places import Places
from anylead.nn.pooling import Pooling, masked_mean, pool


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """What the front end of an encoder makes of a batch, before any context."""

    values: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]
    """True where the token stands for recorded samples."""
    penalty: Float[Tensor, ""]
    """Mean square of the front end's raw output (METHOD §3.1, ``features_pen``)."""
    frames: int | None = None
    """Tokens of one lead where every lead has its own; None where all leads are fused."""
    lead_places: tuple[int, ...] = ()
    """Places, among the encoder's leads, of those that have tokens of their own, in the order of these."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What an encoder returns."""

    tokens: Float[Tensor, "B T D"]
    token_mask: Bool[Tensor, "B T"]
    pooled: Float[Tensor, "B D"]
    """Mean over present tokens."""


def features_of(tokens: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"], shown: Places | None) -> Features:
    """Returns the features of all tokens, or of those that are shown."""
    if shown is not None:
        tokens, mask = shown.of(tokens), shown.valid
    return Features(tokens=tokens, token_mask=mask, pooled=masked_mean(tokens, mask))


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Which layer of a frozen encoder is read, and how it is pooled over time."""

    layer: int | None = None
    """Number of context layers applied (1 is the first layer's output); None is the encoder's own output."""
    pooling: Pooling = "mean"
    """``mean`` (D), ``mean_std`` (2D) or ``mean_std_max`` (3D)."""


LeadMechanism = Literal[
    "zero_fill", "vcg_fill", "per_lead_pool", "token_drop", "lead_embedding", "cross_pattern"
]
"""What stands for an absent lead: zeros in its column (the paper's); what a dipole fitted to the present
leads shows there; or nothing, for every lead has tokens of its own, which are only pooled, or attend to one
another without or with a name, or attend within their lead and their time."""


class Encoder(nn.Module, ABC):
    """Base of every encoder.

    Poisoning an absent lead or sample with NaN or 1e6 changes no output and no gradient, and what a
    segment gives never depends on its batch mates.
    """

    leads: tuple[str, ...]
    """Lead names it knows."""
    sampling_rate_hz: float
    """Rate it was built for."""
    dimension: int
    """D."""
    token_dimension: int
    """C."""
    layers: int
    """Context layers."""
    blocks: nn.ModuleList
    """The context layers, in order; layer-wise learning rates go by it."""
    reference: bool
    """Whether it repeats the reference code where that is wrong."""
    lead_mechanism: LeadMechanism
    """What stands for an absent lead."""
    samples_per_token: int
    """Samples from one token to the next."""
    causal: bool = False
    """Whether no token's context holds a later token."""
    has_lead_tokens: bool = False
    """Whether every lead has tokens of its own (all of the first lead's, then the second's, ...) rather than
    tokens in which all leads are fused."""

    @abstractmethod
    def num_tokens(self, samples: int) -> int:
        """Returns T for a segment of N samples with all leads."""

    @abstractmethod
    def token_mask(self, batch: Batch) -> Bool[Tensor, "B T"]:
        """Returns which tokens stand for recorded samples, without running the front end."""

    @abstractmethod
    def tokenize(self, batch: Batch) -> Tokens:
        """Runs the front end.

        Raises:
            LeadError: If the batch has no lead the encoder knows.
        """

    @abstractmethod
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
        """Runs the context network.

        Args:
            tokens: From `tokenize`.
            padded: Whether `tokens.mask` may hold False.
            hidden: Tokens an objective conceals.
            hidden_embedding: What stands in their place; zeros where None.
            shown: The only tokens whose content is seen; None shows all. The features are those of these
                tokens, in their order. Where the layers are attention, the others cost nothing there.
            layer: Stop after this many layers; None runs all.

        Raises:
            ConfigError: If there is no such layer.
        """

    def check_layer(self, layer: int | None) -> None:
        """Refuses a layer that is not there; None is the last.

        Raises:
            ConfigError: If there is no such layer.
        """
        if layer is not None and not 0 <= layer <= self.layers:
            raise ConfigError(f"encoder: got layer {layer}; it has layers 0 to {self.layers}.")

    def forward(self, batch: Batch, *, layer: int | None = None) -> Features:
        """Encodes a batch."""
        return self.contextualize(self.tokenize(batch), padded=batch.padded, layer=layer)

    def read(self, batch: Batch, readout: Readout) -> Float[Tensor, "B E"]:
        """Encodes a batch and pools one layer over time, as `readout` says."""
        features = self(batch, layer=readout.layer)
        return pool(features.tokens, features.token_mask, readout.pooling)


def device_of(module: nn.Module) -> torch.device:
    """Returns the device of a module's first parameter."""
    return next(module.parameters()).device
