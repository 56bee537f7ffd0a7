"""Einthoven's law: whether the limb leads go together.

The six limb leads are made of two potentials: III = II - I, and aVR, aVL and aVF are sums of I and II. A lead
that carries another's name or another gain breaks this. Exchanged limb electrodes do not: what is recorded
then are limb leads of another body, which obey it as well; `anylead.signal.arm_reversal` looks for those.

Source: Einthoven's and Goldberger's definitions of the leads, as in Macfarlane et al., "Comprehensive
Electrocardiology" (2nd ed., 2010).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from anylead.signal.lead_faults import IN_I_AND_II

_LEAST_MV = 0.02
"""Root mean square below which limb leads hold too little to tell."""


def einthoven_residual(signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str]) -> float:
    """Returns how much of the limb leads no pair of potentials explains, 0 to 1.

    The root mean square of what is left by the best I and II at each sample, as a part of that of the limb
    leads; the constant offset of each lead is taken away first, because amplifiers drop it.

    Args:
        signal: Millivolts; samples that a limb lead misses are left out.
        leads: Canonical names, one a row.

    Returns:
        0 for leads that obey the law, to rounding; NaN for fewer than three limb leads, which always obey it
        or cannot be told, or leads with less than 0.02 mV.
    """
    rows = [row for row, lead in enumerate(leads) if lead in IN_I_AND_II]
    if len(rows) < 3:
        return float("nan")
    limbs = signal[rows].astype(np.float64)
    limbs = limbs[:, ~np.isnan(limbs).any(axis=0)]
    if limbs.shape[1] < 2:
        return float("nan")
    limbs -= limbs.mean(axis=1, keepdims=True)
    size = float(np.sqrt(np.mean(np.square(limbs))))
    if size < _LEAST_MV:
        return float("nan")
    shares = np.array([IN_I_AND_II[leads[row]] for row in rows])
    explained = shares @ (np.linalg.pinv(shares) @ limbs)
    return float(np.sqrt(np.mean(np.square(limbs - explained))) / size)
