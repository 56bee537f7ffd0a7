"""Heart beats in torch: found in all recorded leads together, and cut out.

Everything is done at 100 samples a second, whatever the recording has, so that a beat is the same 96 numbers
at every rate. A row's beats depend on nothing but the row, and nothing waits for the device.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from anylead.batch import Batch
from anylead.nn.places import places_of
from anylead.nn.presence import present_signal

BEAT_RATE_HZ = 100.0
BEAT_SAMPLES = 96
"""0.96 s, with the QRS complex in the middle."""

_BASELINE = 13
"""Samples of a moving mean that is taken off twice, which leaves little below 6 Hz."""
_SMOOTHING = 3
"""Samples of a moving mean that leaves little of muscle noise and powerline."""
_COMPLEX = 7
"""Samples of a moving mean that gathers the energy of a complex, taken twice: it peaks in the middle of the
complex, where the largest deviation would jump between the tops of a notched one."""
_REFRACTORY = 25
"""Samples around a complex in which it has to be the largest."""
_HEIGHT = 0.3
"""Part of a typical complex's energy that a complex needs."""
_FLAT_MV = 1e-4
"""A lead that deviates less has no say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BeatSignal:
    """A batch at 100 samples a second, each the mean of the samples that it stands for."""

    values: Float[Tensor, "B L F"]
    """Millivolts; 0 where nothing was recorded."""
    present: Bool[Tensor, "B L F"]
    """What was recorded: of a present lead, all up to the end of the row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Beats:
    """The beats of every row, in order of time; times are in samples of a `BeatSignal`."""

    centre: Int64[Tensor, "B K"]
    """Of its QRS complex; of a fixed window in a row in which no complex was found."""
    start: Int64[Tensor, "B K"]
    end: Int64[Tensor, "B K"]
    """The first sample that belongs to it no more."""
    valid: Bool[Tensor, "B K"]
    """Which of them exist: the first ones of a row."""
    found: Bool[Tensor, "B"]
    """Whether the row's beats go by complexes rather than by fixed windows."""


def most_beats(samples: int, rate_hz: float) -> int:
    """Returns K: how many beats a row of so many samples can have at most."""
    return math.ceil(_frames(samples, rate_hz) / (_REFRACTORY + 1))


def beat_signal(batch: Batch, leads: tuple[str, ...]) -> BeatSignal:
    """Returns the given leads at the rate of beats.

    Args:
        batch: Segments, through whichever leads they have.
        leads: Columns wanted, in order.

    Raises:
        LeadError: If the batch has none of the leads.
    """
    signal = present_signal(batch, leads).detach()
    step = batch.sampling_rate_hz / BEAT_RATE_HZ
    frames = _frames(signal.shape[2], batch.sampling_rate_hz)
    edges = (torch.arange(frames + 1, device=signal.device, dtype=torch.float64) * step).round().long()
    # At a rate below that of beats a sample stands for several.
    first, last = edges[:-1], torch.maximum(edges[1:], edges[:-1] + 1).clamp_max(signal.shape[2])
    sums = F.pad(signal.double().cumsum(dim=2), (1, 0))
    counts = F.pad(batch.sample_mask.long().cumsum(dim=1), (1, 0))
    count = (counts[:, last] - counts[:, first]).unsqueeze(1)
    means = (sums[..., last] - sums[..., first]) / count.clamp_min(1)
    present = batch.select(leads).lead_mask.unsqueeze(2) & (count > 0)
    return BeatSignal(values=torch.where(present, means, 0.0).to(signal.dtype), present=present)


@torch.no_grad()
def find_beats(signal: BeatSignal) -> Beats:
    """Finds the QRS complexes of every row, and where the beats around them begin and end.

    Complexes are peaks of the QRS energy of all leads, each in units of its own spread, so that no lead rules
    and a flat one has no say. A beat ends in the middle between two complexes, and reaches 0.48 s to either
    side of its own at most. A row without any complex is cut into windows of 0.96 s.

    Source: HeartLang (Jin et al. 2025, arXiv 2502.10707; PEERS §2.6) for the borders; its beats are found in
    the first lead. The detector is that of `anylead.signal.beats` with moving means as filters.
    """
    there = signal.present.any(dim=1)
    complexes = _complexes(_energy(signal), there)
    most = math.ceil(complexes.shape[1] / (_REFRACTORY + 1))
    places = places_of(complexes, most)
    length = there.sum(dim=1, keepdim=True)
    between = (places.index[:, :-1] + places.index[:, 1:]) // 2
    after = torch.where(places.valid[:, 1:], between, length)
    half = BEAT_SAMPLES // 2
    start = torch.maximum(F.pad(between, (1, 0)), places.index - half)
    end = torch.minimum(torch.cat([after, length], dim=1), places.index + half)
    window = torch.arange(most, device=length.device) * BEAT_SAMPLES
    found = places.valid[:, :1]
    return Beats(
        centre=torch.where(found, places.index, window + half),
        start=torch.where(found, start, window),
        end=torch.where(found, end, (window + BEAT_SAMPLES).minimum(length)),
        valid=torch.where(found, places.valid, window < length),
        found=found[:, 0],
    )


@torch.no_grad()
def cut_beats(signal: BeatSignal, beats: Beats, *, epsilon: float = 1e-4) -> Float[Tensor, "B L K S"]:
    """Returns the 96 samples of every beat in every lead, of mean 0 and deviation 1, and 0 beyond borders.

    Args:
        signal: What the beats were found in.
        beats: Its beats.
        epsilon: Added to the variance, in square millivolts: a flat beat stays 0.
    """
    frames = signal.values.shape[2]
    time = beats.centre.unsqueeze(2) + torch.arange(BEAT_SAMPLES, device=beats.centre.device)
    time = time - BEAT_SAMPLES // 2
    inside = (time >= beats.start.unsqueeze(2)) & (time < beats.end.unsqueeze(2))
    inside = (inside & beats.valid.unsqueeze(2)).unsqueeze(1)
    index = time.clamp(0, frames - 1).flatten(1).unsqueeze(1).expand(-1, signal.values.shape[1], -1)
    shape = (*signal.values.shape[:2], *time.shape[1:])
    values, present = (x.gather(2, index).view(shape) for x in (signal.values, signal.present))
    counted = inside & present
    count = counted.sum(dim=3, keepdim=True).clamp_min(1)
    mean = torch.where(counted, values, 0.0).sum(dim=3, keepdim=True) / count
    centred = torch.where(counted, values - mean, 0.0)
    standard: Tensor = centred / (centred.square().sum(dim=3, keepdim=True) / count + epsilon).sqrt()
    return standard


def tokens_under(
    beats: Beats, number: int, *, samples_per_token: int, rate_hz: float
) -> Bool[Tensor, "B K T"]:
    """Returns which tokens stand for a sample of a beat, or more.

    Args:
        beats: Beats.
        number: T, tokens in time.
        samples_per_token: Samples from one token to the next.
        rate_hz: Rate of these samples.
    """
    # Both sides of a border times both rates: whole numbers, whose comparison is exact.
    token = torch.arange(number + 1, device=beats.start.device, dtype=torch.float64)
    edge = token * samples_per_token * BEAT_RATE_HZ
    start, end = (x.unsqueeze(2) * rate_hz for x in (beats.start.double(), beats.end.double()))
    overlap = (edge[:-1] < end) & (edge[1:] > start)
    return overlap & beats.valid.unsqueeze(2)


def _frames(samples: int, rate_hz: float) -> int:
    return max(1, int(samples * BEAT_RATE_HZ / rate_hz))


def _moving_mean(
    x: Float[Tensor, "B L F"], present: Bool[Tensor, "B L F"], width: int
) -> Float[Tensor, "B L F"]:
    """Returns the mean over the recorded ones of `width` samples, an odd number, around each."""
    sums = F.avg_pool1d(torch.where(present, x, 0.0), width, stride=1, padding=width // 2)
    shares = F.avg_pool1d(present.to(x.dtype), width, stride=1, padding=width // 2)
    return torch.where(present, sums / torch.where(present, shares, 1.0), 0.0)


def _energy(signal: BeatSignal) -> Float[Tensor, "B F"]:
    """Returns how far all leads together are from their baseline, squared, around each sample."""
    x, present = signal.values, signal.present
    for _ in range(2):
        x = x - _moving_mean(x, present, _BASELINE)
    squares = _moving_mean(x, present, _SMOOTHING).square()
    power = squares.sum(dim=2, keepdim=True) / present.sum(dim=2, keepdim=True).clamp_min(1)
    has_say = power > _FLAT_MV**2
    energy = torch.where(has_say, squares / torch.where(has_say, power, 1.0), 0.0).sum(dim=1)
    for _ in range(2):
        energy = F.avg_pool1d(energy, _COMPLEX, stride=1, padding=_COMPLEX // 2)
    return energy


def _complexes(energy: Float[Tensor, "B F"], there: Bool[Tensor, "B F"]) -> Bool[Tensor, "B F"]:
    """Returns the peaks of the energy, of which each is the largest around it and not small."""
    frames = energy.shape[1]
    before = F.max_pool1d(F.pad(energy, (_REFRACTORY, 0)), _REFRACTORY, stride=1)[:, :frames]
    after = F.max_pool1d(F.pad(energy, (0, _REFRACTORY)), _REFRACTORY, stride=1)[:, 1:]
    # The first of equal ones: before it all are less.
    largest = (energy > before) & (energy >= after)
    return there & largest & (energy >= _HEIGHT * _typical(energy, there))


def _typical(energy: Float[Tensor, "B F"], there: Bool[Tensor, "B F"]) -> Float[Tensor, "B 1"]:
    """Returns the energy of a typical complex: the median of the largest of each second."""
    second = round(BEAT_RATE_HZ)
    seconds = math.ceil(energy.shape[1] / second)
    missing = seconds * second - energy.shape[1]
    largest, recorded = (
        F.pad(x, (0, missing)).view(-1, seconds, second).amax(dim=2) for x in (energy, there)
    )
    ordered = torch.where(recorded, largest, float("inf")).sort(dim=1).values
    middle = ((recorded.sum(dim=1, keepdim=True) - 1) // 2).clamp_min(0)
    return ordered.gather(1, middle)
