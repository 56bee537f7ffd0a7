"""Pure functions on (leads, samples) arrays of millivolts."""

from anylead.signal.filters import band_pass, high_pass
from anylead.signal.gaps import fill_gaps, longest_gaps
from anylead.signal.linear_resample import linear_resample
from anylead.signal.quality import flat_leads, longest_standstill, missing_share, saturated_share
from anylead.signal.resample import resample

__all__ = [
    "band_pass",
    "fill_gaps",
    "flat_leads",
    "high_pass",
    "linear_resample",
    "longest_gaps",
    "longest_standstill",
    "missing_share",
    "resample",
    "saturated_share",
]
