"""Augmentations of segments: the paper's noises, and views of the heart's dipole from elsewhere."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.errors import ConfigError, LeadError
from anylead.leads import FROM_I_AND_II
from anylead.nn.dipole import dipole_of, seen_by_leads, spans_three_directions
from anylead.nn.keyed_random import DrawKey, integers, normal, uniform


@dataclass(frozen=True, kw_only=True)
class Noises:
    """Powerline hum, muscle noise, a baseline shift and baseline wander, added to what was recorded.

    Each is added with the same probability, drawn for itself. In a segment that has I and II the other limb
    leads stay what follows from these two, so that noise comes through electrodes, as it does.

    Source: Oh et al. 2022; METHOD §4. Deviation: the shift is a sign times an amplitude, which the paper's
    code spells as a difference, so that there it is always about 1 mV.
    """

    kind: Literal["noises"] = "noises"
    probability: float = 1.0
    powerline_mv: float = 0.1
    """Largest amplitude; the frequency is 50 or 60 Hz."""
    muscle_mv: float = 0.1
    """Largest standard deviation, drawn for each lead."""
    shift_mv: float = 0.1
    """Largest offset, for about a fifth of the segment."""
    wander_mv: float = 0.1
    """Largest amplitude of each of three slow cosines (0.01 to 0.2 Hz)."""

    def __post_init__(self) -> None:
        amplitudes = (self.powerline_mv, self.muscle_mv, self.shift_mv, self.wander_mv)
        if not 0.0 <= self.probability <= 1.0 or min(amplitudes) < 0.0:
            raise ConfigError(
                f"augmentation: got probability {self.probability:g} and amplitudes {amplitudes}; give a "
                "probability from 0 to 1 and amplitudes of at least 0 mV."
            )

    def apply(self, batch: Batch, key: DrawKey) -> Batch:
        """Returns the batch with noise; what a row gets depends on the key and `batch.row` alone."""
        time = torch.arange(batch.signal.shape[2], device=batch.signal.device) / batch.sampling_rate_hz
        noise = torch.zeros_like(batch.signal)
        for name, made in (
            ("powerline", self._powerline(batch, key.of("powerline"), time)),
            ("muscle", self._muscle(batch, key.of("muscle"))),
            ("wander", self._wander(batch, key.of("wander"), time)),
        ):
            noise = noise + torch.where(self._happens(batch, key.of(f"{name}/happens")), made, 0.0)
        noise = _through_electrodes(noise, batch)
        # A shift belongs to a lead's amplifier, in the paper's code too.
        shift = self._shift(batch, key.of("shift"))
        noise = noise + torch.where(self._happens(batch, key.of("shift/happens")), shift, 0.0)
        return replace(batch, signal=batch.signal + noise)

    def _happens(self, batch: Batch, key: DrawKey) -> Tensor:
        return (uniform(key, batch.row, 1) < self.probability)[:, :, None]

    def _powerline(self, batch: Batch, key: DrawKey, time: Float[Tensor, "N"]) -> Float[Tensor, "B 1 N"]:
        drawn = uniform(key, batch.row, 3, 1)
        amplitude = drawn[:, 0] * self.powerline_mv
        frequency = torch.where(drawn[:, 1] > 0.5, 50.0, 60.0)
        wave = torch.cos(2 * math.pi * (frequency * time + drawn[:, 2]))
        return (amplitude * wave).unsqueeze(1)

    def _muscle(self, batch: Batch, key: DrawKey) -> Float[Tensor, "B L N"]:
        _, leads, samples = batch.signal.shape
        scale = uniform(key.of("scale"), batch.row, leads) * self.muscle_mv
        return scale.unsqueeze(2) * normal(key.of("samples"), batch.row, leads, samples)

    def _wander(self, batch: Batch, key: DrawKey, time: Float[Tensor, "N"]) -> Float[Tensor, "B L N"]:
        gain = 1.0 + 0.5 * normal(key.of("gain"), batch.row, batch.signal.shape[1])
        drawn = uniform(key.of("waves"), batch.row, 3, 3, 1)
        amplitude, phase = drawn[:, 0] * self.wander_mv, drawn[:, 1]
        frequency = 0.01 + 0.19 * drawn[:, 2]
        waves = (amplitude * torch.cos(2 * math.pi * (frequency * time + phase))).sum(dim=1)
        return gain.unsqueeze(2) * waves.unsqueeze(1)

    def _shift(self, batch: Batch, key: DrawKey) -> Float[Tensor, "B L N"]:
        _, leads, samples = batch.signal.shape
        sign = torch.where(uniform(key.of("sign"), batch.row, leads) < 0.5, -1.0, 1.0)
        drawn = uniform(key.of("place"), batch.row, 2)
        length = (0.2 + 0.04 * normal(key.of("length"), batch.row, 1)).clamp(0.0, 1.0) * samples
        start = drawn[:, :1] * (samples - length)
        place = torch.arange(samples, device=batch.signal.device)
        inside = (place >= start) & (place < start + length)
        amplitude = drawn[:, 1:] * self.shift_mv
        return (sign * amplitude).unsqueeze(2) * inside.unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class DipoleViews:
    """The heart's dipole turned and stretched at random and seen by the same leads; half of the time hidden.

    Every segment gets its own view, and in every lead a stretch of time, going on from the end at the start,
    becomes 0 mV. A segment whose leads do not see the dipole from three directions is not turned.

    Source: 3KG (Gopal et al. 2021, arXiv 2106.04452); METHOD §4 (3KG views), PEERS §2.9.
    """

    kind: Literal["dipole_views"] = "dipole_views"
    largest_angle_deg: float = 45.0
    """About each of the three axes."""
    largest_scale: float = 1.5
    """Along each of the three axes, from 1."""
    hidden_share: float = 0.5
    """Of the samples of each lead."""

    def __post_init__(self) -> None:
        if self.largest_scale < 1.0 or not 0.0 <= self.hidden_share <= 1.0 or self.largest_angle_deg < 0.0:
            raise ConfigError(
                f"augmentation: got largest_angle_deg {self.largest_angle_deg:g}, largest_scale "
                f"{self.largest_scale:g} and hidden_share {self.hidden_share:g}; give an angle of at least "
                "0, a scale of at least 1 and a share from 0 to 1."
            )

    def apply(self, batch: Batch, key: DrawKey) -> Batch:
        """Returns the batch as seen from elsewhere; a row depends on the key and `batch.row` alone.

        Raises:
            LeadError: If the leads of the batch cannot see three directions.
        """
        if not spans_three_directions(batch.leads):
            raise LeadError(
                "augmentation: dipole views need leads that see the heart from three directions, and the "
                f"batch has {', '.join(batch.leads)}; add a chest lead to two others, or use another "
                "augmentation."
            )
        present = batch.lead_mask.unsqueeze(2) & batch.sample_mask.unsqueeze(1)
        signal = torch.where(present, batch.signal, 0.0)
        dipole, known = dipole_of(signal, batch.lead_mask, batch.leads)
        angles = math.radians(self.largest_angle_deg) * (2.0 * uniform(key.of("angles"), batch.row, 3) - 1.0)
        scales = 1.0 + (self.largest_scale - 1.0) * uniform(key.of("scales"), batch.row, 3)
        turned = scales.unsqueeze(2) * (_rotation(angles) @ dipole)
        seen = torch.where(known[:, None, None], seen_by_leads(turned, batch.leads), signal)
        return replace(batch, signal=torch.where(self._hidden(batch, key.of("hidden")), 0.0, seen))

    def _hidden(self, batch: Batch, key: DrawKey) -> Tensor:
        _, leads, samples = batch.signal.shape
        start: Int64[Tensor, "B L"] = integers(key, batch.row, leads, high=samples)
        place = torch.arange(samples, device=batch.signal.device)
        return (place - start.unsqueeze(2)) % samples < math.floor(self.hidden_share * samples)


Augmentation = Noises | DipoleViews
"""Union of the augmentations; the field ``kind`` tells them apart."""


def _rotation(angles: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Returns ``Rx Ry Rz``: the first angle turns about z, the second about y, the third about x."""
    (z, y, x), zero, one = angles.unbind(1), torch.zeros_like(angles[:, 0]), torch.ones_like(angles[:, 0])
    about_z = torch.stack([z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one], dim=1)
    about_y = torch.stack([y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos()], dim=1)
    about_x = torch.stack([one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos()], dim=1)
    turns = [part.view(-1, 3, 3) for part in (about_x, about_y, about_z)]
    return turns[0] @ turns[1] @ turns[2]


def _through_electrodes(noise: Float[Tensor, "B L N"], batch: Batch) -> Float[Tensor, "B L N"]:
    """Lets the other limb leads follow from the noise of I and II, where both were recorded."""
    if not {"I", "II"} <= set(batch.leads):
        return noise
    first, second = batch.leads.index("I"), batch.leads.index("II")
    both = (batch.lead_mask[:, first] & batch.lead_mask[:, second])[:, None]
    columns = list(noise.unbind(1))
    for place, name in enumerate(batch.leads):
        if name in FROM_I_AND_II:
            a, b = FROM_I_AND_II[name]
            columns[place] = torch.where(both, a * noise[:, first] + b * noise[:, second], noise[:, place])
    return torch.stack(columns, dim=1)
