"""Steps from a recording as published to the one an encoder sees, and the pipeline that runs them."""

from anylead.preparation.absent_leads import DropAbsentLeads
from anylead.preparation.base import Step
from anylead.preparation.fill_gaps import FillGaps
from anylead.preparation.filtering import BandPass, HighPass
from anylead.preparation.flag_quality import FlagQuality
from anylead.preparation.linear_resample import LinearResample
from anylead.preparation.pipeline import STEPS, AnyStep, Preparation
from anylead.preparation.resample import Resample
from anylead.preparation.scale_leads import ScaleLeads
from anylead.preparation.standardize import StandardizeLeads

__all__ = [
    "STEPS",
    "AnyStep",
    "BandPass",
    "DropAbsentLeads",
    "FillGaps",
    "FlagQuality",
    "HighPass",
    "LinearResample",
    "Preparation",
    "Resample",
    "ScaleLeads",
    "StandardizeLeads",
    "Step",
]
