"""Scaling by constants of each lead, as encoders expect it whose data sets were standardised as a whole."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from anylead.errors import ConfigError, InputError
from anylead.leads import STANDARD_12
from anylead.preparation.base import Step
from anylead.record import Record


@dataclass(frozen=True, kw_only=True)
class ScaleLeads(Step):
    """Takes each lead off a constant, divides it by another and limits what is left.

    The values are then no millivolts any more, but a recording's amplitude still shows, as it does not after
    `StandardizeLeads`. Leads without constants are left out and flagged ``unscaled:<lead>``.

    Source: Weimann & Conrad 2024 (arXiv 2410.13867), PEERS §2.4: mean and deviation of each lead over a data
    set, limits of 5.
    """

    kind: ClassVar[str] = "scale_leads"

    leads: tuple[str, ...] = STANDARD_12
    """The leads that have constants."""
    mean_mv: tuple[float, ...] = (0.0,) * 12
    """What is subtracted, one number a lead."""
    deviation_mv: tuple[float, ...] = (1.0,) * 12
    """What is divided by, one number a lead."""
    limit: float | None = None
    """Largest magnitude afterwards; None limits nothing."""

    def __post_init__(self) -> None:
        if not len(self.leads) == len(self.mean_mv) == len(self.deviation_mv):
            raise ConfigError(
                f"scale_leads: got {len(self.leads)} leads, {len(self.mean_mv)} means and "
                f"{len(self.deviation_mv)} deviations; give one of each a lead."
            )
        if min(self.deviation_mv, default=1.0) <= 0 or (self.limit is not None and self.limit <= 0):
            raise ConfigError(
                f"scale_leads: got deviations from {min(self.deviation_mv, default=1.0):g} mV on and the "
                f"limit {self.limit}; give numbers above 0."
            )

    def __call__(self, record: Record) -> Record:
        """Scales.

        Raises:
            InputError: If no lead of the record has constants.
        """
        known = [lead for lead in record.leads if lead in self.leads]
        if not known:
            raise InputError(
                f"record {record.record_id}: none of its leads ({', '.join(record.leads)}) has constants to "
                f"scale it by, which {', '.join(self.leads)} have; rename the leads or give other ones."
            )
        flags = [f"unscaled:{lead}" for lead in record.leads if lead not in self.leads]
        places = [self.leads.index(lead) for lead in known]
        mean, deviation = (np.array(values)[places, None] for values in (self.mean_mv, self.deviation_mv))
        chosen = record.select(known)
        scaled = (chosen.signal - mean) / deviation
        if self.limit is not None:
            scaled = scaled.clip(-self.limit, self.limit)
        return replace(chosen, signal=scaled.astype(np.float32)).with_flags(*flags)
