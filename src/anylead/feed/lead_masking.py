"""Random lead masking (RLM): leads are made absent at random."""

from dataclasses import dataclass, replace

import torch

from anylead.batch import Batch
from anylead.errors import ConfigError
from anylead.nn.keyed_random import DrawKey, uniform


@dataclass(frozen=True, kw_only=True)
class RandomLeadMasking:
    """Hides each lead of each segment independently.

    Source: Oh et al. 2022; METHOD §4, last bullet. Deviation: the paper may hide all leads of a
    segment; here a segment whose present leads would all be hidden keeps one of them, each with
    the same chance. `reference` brings the paper's behaviour back.
    """

    probability: float = 0.5
    """Chance of each lead to be hidden."""
    keep_at_least_one: bool = True
    """Never hide all leads that are present."""
    reference: bool = False
    """Exactly the paper's: all leads may be hidden, whatever `keep_at_least_one` says."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(
                f"lead masking: got probability {self.probability:g}; give a number from 0 to 1."
            )

    def apply(self, batch: Batch, key: DrawKey) -> Batch:
        """Returns the batch with leads hidden; the signal is not touched.

        Args:
            batch: The segments.
            key: Of the draws; what a row gets depends on it and on `batch.row` alone.
        """
        columns = len(batch.leads)
        present = batch.lead_mask
        kept = present & (uniform(key.of("hide"), batch.row, columns) >= self.probability)
        if self.keep_at_least_one and not self.reference:
            order = uniform(key.of("keep"), batch.row, columns)
            chosen = torch.where(present, order, -1.0).argmax(dim=1, keepdim=True)
            one = torch.zeros_like(present).scatter(1, chosen, True) & present
            kept = torch.where(kept.any(dim=1, keepdim=True), kept, one)
        return replace(batch, lead_mask=kept)
