"""Everything that is measured of one recording's quality, and from where on it is a fault."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float32, Float64

from anylead.errors import ConfigError
from anylead.signal.arm_reversal import SIGNS_NEEDED, arm_signs
from anylead.signal.background_noise import background_noise_mv
from anylead.signal.clipping import clipped_mv
from anylead.signal.einthoven import einthoven_residual
from anylead.signal.mains import mains_share
from anylead.signal.quality import flat_share, missing_share, saturated_share
from anylead.signal.wander import wander_mv

_Measure = Callable[[Float32[np.ndarray, "leads samples"], float], Float64[np.ndarray, "leads"]]

LEAD_MEASURES: Mapping[str, _Measure] = {
    "missing": lambda signal, rate_hz: missing_share(signal),
    "flat": lambda signal, rate_hz: flat_share(signal, rate_hz=rate_hz),
    "saturated": lambda signal, rate_hz: saturated_share(signal, rate_hz=rate_hz),
    "clipped": lambda signal, rate_hz: clipped_mv(signal, rate_hz=rate_hz),
    "powerline": lambda signal, rate_hz: mains_share(signal, rate_hz=rate_hz),
    "wander": lambda signal, rate_hz: wander_mv(signal, rate_hz=rate_hz),
    "noise": lambda signal, rate_hz: background_noise_mv(signal, rate_hz=rate_hz),
}
"""What is measured of every lead by itself."""


@dataclass(frozen=True, kw_only=True)
class QualityLimits:
    """From where on a measure is a fault; ours, chosen to be seen on paper, and no clinical limits.

    Raises:
        ConfigError: If a limit is not above 0.
    """

    missing: float = 0.01
    """Share of a lead's samples."""
    flat: float = 0.1
    """Share of a lead's samples that stand still for a second or more."""
    saturated: float = 0.005
    """Share of a lead's samples on a rail, as the step `FlagQuality` has it."""
    powerline: float = 0.05
    """Share of a lead's power above 1 Hz."""
    wander: float = 0.3
    """mV, standard deviation below 0.5 Hz."""
    noise: float = 0.02
    """mV, root mean square at 25 to 45 Hz between complexes."""
    einthoven: float = 0.05
    """Share of the limb leads that no two potentials explain."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise ConfigError(
                    f"quality: the limit of {limit.name} is {getattr(self, limit.name):g}; "
                    "give a number above 0."
                )


@dataclass(frozen=True, kw_only=True)
class RecordingQuality:
    """The measures of one recording."""

    of_leads: Mapping[str, Float64[np.ndarray, "leads"]]
    """Measure (a key of `LEAD_MEASURES`) -> value of each lead; NaN where it cannot be told."""
    einthoven: float
    """`einthoven_residual`."""
    arm_signs: int | None
    """Signs of exchanged arm electrodes, 0 to 4; None where they cannot be told."""

    def worst(self) -> dict[str, float]:
        """Returns the largest value over the leads of every measure, and those of the recording."""
        largest = {name: _largest(values) for name, values in self.of_leads.items()}
        signs = float("nan") if self.arm_signs is None else float(self.arm_signs)
        return {**largest, "einthoven": self.einthoven, "arm_signs": signs}

    def faults(self, leads: Sequence[str], limits: QualityLimits) -> dict[str, float]:
        """Returns what is wrong: ``kind:lead`` or ``kind`` -> how many times the limit it is, at least 1.

        Args:
            leads: Names of the leads that were measured.
            limits: From where on a measure is a fault.
        """
        found = {}
        for kind, values in self.of_leads.items():
            for lead, value in zip(leads, values.tolist(), strict=True):
                times = float(not math.isnan(value)) if kind == "clipped" else value / getattr(limits, kind)
                if times >= 1:
                    found[f"{kind}:{lead}"] = times
        if self.einthoven >= limits.einthoven:
            found["einthoven"] = self.einthoven / limits.einthoven
        if self.arm_signs is not None and self.arm_signs >= SIGNS_NEEDED:
            found["reversed"] = self.arm_signs / SIGNS_NEEDED
        return found


def recording_quality(
    signal: Float32[np.ndarray, "leads samples"], *, leads: Sequence[str], rate_hz: float
) -> RecordingQuality:
    """Measures one recording.

    Args:
        signal: Millivolts; NaN where a sample is missing.
        leads: Canonical names, one a row.
        rate_hz: Samples per second.
    """
    signs = arm_signs(signal, leads=leads, rate_hz=rate_hz)
    return RecordingQuality(
        of_leads={name: measure(signal, rate_hz) for name, measure in LEAD_MEASURES.items()},
        einthoven=einthoven_residual(signal, leads=leads),
        arm_signs=None if signs is None else signs.count,
    )


def mean_quality(parts: Sequence[RecordingQuality]) -> RecordingQuality:
    """Returns the quality of a recording that was measured in parts of the same length and leads.

    The mean over the parts of what is known of each; heights of clipping and signs are medians.

    Args:
        parts: At least one.
    """
    if len(parts) == 1:
        return parts[0]
    signs = [part.arm_signs for part in parts if part.arm_signs is not None]
    laws = np.array([[part.einthoven] for part in parts])
    return RecordingQuality(
        of_leads={
            name: _over_parts(np.stack([part.of_leads[name] for part in parts]), median=name == "clipped")
            for name in parts[0].of_leads
        },
        einthoven=float(_over_parts(laws)[0]),
        arm_signs=round(float(np.median(signs))) if signs else None,
    )


def _over_parts(
    values: Float64[np.ndarray, "parts leads"], *, median: bool = False
) -> Float64[np.ndarray, "leads"]:
    result = np.full(values.shape[1], np.nan)
    for lead, row in enumerate(values.T):
        known = row[~np.isnan(row)]
        if known.size:
            result[lead] = np.median(known) if median else known.mean()
    return result


def _largest(values: Float64[np.ndarray, "leads"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else float("nan")
