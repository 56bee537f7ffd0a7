"""Standardisation per lead. The paper uses raw millivolts; ECG-FM standardises."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from anylead.preparation.base import Step
from anylead.record import Record


@dataclass(frozen=True, kw_only=True)
class StandardizeLeads(Step):
    """Brings each lead of a record to mean 0 and standard deviation 1 over the whole record.

    The values are then no millivolts any more. A constant lead becomes 0; missing samples stay
    missing and do not count.

    Source: METHOD §7 (ECG-FM: (x - mean) / population standard deviation, constant lead 0).
    """

    kind: ClassVar[str] = "standardize_leads"

    def __call__(self, record: Record) -> Record:
        """Standardises."""
        known = ~np.isnan(record.signal)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        values = np.where(known, record.signal, 0).astype(np.float64)
        centred = values - values.sum(axis=1, keepdims=True) / count
        spread = np.sqrt((np.where(known, centred, 0) ** 2).sum(axis=1, keepdims=True) / count)
        # Rounding gives a constant lead a spread of some 1e-17 of its level, not exactly 0.
        level = np.abs(values).max(axis=1, keepdims=True)
        constant = spread <= 1e-9 * level
        scaled = np.where(constant, 0.0, centred / np.where(constant | (spread == 0), 1.0, spread))
        return replace(record, signal=np.where(known, scaled, np.nan).astype(np.float32))
