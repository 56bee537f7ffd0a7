"""Encoders that were never trained: what architecture, preparation and read-out give by themselves.

A random encoder is a strong baseline, and how strong depends on details; one seed of one preparation would be
a straw man. Source: Berger et al. 2026 (arXiv:2602.17531), who ask for a grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from anylead.bundle import Bundle
from anylead.encoders import build_encoder, named_encoder
from anylead.preparation import BandPass, Preparation, StandardizeLeads
from anylead.seeding import derive_seed
from anylead.store import Store
from anylead.workflows.suite.embedders import BundleEmbedder

PREPARATIONS: dict[str, tuple[BandPass | StandardizeLeads, ...]] = {
    "": (),
    "band-passed": (BandPass(),),
    "standardised": (StandardizeLeads(),),
}
"""What is done after the bundle's own steps."""
_POLES = ("log_decay", "frequency")
GAINS = (1.0, 2.0)
"""Factors on the initial weights. A gain on the input alone does nothing behind an instance norm."""


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """One cell of the grid."""

    preparation: str = ""
    """A key of `PREPARATIONS`."""
    gain: float = 1.0
    seed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it differs from the trained encoder in its weights alone."""
        return not self.kind

    @property
    def kind(self) -> str:
        """What it differs in from the plain one: empty for that."""
        told = [self.preparation] if self.preparation else []
        return ", ".join([*told, f"gain {self.gain:g}"] if self.gain != 1.0 else told)

    @property
    def name(self) -> str:
        """In tables."""
        return f"untrained {self.seed}, {self.kind}" if self.kind else f"untrained {self.seed}"


def grid(*, seeds: int, plain_only: bool) -> tuple[Untrained, ...]:
    """Returns the untrained encoders to compare with.

    Args:
        seeds: Of each cell.
        plain_only: Only the bundle's own preparation and the usual initial weights.
    """
    plain = tuple(Untrained(seed=seed) for seed in range(seeds))
    if plain_only:
        return plain
    return tuple(
        Untrained(preparation=preparation, gain=gain, seed=seed)
        for preparation in PREPARATIONS
        for gain in GAINS
        for seed in range(seeds)
    )


def own_embedder(name: str, stores: Sequence[Store], *, seed: int, batch_size: int) -> BundleEmbedder:
    """Returns an encoder of ours with fresh weights, which prepares recordings as the stores were.

    Args:
        name: ``NAME`` or ``NAME:SIZE`` of the encoder; the name in tables is another one.
        stores: Made by the same steps.
        seed: Of the suite.
        batch_size: Windows at a time.

    Raises:
        ConfigError: If there is no such encoder.
        StoreError: If the recordings of a store have several sampling rates.
    """
    config = replace(named_encoder(name), sampling_rate_hz=stores[0].sampling_rate_hz)
    torch.manual_seed(derive_seed(seed, "untrained", 0))
    bundle = Bundle.assemble(
        build_encoder(config), preparation=Preparation.from_plain(stores[0].manifest.preparation)
    ).eval()
    return BundleEmbedder(
        name="untrained", seed=seed, bundle=bundle, readout=bundle.manifest.readout, batch_size=batch_size
    )


def untrained_embedder(like: BundleEmbedder, cell: Untrained, *, seed: int) -> BundleEmbedder:
    """Returns the architecture and read-out of an encoder with fresh weights.

    Args:
        like: The trained one.
        cell: Which of the grid.
        seed: Of the suite; the cell's own seed is added.
    """
    torch.manual_seed(derive_seed(seed, "untrained", cell.seed))
    encoder_config: Any = like.bundle.encoder.config
    encoder = build_encoder(encoder_config)
    for weight in _weights(encoder):
        weight.data.mul_(cell.gain)
    bundle = Bundle.assemble(
        encoder,
        preparation=Preparation(steps=(*like.bundle.preparation.steps, *PREPARATIONS[cell.preparation])),
        readout=like.readout,
        window_s=like.bundle.manifest.window_s,
    ).eval()
    return BundleEmbedder(
        name=cell.name, seed=like.seed, bundle=bundle, readout=like.readout, batch_size=like.batch_size
    )


def _weights(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yields matrices and kernels: neither biases nor the gains of norms nor the poles of state spaces."""
    for name, parameter in module.named_parameters():
        if parameter.dim() >= 2 and name.rsplit(".", 1)[-1] not in _POLES:
            yield parameter
