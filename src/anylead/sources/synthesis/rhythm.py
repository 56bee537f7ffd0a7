"""Rhythm: when the ventricles beat, and which impulse made them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

NORMAL, ATRIAL, VENTRICULAR = 0, 1, 2
"""Kinds of beats: conducted, premature atrial, premature ventricular."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """What drives the heart during one session."""

    kind: Literal["sinus", "fibrillation"]
    rate_bpm: float
    variability: float
    """Relative beat-to-beat variation: of sinus rhythm a few per cent, of fibrillation about 0.2."""
    breathing_hz: float
    breathing_phase: float
    sinus_arrhythmia: float
    """Relative change of the interval with breathing."""
    premature_atrial: int
    """Number of premature atrial beats sought in a recording."""
    premature_ventricular: int
    atrial_coupling: float
    """Interval before a premature atrial beat over the sinus interval; below 1 is early."""
    ventricular_coupling: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Beats:
    """Beats in order; the first and the last lie outside the recording."""

    time_s: Float64[np.ndarray, " beats"]
    """Time of the R wave after the first sample."""
    interval_s: Float64[np.ndarray, " beats"]
    """Time since the beat before."""
    kind: Int64[np.ndarray, " beats"]

    def count(self, kind: int, *, duration_s: float) -> int:
        """Returns how many beats of a kind a recording shows whole, with the beat before."""
        inside = (self.time_s > 1.0) & (self.time_s < duration_s - 0.5)
        return int(np.count_nonzero(inside & (self.kind == kind)))


def draw_beats(rng: np.random.Generator, rhythm: Rhythm, *, duration_s: float) -> Beats:
    """Draws the beats of one recording.

    A premature ventricular beat leaves the sinus node alone: the interval before and the one after add
    up to two normal ones (compensatory pause). A premature atrial beat resets it: the interval after is
    hardly longer than a normal one.

    Args:
        rng: Source of randomness.
        rhythm: What drives the heart.
        duration_s: Length of the recording.
    """
    mean_s = 60.0 / rhythm.rate_bpm
    count = int(np.ceil((duration_s + 6.0 * mean_s) / mean_s * 1.3)) + 4
    start_s = -(2.0 + rng.random()) * mean_s
    if rhythm.kind == "fibrillation":
        shape = 1.0 / rhythm.variability**2
        relative = rng.gamma(shape, 1.0 / shape, count).clip(0.5, 1.8)
        interval_s = np.maximum(mean_s * relative, 0.30)
    else:
        breath = 2 * np.pi * rhythm.breathing_hz * mean_s * np.arange(count) + rhythm.breathing_phase
        noise = rhythm.variability * rng.standard_normal(count)
        interval_s = mean_s * (1.0 + rhythm.sinus_arrhythmia * np.sin(breath) + noise).clip(0.7, 1.35)
    kind = np.zeros(count, dtype=np.int64)
    _insert_premature(rng, rhythm, interval_s, kind, mean_s, start_s, duration_s)
    time_s = start_s + np.cumsum(interval_s)
    keep = time_s < duration_s + 2.0
    return Beats(time_s=time_s[keep], interval_s=interval_s[keep], kind=kind[keep])


def _insert_premature(
    rng: np.random.Generator,
    rhythm: Rhythm,
    interval_s: Float64[np.ndarray, " beats"],
    kind: Int64[np.ndarray, " beats"],
    mean_s: float,
    start_s: float,
    duration_s: float,
) -> None:
    """Makes some beats premature, in place."""
    wanted = [ATRIAL] * rhythm.premature_atrial + [VENTRICULAR] * rhythm.premature_ventricular
    if not wanted:
        return
    nominal_s = start_s + np.cumsum(interval_s)
    possible = np.flatnonzero((nominal_s > 1.5 + 0.4 * mean_s) & (nominal_s < duration_s - 0.6))
    taken: list[int] = []
    for beat in rng.permutation(possible):
        if len(taken) < len(wanted) and all(abs(beat - other) >= 3 for other in taken):
            taken.append(int(beat))
    for what, beat in zip(rng.permutation(wanted), taken, strict=False):
        usual = rhythm.atrial_coupling if what == ATRIAL else rhythm.ventricular_coupling
        coupling = float(np.clip(usual + 0.02 * rng.standard_normal(), 0.36 / mean_s, 0.8))
        pause = rng.uniform(1.0, 1.12) if what == ATRIAL else 2.0 - coupling
        kind[beat] = what
        interval_s[beat], interval_s[beat + 1] = coupling * mean_s, pause * mean_s
