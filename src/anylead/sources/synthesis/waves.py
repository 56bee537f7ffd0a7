"""Waves of the heart dipole: Gaussian bumps in time, each with a fixed direction in space."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

Vectors = Float64[np.ndarray, "waves 3"]
Numbers = Float64[np.ndarray, " waves"]

_REACH = 4.0
"""Widths to either side after which a wave is taken as over: exp(-8) of its peak, below 1 µV."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Waves:
    """A group of waves that belong together, such as a QRS complex.

    Directions are those of the Frank system: x to the patient's left, y to the feet, z to the back.
    """

    offset_s: Numbers
    """Time of each peak after the reference of the group."""
    rise_s: Numbers
    """Standard deviation of the Gaussian before the peak."""
    fall_s: Numbers
    """Standard deviation of the Gaussian after the peak."""
    vector_mv: Vectors
    """Dipole at the peak, in millivolts of a lead of unit strength."""

    @classmethod
    def of(cls, *waves: tuple[float, float, tuple[float, float, float]]) -> "Waves":
        """Makes symmetric waves from (offset in ms, width in ms, direction in mV)."""
        offset, width, vector = zip(*waves, strict=True)
        width_s = np.array(width) / 1000.0
        return cls(
            offset_s=np.array(offset) / 1000.0,
            rise_s=width_s,
            fall_s=width_s.copy(),
            vector_mv=np.array(vector, dtype=np.float64),
        )

    @property
    def onset_s(self) -> float:
        """Where the first wave has 3 % of its height."""
        return float((self.offset_s - 2.6 * self.rise_s).min())

    @property
    def end_s(self) -> float:
        """Where the last wave is down to 3 % of its height."""
        return float((self.offset_s + 2.6 * self.fall_s).max())

    def areas(self) -> Vectors:
        """Returns the integral over time of each wave, in mV s, up to the constant sqrt(2 pi)."""
        return np.asarray(self.vector_mv * (0.5 * (self.rise_s + self.fall_s))[:, None])

    def stretched(self, factor: float) -> "Waves":
        """Returns the waves slowed down by a factor."""
        return replace(
            self, offset_s=self.offset_s * factor, rise_s=self.rise_s * factor, fall_s=self.fall_s * factor
        )

    def scaled(self, factor: float) -> "Waves":
        """Returns the waves with every amplitude multiplied."""
        return replace(self, vector_mv=self.vector_mv * factor)

    def rotated(self, rotation: Float64[np.ndarray, "3 3"]) -> "Waves":
        """Returns the waves turned in space."""
        return replace(self, vector_mv=self.vector_mv @ rotation.T)

    def joined(self, *others: "Waves") -> "Waves":
        """Returns the waves of all groups."""
        groups = (self, *others)
        return Waves(
            offset_s=np.concatenate([group.offset_s for group in groups]),
            rise_s=np.concatenate([group.rise_s for group in groups]),
            fall_s=np.concatenate([group.fall_s for group in groups]),
            vector_mv=np.concatenate([group.vector_mv for group in groups]),
        )

    def varied(
        self, rng: np.random.Generator, *, amplitude: float, angle_deg: float, offset_s: float, width: float
    ) -> "Waves":
        """Returns the waves with every wave changed on its own.

        Args:
            rng: Source of randomness.
            amplitude: Standard deviation of the logarithm of the amplitude.
            angle_deg: Standard deviation of the angle a direction is turned by, about each axis.
            offset_s: Standard deviation of the shift of a peak.
            width: Standard deviation of the logarithm of the width.
        """
        count = len(self.offset_s)
        gain = np.exp(amplitude * rng.standard_normal(count))
        turned = np.stack(
            [
                rotation_matrix(angles) @ v
                for angles, v in zip(rng.normal(0.0, angle_deg, (count, 3)), self.vector_mv, strict=True)
            ]
        )
        stretch = np.exp(width * rng.standard_normal(count))
        return Waves(
            offset_s=self.offset_s + offset_s * rng.standard_normal(count),
            rise_s=self.rise_s * stretch,
            fall_s=self.fall_s * stretch,
            vector_mv=turned * gain[:, None],
        )

    def at(self, times_s: Float64[np.ndarray, " beats"]) -> "Waves":
        """Returns one copy of the group at each time."""
        which = np.resize(np.arange(len(self.offset_s)), len(times_s) * len(self.offset_s))
        return Waves(
            offset_s=(times_s[:, None] + self.offset_s).ravel(),
            rise_s=self.rise_s[which],
            fall_s=self.fall_s[which],
            vector_mv=self.vector_mv[which],
        )


def rotation_matrix(angles_deg: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "3 3"]:
    """Returns the rotation about x, then y, then z, by angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(angles_deg)), np.sin(np.radians(angles_deg))
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(about_z @ about_y @ about_x)


def render(waves: Waves, *, samples: int, sampling_rate_hz: float) -> Float64[np.ndarray, "3 samples"]:
    """Sums waves into the three components of the dipole.

    All waves are evaluated together, each only where it is not negligible; waves outside are ignored.

    Args:
        waves: Waves with their peaks in seconds after the first sample.
        samples: Length of the result.
        sampling_rate_hz: Samples per second.

    Returns:
        The dipole in mV.
    """
    first = np.ceil((waves.offset_s - _REACH * waves.rise_s) * sampling_rate_hz).astype(np.int64)
    last = np.floor((waves.offset_s + _REACH * waves.fall_s) * sampling_rate_hz).astype(np.int64)
    first, last = np.maximum(first, 0), np.minimum(last, samples - 1)
    lengths = np.maximum(last - first + 1, 0)
    wave = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(wave)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = first[wave] + within
    after_s = index / sampling_rate_hz - waves.offset_s[wave]
    width_s = np.where(after_s < 0, waves.rise_s[wave], waves.fall_s[wave])
    height = np.exp(-0.5 * (after_s / width_s) ** 2)
    return np.stack(
        [np.bincount(index, height * waves.vector_mv[wave, axis], minlength=samples) for axis in range(3)]
    )
