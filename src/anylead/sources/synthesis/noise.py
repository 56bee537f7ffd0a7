"""Noise at the electrodes: skin and amplifier, muscle, breathing and drift, mains.

It is added where it arises, at the nine electrodes, so that it obeys Einthoven's law as the heart does.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64
from scipy.signal import butter, lfilter

from anylead.sources.synthesis.torso import ELECTRODES


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """How a session is disturbed. Every amplitude is a standard deviation in millivolts."""

    sensor_mv: float
    muscle_mv: Float64[np.ndarray, " electrodes"]
    tense_s: float
    """How long muscles stay tense, about."""
    drift_mv: Float64[np.ndarray, " electrodes"]
    breathing_mv: Float64[np.ndarray, " electrodes"]
    breathing_hz: float
    mains_mv: Float64[np.ndarray, " electrodes"]
    mains_hz: float


def draw_noise(rng: np.random.Generator, *, breathing_hz: float) -> Noise:
    """Draws how one session is disturbed."""
    count = len(ELECTRODES)
    hum = 0.012 if rng.random() < 0.25 else 0.0
    return Noise(
        sensor_mv=float(rng.uniform(0.003, 0.009)),
        muscle_mv=rng.uniform(0.003, 0.016) * rng.lognormal(0.0, 0.4, count),
        tense_s=float(rng.uniform(0.6, 3.0)),
        drift_mv=rng.uniform(0.01, 0.08) * rng.lognormal(0.0, 0.4, count),
        breathing_mv=rng.uniform(0.005, 0.05) * rng.standard_normal(count),
        breathing_hz=breathing_hz,
        mains_mv=hum * rng.standard_normal(count),
        mains_hz=50.0 if rng.random() < 0.7 else 60.0,
    )


def electrode_noise(
    rng: np.random.Generator, noise: Noise, *, samples: int, sampling_rate_hz: float
) -> Float32[np.ndarray, "9 samples"]:
    """Draws the noise of one recording at each electrode, in millivolts."""
    count = len(ELECTRODES)
    white = rng.standard_normal((count, samples), dtype=np.float32)
    muscle: Float32[np.ndarray, "9 samples"] = lfilter(*_muscle_filter(sampling_rate_hz), white, axis=-1)
    time_s = np.arange(samples) / sampling_rate_hz
    tense = 1.0 - 0.4 * np.cos(2 * np.pi * (0.5 * time_s / noise.tense_s + rng.random()))
    muscle *= tense.astype(np.float32)
    muscle *= noise.muscle_mv[:, None].astype(np.float32)
    white *= np.float32(noise.sensor_mv)
    muscle += white
    muscle += _slow_and_mains(rng, noise, time_s, sampling_rate_hz)
    return muscle


def _slow_and_mains(
    rng: np.random.Generator, noise: Noise, time_s: Float64[np.ndarray, " samples"], sampling_rate_hz: float
) -> Float32[np.ndarray, "9 samples"]:
    """Sums a few sinusoids, each with its own amplitude at each electrode."""
    drift_hz = rng.uniform([0.03, 0.08, 0.2], [0.08, 0.2, 0.45])
    drift = noise.drift_mv[:, None] * rng.standard_normal((len(ELECTRODES), 3)) * np.array([1.0, 0.6, 0.3])
    frequencies, amplitudes = [*drift_hz, noise.breathing_hz], [drift, noise.breathing_mv[:, None]]
    if noise.mains_mv.any() and noise.mains_hz < 0.5 * sampling_rate_hz:
        frequencies.append(noise.mains_hz)
        amplitudes.append(noise.mains_mv[:, None])
    turns = np.asarray(frequencies)[:, None] * time_s + rng.random((len(frequencies), 1))
    # Whole turns are taken off before single precision, which would lose the phase of a long recording.
    waves = np.sin((2 * np.pi * (turns - np.floor(turns))).astype(np.float32))
    return np.asarray(np.concatenate(amplitudes, axis=1).astype(np.float32) @ waves)


@lru_cache(maxsize=16)
def _muscle_filter(
    sampling_rate_hz: float,
) -> tuple[Float32[np.ndarray, " taps"], Float32[np.ndarray, " taps"]]:
    """Returns a band-pass of unit power for white noise: muscle is heard from about 20 to 150 Hz."""
    top = min(150.0, 0.45 * sampling_rate_hz)
    numerator, denominator = butter(1, [min(20.0, 0.5 * top), top], "bandpass", fs=sampling_rate_hz)
    impulse = lfilter(numerator, denominator, np.eye(1, 4096)[0])
    numerator = numerator / np.sqrt(np.sum(impulse**2))
    return numerator.astype(np.float32), denominator.astype(np.float32)
