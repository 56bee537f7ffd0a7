"""What goes wrong with leads: electrodes exchanged, a lead that shows nothing, a lead that shows noise.

Source: for the exchanged limb electrodes, Einthoven's and Goldberger's definitions of the leads with two
potentials exchanged; the table is in every textbook, such as Macfarlane et al., "Comprehensive
Electrocardiology" (2nd ed., 2010). Wilson's central terminal is the mean of the three limb potentials,
which no exchange of them changes, so V1-V6 stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32

from anylead.errors import LeadError
from anylead.signal.noise import electrode_motion

LimbPair = Literal["LA/RA", "LA/LL", "RA/LL"]
"""Limb electrodes that are taken for each other."""

REVERSALS: Mapping[LimbPair, Mapping[str, tuple[float, str]]] = {
    "LA/RA": {
        "I": (-1.0, "I"),
        "II": (1.0, "III"),
        "III": (1.0, "II"),
        "aVR": (1.0, "aVL"),
        "aVL": (1.0, "aVR"),
        "aVF": (1.0, "aVF"),
    },
    "LA/LL": {
        "I": (1.0, "II"),
        "II": (1.0, "I"),
        "III": (-1.0, "III"),
        "aVR": (1.0, "aVR"),
        "aVL": (1.0, "aVF"),
        "aVF": (1.0, "aVL"),
    },
    "RA/LL": {
        "I": (-1.0, "III"),
        "II": (-1.0, "II"),
        "III": (-1.0, "I"),
        "aVR": (1.0, "aVF"),
        "aVL": (1.0, "aVL"),
        "aVF": (1.0, "aVR"),
    },
}
"""Pair exchanged -> lead -> (sign, the true lead that is shown under its name)."""

IN_I_AND_II: Mapping[str, tuple[float, float]] = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Each limb lead as so much of lead I and so much of lead II."""


def swap_limb_leads(
    signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str], electrodes: LimbPair
) -> Float32[np.ndarray, "leads samples"]:
    """Returns what is recorded with two limb electrodes exchanged.

    A lead that is shown under another name but was not recorded is computed from the first two limb
    leads that were: any two determine all six.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        leads: Canonical names, one a row.
        electrodes: The two exchanged.

    Raises:
        LeadError: If there is no limb lead, or one is needed that cannot be computed.
    """
    present = [lead for lead in leads if lead in IN_I_AND_II]
    if not present:
        raise LeadError(
            f"{electrodes} reversal: got {', '.join(leads)}; limb leads are needed, for no other changes: "
            "give a recording with two of them."
        )
    result = signal.copy()
    for lead in present:
        sign, shown = REVERSALS[electrodes][lead]
        result[leads.index(lead)] = np.float32(sign) * _limb_lead(signal, leads, shown, electrodes)
    return result


def _limb_lead(
    signal: Float32[np.ndarray, "leads samples"], leads: Sequence[str], wanted: str, electrodes: LimbPair
) -> Float32[np.ndarray, "samples"]:
    if wanted in leads:
        return np.asarray(signal[leads.index(wanted)])
    given = sorted((lead for lead in leads if lead in IN_I_AND_II), key=list(IN_I_AND_II).index)[:2]
    if len(given) < 2:
        raise LeadError(
            f"{electrodes} reversal: lead {wanted} is needed and cannot be computed from {', '.join(given)} "
            "alone; give a recording with two limb leads."
        )
    shares = np.linalg.solve(np.array([IN_I_AND_II[lead] for lead in given]).T, IN_I_AND_II[wanted])
    rows = [leads.index(lead) for lead in given]
    return np.asarray(shares[0] * signal[rows[0]] + shares[1] * signal[rows[1]], dtype=np.float32)


def swap_leads(
    signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str], first: str, second: str
) -> Float32[np.ndarray, "leads samples"]:
    """Returns a recording in which two leads carry each other's name, as V1 and V2 do when exchanged.

    Raises:
        LeadError: If one of them was not recorded.
    """
    rows = [_row(leads, first), _row(leads, second)]
    result = signal.copy()
    result[rows] = signal[rows[::-1]]
    return result


def flat_lead(
    signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str], lead: str
) -> Float32[np.ndarray, "leads samples"]:
    """Returns a recording in which one lead shows 0 mV throughout, as many devices do for a fallen electrode.

    Raises:
        LeadError: If the lead was not recorded.
    """
    row = _row(leads, lead)
    result = signal.copy()
    result[row] = np.where(np.isnan(signal[row]), signal[row], np.float32(0))
    return result


def noisy_lead(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    leads: Sequence[str],
    lead: str,
    rate_hz: float,
    snr_db: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "leads samples"]:
    """Returns a recording in which one lead is disturbed by electrode motion and the others are not.

    Args:
        signal: Millivolts; NaN stays NaN.
        leads: Canonical names, one a row.
        lead: The one disturbed.
        rate_hz: Samples per second.
        snr_db: Signal-to-noise ratio of that lead; see `anylead.signal.noise`.
        rng: Of the noise.

    Raises:
        LeadError: If the lead was not recorded.
        InputError: If it is flat or missing, so that no ratio can be reached.
    """
    row = _row(leads, lead)
    result = signal.copy()
    result[row] = electrode_motion(
        signal[row : row + 1], leads=(lead,), rate_hz=rate_hz, snr_db=snr_db, rng=rng
    )[0]
    return result


def _row(leads: Sequence[str], lead: str) -> int:
    if lead not in leads:
        raise LeadError(f"lead {lead} is not recorded; there are {', '.join(leads)}: name one of them.")
    return list(leads).index(lead)
