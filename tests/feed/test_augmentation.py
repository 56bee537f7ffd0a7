"""Augmentations: what they add, what they leave alone, and that a row's draws are its own."""

from dataclasses import replace

import pytest
import torch

from anylead.batch import Batch
from anylead.errors import ConfigError, LeadError
from anylead.feed.augmentation import DipoleViews, Noises, _rotation
from anylead.leads import STANDARD_12
from anylead.nn.dipole import dipole_of, seen_by_leads
from anylead.nn.keyed_random import DrawKey, normal

KEY = DrawKey(seed=0, step=0)
QUIET = {"powerline_mv": 0.0, "muscle_mv": 0.0, "shift_mv": 0.0, "wander_mv": 0.0}


def make_batch(rows=4, samples=2500, leads=STANDARD_12, signal=None):
    numbers = torch.arange(rows)
    return Batch(
        signal=torch.zeros(rows, len(leads), samples) if signal is None else signal,
        lead_mask=torch.ones(rows, len(leads), dtype=torch.bool),
        sample_mask=torch.ones(rows, samples, dtype=torch.bool),
        leads=leads,
        sampling_rate_hz=500.0,
        padded=False,
        row=numbers,
        patient=numbers,
        segment=numbers,
    )


def heart(rows=2, samples=400, leads=STANDARD_12):
    return seen_by_leads(torch.randn(rows, 3, samples, generator=torch.Generator().manual_seed(0)), leads)


@pytest.mark.parametrize("augmentation", [Noises(), DipoleViews()])
def test_a_row_gets_the_same_in_any_batch_and_something_else_at_the_next_step(augmentation):
    batch = make_batch(signal=heart(rows=4, samples=500), samples=500)
    keep = torch.tensor([2])
    alone = replace(
        batch, **{n: getattr(batch, n)[keep] for n in ("signal", "lead_mask", "sample_mask", "row")},
        patient=keep, segment=keep,
    )  # fmt: skip
    together = augmentation.apply(batch, KEY)
    assert torch.allclose(together.signal[2:3], augmentation.apply(alone, KEY).signal, atol=1e-6)
    assert not torch.allclose(together.signal, augmentation.apply(batch, replace(KEY, step=1)).signal)
    assert not torch.allclose(together.signal[0], together.signal[1])


def test_powerline_is_one_tone_alike_in_all_leads_but_for_einthoven():
    noisy = Noises(**{**QUIET, "powerline_mv": 0.1}).apply(make_batch(rows=40), KEY).signal
    peak = torch.fft.rfft(noisy[:, 0]).abs().argmax(1) / 5.0
    assert set(peak.tolist()) == {50.0, 60.0}
    amplitude = noisy[:, 0].square().mean(1).sqrt() * 2**0.5
    assert amplitude.max() <= 0.1
    assert amplitude.min() < 0.03
    assert torch.allclose(noisy[:, 6], noisy[:, 0])
    assert torch.allclose(noisy[:, 2], noisy[:, 1] - noisy[:, 0], atol=1e-6)


def test_muscle_noise_is_white_and_apart_for_each_lead():
    noisy = Noises(**{**QUIET, "muscle_mv": 0.1}).apply(make_batch(), KEY).signal
    scale = noisy.std(dim=2)
    assert (scale[:, 6:] <= 0.105).all()
    assert abs(torch.corrcoef(noisy[0])[6, 7]) < 0.1
    spectrum = torch.fft.rfft(noisy[0, 6]).abs().square()
    assert 0.7 < spectrum[10:600].mean() / spectrum[600:1240].mean() < 1.4


def test_wander_is_slow():
    noisy = Noises(**{**QUIET, "wander_mv": 0.1}).apply(make_batch(samples=20_000), KEY).signal
    power = torch.fft.rfft(noisy - noisy.mean(2, keepdim=True)).abs().square()
    assert (power[..., :13].sum(-1) / power.sum(-1) > 0.95).all(), "below 0.3 Hz"


def test_a_shift_is_a_step_up_and_down_somewhere():
    noisy = Noises(**{**QUIET, "shift_mv": 0.1}).apply(make_batch(rows=60), KEY).signal
    moved = noisy != 0
    assert 0.15 < moved.float().mean() < 0.25
    assert (noisy.diff(dim=2) != 0).sum(2).max() <= 2
    assert noisy.abs().max() <= 0.1


def test_nothing_happens_with_probability_zero_and_sometimes_in_between():
    batch = make_batch(rows=400, samples=20)
    assert not Noises(probability=0.0).apply(batch, KEY).signal.any()
    noisy = Noises(**{**QUIET, "muscle_mv": 0.1}, probability=0.3).apply(batch, KEY).signal
    assert 0.2 < noisy.flatten(1).any(1).float().mean() < 0.4


def test_a_view_turns_and_stretches_the_dipole():
    batch = make_batch(rows=2, samples=400, signal=heart())
    seen = DipoleViews(hidden_share=0.0).apply(batch, KEY)
    before, _ = dipole_of(batch.signal, batch.lead_mask, batch.leads)
    after, known = dipole_of(seen.signal, seen.lead_mask, seen.leads)
    assert known.all()
    linear = after @ before.mT @ torch.linalg.inv(before @ before.mT)
    assert torch.allclose(linear @ before, after, atol=1e-3)
    scales = torch.linalg.svdvals(linear)
    assert (scales >= 1.0 - 1e-3).all()
    assert (scales <= 1.5 + 1e-3).all()
    assert torch.allclose(seen.signal[:, 2], seen.signal[:, 1] - seen.signal[:, 0], atol=1e-4)
    still = DipoleViews(hidden_share=0.0, largest_angle_deg=0.0, largest_scale=1.0).apply(batch, KEY)
    assert torch.allclose(still.signal, batch.signal, atol=1e-3)


def test_the_first_angle_turns_first():
    quarter = torch.pi / 2
    z_then_x = _rotation(torch.tensor([[quarter, 0.0, quarter]]))[0]
    assert torch.allclose(z_then_x @ torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0]), atol=1e-6)
    rotation = _rotation(torch.tensor([[0.3, -0.7, 0.5]]))[0]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(rotation) == pytest.approx(1.0, abs=1e-5)


def test_half_of_every_lead_is_hidden_round_the_end():
    batch = make_batch(rows=50, samples=101, signal=torch.ones(50, 12, 101))
    seen = DipoleViews(largest_angle_deg=0.0, largest_scale=1.0).apply(batch, KEY).signal
    hidden = seen == 0
    assert (hidden.sum(2) == 50).all()
    changes = (hidden != hidden.roll(1, dims=2)).sum(2)
    assert (changes == 2).all(), "one stretch on the circle"
    assert len(set(hidden[0].float().argmax(1).tolist())) > 3, "each lead its own"


def test_a_row_without_three_directions_is_not_turned_and_a_batch_without_is_refused():
    batch = make_batch(rows=2, samples=400, signal=heart())
    mask = batch.lead_mask.clone()
    mask[0, 2:] = False
    seen = DipoleViews(hidden_share=0.0).apply(replace(batch, lead_mask=mask), KEY).signal
    assert torch.equal(seen[0, :2], batch.signal[0, :2])
    assert not torch.allclose(seen[1], batch.signal[1], atol=0.05)
    with pytest.raises(LeadError, match="see the heart from three directions, and the batch has I, II, aVF"):
        DipoleViews().apply(make_batch(leads=("I", "II", "aVF")), KEY)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="got probability 2 and amplitudes"):
        Noises(probability=2.0)
    with pytest.raises(ConfigError, match="a scale of at least 1 and a share from 0 to 1"):
        DipoleViews(largest_scale=0.5)


def test_normal_numbers():
    drawn = normal(KEY, torch.arange(100), 1001)
    assert drawn.shape == (100, 1001)
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1.0) < 0.01
    assert abs((drawn**4).mean() - 3.0) < 0.1
