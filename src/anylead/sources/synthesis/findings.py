"""Findings: their SNOMED CT codes, how often patients have them, and which exclude each other."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

SINUS_RHYTHM = "426783006"
SINUS_BRADYCARDIA = "426177001"
SINUS_TACHYCARDIA = "427084000"
ATRIAL_FIBRILLATION = "164889003"
PREMATURE_ATRIAL = "284470004"
PREMATURE_VENTRICULAR = "427172004"
FIRST_DEGREE_BLOCK = "270492004"
LEFT_BUNDLE_BLOCK = "164909002"
RIGHT_BUNDLE_BLOCK = "59118001"
LEFT_AXIS = "39732003"
T_INVERSION = "59931005"

ABBREVIATIONS: dict[str, str] = {
    SINUS_RHYTHM: "NSR",
    SINUS_BRADYCARDIA: "SB",
    SINUS_TACHYCARDIA: "STach",
    ATRIAL_FIBRILLATION: "AF",
    PREMATURE_ATRIAL: "PAC",
    PREMATURE_VENTRICULAR: "PVC",
    FIRST_DEGREE_BLOCK: "IAVB",
    LEFT_BUNDLE_BLOCK: "LBBB",
    RIGHT_BUNDLE_BLOCK: "RBBB",
    LEFT_AXIS: "LAD",
    T_INVERSION: "TInv",
}
"""Every code the synthetic source can give, with the Challenge's abbreviation."""

Block = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class Disposition:
    """What a patient has for life, and what they tend to."""

    fibrillation: bool
    """Permanent: never in sinus rhythm."""
    bradycardia: bool
    """Slow sinus rhythm in most sessions."""
    tachycardia: bool
    """Fast sinus rhythm in most sessions."""
    first_degree_block: bool
    bundle_block: Block | None
    left_axis: bool
    t_inversion: bool
    atrial_ectopy: bool
    """Premature atrial beats in most sessions."""
    ventricular_ectopy: bool


def draw_disposition(rng: np.random.Generator) -> Disposition:
    """Draws the findings of one patient: several are possible, contradictory ones are not.

    Fibrillation has no P wave, so it excludes everything said of the sinus node, the atria and the
    interval from atrium to ventricle. Left bundle-branch block turns T over by itself, so T inversion is not
    said of it. Shares are those of a teaching collection, not of a population.
    """
    u = rng.random(6)
    sinus = u[0] >= 0.12
    wide = u[3]
    left = bool(wide < 0.10)
    return Disposition(
        fibrillation=not sinus,
        bradycardia=bool(0.12 <= u[0] < 0.25),
        tachycardia=bool(0.25 <= u[0] < 0.38),
        first_degree_block=bool(sinus and u[1] < 0.13),
        bundle_block="left" if left else ("right" if wide < 0.20 else None),
        left_axis=bool(u[4] < 0.15),
        t_inversion=bool(not left and u[5] < 0.16),
        atrial_ectopy=bool(sinus and 0.13 <= u[2] < 0.28),
        ventricular_ectopy=bool(u[2] < 0.17),
    )
