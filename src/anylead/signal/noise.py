"""Disturbances added to a recording at a stated signal-to-noise ratio.

The noise enters at the electrodes (RA, LA, LL, V1-V6), where it arises, and reaches the leads by their own
definition: lead III stays II - I, a restless right arm is seen in every lead, a loose V3 in V3 only. A lead
that is no standard one is taken as an electrode of its own. All nine electrodes are always drawn, so that
a lead meets the same disturbance, up to its size, whatever other leads were recorded.

The ratio is that of the recording: ``10 log10(S / N)``, S the mean over the leads of the power of the signal
above 0.5 Hz (what is slower is drift that was there before, and no signal), N the mean over the leads of the
power of what is added, both over the samples that are there. One factor serves all leads, as a disturbance
of so many millivolts does; small leads therefore have a lower ratio than large ones.

Source: the kinds are those of the MIT-BIH Noise Stress Test Database (Moody, Muldrow, Mark, "A noise stress
test for arrhythmia detectors", Computers in Cardiology 1984), which has baseline wander, muscle and electrode
motion as recorded; here they are synthetic, and the power line is added. Its ratio differs: there S is
taken from the height of the QRS complexes.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Float64
from scipy.signal import butter, sosfilt

from anylead.errors import InputError
from anylead.signal.filters import high_pass

ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
"""Where potentials are taken; the right leg is the ground."""

DRIFT_BELOW_HZ = 0.5
"""Slower parts of a recording don't count as signal."""

_LIMB_WEIGHTS: dict[str, tuple[float, float, float]] = {
    "I": (-1.0, 1.0, 0.0),
    "II": (-1.0, 0.0, 1.0),
    "III": (0.0, -1.0, 1.0),
    "aVR": (1.0, -0.5, -0.5),
    "aVL": (-0.5, 1.0, -0.5),
    "aVF": (-0.5, -0.5, 1.0),
}
"""Weights of RA, LA and LL."""


def baseline_wander(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    leads: Sequence[str],
    rate_hz: float,
    snr_db: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "leads samples"]:
    """Adds breathing and drift, 0.05 to 0.5 Hz: one breathing seen by every electrode, and drifts of its own.

    Args:
        signal: Millivolts; NaN stays NaN.
        leads: Canonical names, one a row.
        rate_hz: Samples per second.
        snr_db: Ratio to reach, as the module defines it.
        rng: Of the noise.

    Raises:
        InputError: If no lead has a signal, so that no ratio can be reached.
    """
    count = _electrode_count(leads)
    breathing_hz = rng.uniform(0.15, 0.5, 1)
    drift_hz = np.exp(rng.uniform(np.log(0.05), np.log(0.5), 4))
    sizes = rng.standard_normal((count, 5)) * np.sqrt([1.0, *(0.1 / drift_hz)])
    turns = np.concatenate([np.repeat(rng.random((1, 1)), count, axis=0), rng.random((count, 4))], axis=1)
    time_s = np.arange(signal.shape[1]) / rate_hz
    potentials = _sines(np.concatenate([breathing_hz, drift_hz]), sizes, turns, time_s)
    return _add(signal, potentials, leads=leads, rate_hz=rate_hz, snr_db=snr_db)


def muscle(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    leads: Sequence[str],
    rate_hz: float,
    snr_db: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "leads samples"]:
    """Adds muscle noise: 20 to 150 Hz (or what the rate allows) in bursts, of its own at each electrode.

    Arguments and errors are those of `baseline_wander`.
    """
    count, samples = _electrode_count(leads), signal.shape[1]
    top_hz = min(150.0, 0.45 * rate_hz)
    sections = butter(2, (min(20.0, 0.5 * top_hz), top_hz), btype="bandpass", fs=rate_hz, output="sos")
    settling = int(rate_hz)  # the filter starts from rest, which would make the first beats quiet
    white = rng.standard_normal((count, settling + samples))
    potentials = sosfilt(sections, white, axis=1)[:, settling:]
    tension = _slow_noise(count, np.arange(samples) / rate_hz, rng, low_hz=0.2, high_hz=1.5)
    potentials *= np.exp(0.8 * tension) * rng.lognormal(0.0, 0.4, (count, 1))
    return _add(signal, potentials, leads=leads, rate_hz=rate_hz, snr_db=snr_db)


def powerline(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    leads: Sequence[str],
    rate_hz: float,
    snr_db: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "leads samples"]:
    """Adds mains hum: 50 or 60 Hz with harmonics up to the fifth, its phase and size drifting slowly.

    Each electrode couples to the same mains, some in opposite phase. Arguments as `baseline_wander`.

    Raises:
        InputError: If half the rate is not above 50 Hz, or no lead has a signal.
    """
    possible = [mains_hz for mains_hz in (50.0, 60.0) if 2 * mains_hz < rate_hz]
    if not possible:
        raise InputError(
            f"powerline: got {rate_hz:g} samples per second; more than 100 are needed to hold 50 Hz: "
            "use a recording of a higher rate."
        )
    count = _electrode_count(leads)
    time_s = np.arange(signal.shape[1]) / rate_hz
    mains_hz = float(rng.choice(possible))
    turns = mains_hz * time_s + 0.1 * _slow_noise(1, time_s, rng, low_hz=0.02, high_hz=0.3)
    harmonics, shares = np.arange(1, 6), np.array([1.0, 0.1, 0.2, 0.05, 0.1])
    shifts = rng.random(5)
    wave = sum(
        share * np.sin(2 * np.pi * (number * turns + shift))
        for number, share, shift in zip(harmonics, shares, shifts, strict=True)
        if 2 * number * (mains_hz + 0.5) < rate_hz or number == 1
    )
    swell = 1.0 + 0.3 * np.tanh(_slow_noise(1, time_s, rng, low_hz=0.02, high_hz=0.3))
    potentials = rng.standard_normal((count, 1)) * (wave * swell)
    return _add(signal, potentials, leads=leads, rate_hz=rate_hz, snr_db=snr_db)


def electrode_motion(
    signal: Float32[np.ndarray, "leads samples"],
    *,
    leads: Sequence[str],
    rate_hz: float,
    snr_db: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "leads samples"]:
    """Adds what a pulled electrode does: a step that decays within seconds, and a burst of 0.5 to 10 Hz.

    Every electrode has its own events, one in 2.5 seconds on average and at least one. Their power overlaps
    that of the QRS complex, so no filter removes them. Arguments and errors are those of `baseline_wander`.
    """
    count, samples = _electrode_count(leads), signal.shape[1]
    duration_s = samples / rate_hz
    sections = butter(2, (0.5, 10.0), btype="bandpass", fs=rate_hz, output="sos")
    settling = int(4 * rate_hz)
    shaking = sosfilt(sections, rng.standard_normal((count, settling + samples)), axis=1)[:, settling:]
    shaking /= np.sqrt(9.5 / (0.5 * rate_hz))  # of unit power, about
    potentials = np.zeros((count, samples))
    for electrode in range(count):
        events = max(1, int(rng.poisson(0.4 * duration_s)))
        for start_s in np.sort(rng.uniform(0.0, duration_s, events)):
            step, shake = rng.lognormal(0.0, 0.4, 2) * np.array([rng.choice((-1.0, 1.0)), 0.7])
            decay_s, calm_s = rng.uniform(0.3, 2.0), rng.uniform(0.3, 1.0)
            first = int(start_s * rate_hz)
            stop = min(samples, first + 1 + int(6 * max(decay_s, calm_s) * rate_hz))
            since_s = np.arange(1, stop - first + 1) / rate_hz
            rise = 1.0 - np.exp(-since_s / 0.03)  # skin stretches, it does not jump
            potentials[electrode, first:stop] += step * rise * np.exp(-since_s / decay_s)
            burst = rise * np.exp(-since_s / calm_s) * shaking[electrode, first:stop]
            potentials[electrode, first:stop] += shake * burst
    return _add(signal, potentials, leads=leads, rate_hz=rate_hz, snr_db=snr_db)


NOISES: Mapping[str, Callable[..., Float32[np.ndarray, "leads samples"]]] = {
    "wander": baseline_wander,
    "muscle": muscle,
    "powerline": powerline,
    "motion": electrode_motion,
}
"""Short name of each kind -> the function that adds it."""


def _electrode_count(leads: Sequence[str]) -> int:
    """Returns the nine electrodes and one for each lead that is no standard one."""
    return len(ELECTRODES) + sum(lead not in _LIMB_WEIGHTS and lead not in ELECTRODES for lead in leads)


def _weights(leads: Sequence[str]) -> Float64[np.ndarray, "leads electrodes"]:
    """Returns what each electrode contributes to each lead."""
    weights = np.zeros((len(leads), _electrode_count(leads)))
    own = len(ELECTRODES)
    for row, lead in enumerate(leads):
        if lead in _LIMB_WEIGHTS:
            weights[row, :3] = _LIMB_WEIGHTS[lead]
        elif lead in ELECTRODES:
            weights[row, :3] = -1 / 3  # Wilson's central terminal
            weights[row, ELECTRODES.index(lead)] = 1.0
        else:
            weights[row, own] = 1.0
            own += 1
    return weights


def _sines(
    frequencies_hz: Float64[np.ndarray, "waves"],
    sizes: Float64[np.ndarray, "n waves"],
    turns: Float64[np.ndarray, "n waves"],
    time_s: Float64[np.ndarray, "samples"],
) -> Float64[np.ndarray, "n samples"]:
    """Returns sums of sinusoids with sizes and phases of their own in each row."""
    angles = 2 * np.pi * frequencies_hz[:, None] * time_s
    phases = 2 * np.pi * turns
    sums = (sizes * np.cos(phases)) @ np.sin(angles) + (sizes * np.sin(phases)) @ np.cos(angles)
    return np.asarray(sums)


def _slow_noise(
    count: int,
    time_s: Float64[np.ndarray, "samples"],
    rng: np.random.Generator,
    *,
    low_hz: float,
    high_hz: float,
) -> Float64[np.ndarray, "count samples"]:
    """Returns unit-power sums of six sinusoids with frequencies between two limits, one sum a row."""
    frequencies_hz, turns = rng.uniform(low_hz, high_hz, 6), rng.random((count, 6))
    return _sines(frequencies_hz, np.full((count, 6), 1 / np.sqrt(3.0)), turns, time_s)


def _add(
    signal: Float32[np.ndarray, "leads samples"],
    potentials: Float64[np.ndarray, "electrodes samples"],
    *,
    leads: Sequence[str],
    rate_hz: float,
    snr_db: float,
) -> Float32[np.ndarray, "leads samples"]:
    """Brings potentials to the leads, sizes them, and adds them.

    Raises:
        InputError: If no lead has a signal.
    """
    noise = _weights(leads) @ (potentials - potentials.mean(axis=1, keepdims=True))
    signal_power = _power(high_pass(signal, rate_hz=rate_hz, cutoff_hz=DRIFT_BELOW_HZ))
    noise_power = _power(np.where(np.isnan(signal), np.nan, noise))
    # A constant lead leaves rounding errors behind the filter, some 1e-7 of its level.
    if not (signal_power > 1e-12 and noise_power > 0):
        raise InputError(
            "noise: no lead has a signal, so a signal-to-noise ratio says nothing; "
            "give a recording in which one lead at least is neither flat nor missing."
        )
    factor = np.sqrt(signal_power / noise_power * 10 ** (-snr_db / 10))
    return np.asarray(signal + factor * noise, dtype=np.float32)


def _power(signal: np.ndarray) -> float:
    """Returns the mean over the leads of the mean square over the samples that are there."""
    present = ~np.isnan(signal)
    squares = np.where(present, signal, 0.0).astype(np.float64) ** 2
    counts = present.sum(axis=1)
    if not counts.any():
        return 0.0
    return float(np.mean(squares.sum(axis=1)[counts > 0] / counts[counts > 0]))
