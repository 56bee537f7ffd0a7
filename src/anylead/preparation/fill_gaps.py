"""Short gaps are bridged, long ones stay."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from anylead.errors import ConfigError
from anylead.preparation.base import Step
from anylead.record import Record
from anylead.signal import fill_gaps


@dataclass(frozen=True, kw_only=True)
class FillGaps(Step):
    """Bridges short gaps with a straight line.

    Leads that were bridged are flagged ``gap_filled:<lead>``; leads with a longer gap keep its NaN
    and are flagged ``missing:<lead>``: they are absent in the segments the gap touches.
    """

    kind: ClassVar[str] = "fill_gaps"

    max_gap_s: float = 0.2
    """Longest gap that is bridged."""

    def __post_init__(self) -> None:
        if not self.max_gap_s >= 0:
            raise ConfigError(f"fill_gaps: max_gap_s is {self.max_gap_s:g}; give 0 s or more.")

    def __call__(self, record: Record) -> Record:
        """Bridges the gaps."""
        before = np.isnan(record.signal)
        if not before.any():
            return record
        signal = fill_gaps(record.signal, max_samples=round(self.max_gap_s * record.sampling_rate_hz))
        after = np.isnan(signal)
        filled = (before & ~after).any(axis=1)
        missing = after.any(axis=1)
        return replace(record, signal=signal).with_flags(
            *(f"gap_filled:{lead}" for lead, yes in zip(record.leads, filled, strict=True) if yes),
            *(f"missing:{lead}" for lead, yes in zip(record.leads, missing, strict=True) if yes),
        )
