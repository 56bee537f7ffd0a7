"""Exchanged arm electrodes (LA/RA): lead I upside down, aVR and aVL in each other's place.

Four signs, each read from the median beat: the QRS of I points down, its P wave points down, the QRS of aVR
points up, and the QRS of I runs against that of V6, which looks from the same side and does not change. One
alone is common in hearts as they are; three together are rare. `benchmarks/limb_reversal.py` measures how
rare, and how many exchanges show three.

What it cannot find: left arm and left leg exchanged, which looks like another axis; two chest leads
exchanged; anything in fewer than three of its signs. Right arm and left leg exchanged shows three signs in
about half of the recordings. A heart on the right side (dextrocardia) shows the same signs in the limb leads.

Source: for the signs, any textbook of electrocardiography, such as Macfarlane et al., "Comprehensive
Electrocardiology" (2nd ed., 2010); the limits are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from anylead.signal.beats import BEFORE_S, beats, r_peaks

SIGNS_NEEDED = 3
_LEAST_BEATS = 3
_QRS_S = (-0.05, 0.06)
_P_S = (-0.22, -0.06)
"""Around the R peak."""
_P_END_S = 0.03
"""The P wave is measured from the line between the means of this much at both ends of its stretch."""
_LEAST_P_MV = 0.003
"""Mean height of a P wave that has a direction."""
_AGAINST = -0.3
"""Correlation below which two complexes run against each other."""
_LOWEST_RATE_HZ = 60.0


@dataclass(frozen=True, kw_only=True)
class ArmSigns:
    """Signs of exchanged arm electrodes; None where a lead that tells was not recorded."""

    qrs_of_i_down: bool
    p_of_i_down: bool
    """False, too, where there is no P wave."""
    qrs_of_avr_up: bool | None
    """From I and II where aVR itself is absent."""
    i_against_v6: bool | None

    @property
    def count(self) -> int:
        """Number of signs that are there, 0 to 4."""
        return sum(map(bool, (self.qrs_of_i_down, self.p_of_i_down, self.qrs_of_avr_up, self.i_against_v6)))

    @property
    def suspected(self) -> bool:
        """Whether three signs are there."""
        return self.count >= SIGNS_NEEDED


def arm_signs(
    signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str], rate_hz: float
) -> ArmSigns | None:
    """Looks for signs of exchanged arm electrodes.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        leads: Canonical names, one a row.
        rate_hz: Samples per second.

    Returns:
        None where nothing can be told: lead I is absent, or both the others are, there are fewer than three
        beats, or the rate is below 60 Hz.
    """
    names = list(leads)
    if "I" not in names or rate_hz < _LOWEST_RATE_HZ:
        return None
    cut = beats(signal, r_peaks(signal, rate_hz=rate_hz), rate_hz=rate_hz)
    if len(cut) < _LEAST_BEATS:
        return None
    beat = dict(zip(names, np.median(cut, axis=0), strict=True))
    if "aVR" not in beat and "II" in beat:
        beat["aVR"] = -(beat["I"] + beat["II"]) / 2
    if "aVR" not in beat and "V6" not in beat:
        return None
    qrs = {lead: _stretch(values, _QRS_S, rate_hz) for lead, values in beat.items()}
    return ArmSigns(
        qrs_of_i_down=_upwards(qrs["I"]) < 0,
        p_of_i_down=_p_mv(beat["I"], rate_hz) < -_LEAST_P_MV,
        qrs_of_avr_up=_upwards(qrs["aVR"]) > 0 if "aVR" in qrs else None,
        i_against_v6=_correlation(qrs["I"], qrs["V6"]) < _AGAINST if "V6" in qrs else None,
    )


def _stretch(
    beat: Float32[np.ndarray, "beat_samples"], around_s: tuple[float, float], rate_hz: float
) -> Float32[np.ndarray, "samples"]:
    peak = round(BEFORE_S * rate_hz)
    return beat[peak + round(around_s[0] * rate_hz) : peak + round(around_s[1] * rate_hz)]


def _upwards(qrs: Float32[np.ndarray, "samples"]) -> float:
    """Returns the height of R less the depth of Q or S, in mV."""
    return float(qrs.max() + qrs.min())


def _p_mv(beat: Float32[np.ndarray, "beat_samples"], rate_hz: float) -> float:
    p = _stretch(beat, _P_S, rate_hz)
    ends = max(1, round(_P_END_S * rate_hz))
    line = np.linspace(p[:ends].mean(), p[-ends:].mean(), len(p))
    return float((p - line).mean())


def _correlation(a: Float32[np.ndarray, "samples"], b: Float32[np.ndarray, "samples"]) -> float:
    """Returns Pearson's correlation; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
