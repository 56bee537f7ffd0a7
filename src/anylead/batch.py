"""Batch: what an encoder sees.

Masks say what is *present*. What a pre-training objective conceals from the encoder is called
`hidden` and is not part of a Batch.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from anylead.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B segments of N samples seen through L named leads.

    Values where a mask is False are never used: they may hold anything, NaN included.
    """

    signal: Float[Tensor, "B L N"]
    """Millivolts."""
    lead_mask: Bool[Tensor, "B L"]
    """True where the lead is present."""
    sample_mask: Bool[Tensor, "B N"]
    """True where the sample belongs to the segment; False is padding on the right."""
    leads: tuple[str, ...]
    """Canonical names of the L columns."""
    sampling_rate_hz: float
    padded: bool = True
    """False promises that `sample_mask` is all True: looking would cost a host sync."""
    row: Int64[Tensor, "B"]
    """Place of each segment in the global batch: the key of its random draws."""
    patient: Int64[Tensor, "B"]
    """A number per person; equal numbers are the same person."""
    segment: Int64[Tensor, "B"]
    """Place of the segment inside its pair (0 or 1); 0 where there are no pairs."""
    target: Float[Tensor, "B C"] | None = None
    """Labels for supervised training, where there are any: 1 has the class, 0 has it not, NaN is unknown."""
    identity: Int64[Tensor, "B"] | None = None
    """Class of the person for identity training, where there is one."""

    def __post_init__(self) -> None:
        if len(self.leads) != self.signal.shape[1]:
            raise InputError(
                f"batch: {len(self.leads)} lead names for {self.signal.shape[1]} columns; name every column."
            )

    def __len__(self) -> int:
        return int(self.signal.shape[0])

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Returns the batch on another device."""
        moved: dict[str, Any] = {
            f.name: value.to(device, non_blocking=non_blocking)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)

    def pinned(self) -> "Batch":
        """Returns the batch in memory from which a GPU can copy while it computes."""
        moved: dict[str, Any] = {
            f.name: value.pin_memory()
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)

    def select(self, leads: tuple[str, ...]) -> "Batch":
        """Returns the batch with exactly the given columns; one it does not have becomes an absent lead."""
        if leads == self.leads:
            return self
        position = {name: column for column, name in enumerate(self.leads)}
        columns = torch.tensor([position.get(name, 0) for name in leads], device=self.signal.device)
        known = torch.tensor([name in position for name in leads], device=self.signal.device)
        return replace(
            self,
            signal=self.signal.index_select(1, columns),
            lead_mask=self.lead_mask.index_select(1, columns) & known,
            leads=leads,
        )
