"""Leads without a single sample."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anylead.errors import InputError
from anylead.preparation.base import Step
from anylead.record import Record


@dataclass(frozen=True, kw_only=True)
class DropAbsentLeads(Step):
    """Takes leads whose samples are all missing out of the record; flags them ``absent:<lead>``."""

    kind: ClassVar[str] = "drop_absent_leads"

    def __call__(self, record: Record) -> Record:
        """Drops the leads that are not there.

        Raises:
            InputError: If none is left.
        """
        absent = np.isnan(record.signal).all(axis=1)
        if not absent.any():
            return record
        if absent.all():
            raise InputError(
                f"record {record.record_id}: every sample of every lead is missing; "
                "a recording needs at least one lead with samples."
            )
        kept = [lead for lead, gone in zip(record.leads, absent, strict=True) if not gone]
        flags = [f"absent:{lead}" for lead, gone in zip(record.leads, absent, strict=True) if gone]
        return record.select(kept).with_flags(*flags)
