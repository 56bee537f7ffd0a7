"""Zeros where nothing was recorded, and which frames stand for something."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anylead.batch import Batch
from anylead.errors import LeadError
from anylead.nn.presence import frame_mask, mean_square, num_frames, present_signal


def make_batch(leads=("II", "V1", "Vx")):
    zeros = torch.zeros(2, dtype=torch.int64)
    return Batch(
        signal=torch.arange(2.0 * len(leads) * 4).reshape(2, len(leads), 4) + 1,
        lead_mask=torch.tensor([[True, False, True], [True, True, True]])[:, : len(leads)],
        sample_mask=torch.tensor([[True] * 4, [True, True, False, False]]),
        leads=leads,
        sampling_rate_hz=500.0,
        row=torch.arange(2),
        patient=zeros,
        segment=zeros,
    )


def test_absent_leads_and_samples_are_zero_and_unknown_leads_are_dropped():
    got = present_signal(make_batch(), ("I", "V1", "II"))
    expected = [
        [[0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]],
        [[0, 0, 0, 0], [17, 18, 0, 0], [13, 14, 0, 0]],
    ]
    assert torch.equal(got, torch.tensor(expected, dtype=torch.float32))
    poisoned = make_batch()
    present = poisoned.lead_mask[:, :, None] & poisoned.sample_mask[:, None]
    poisoned = replace(poisoned, signal=torch.where(present, poisoned.signal, float("nan")))
    assert torch.equal(present_signal(poisoned, ("I", "V1", "II")), got)


def test_a_batch_of_unknown_leads_only_is_refused():
    with pytest.raises(LeadError, match="none of the leads II, V1, Vx is known; it knows I, III"):
        present_signal(make_batch(), ("I", "III"))


@given(length=st.integers(1, 40), padding=st.integers(0, 20), stride=st.integers(1, 7))
def test_frames_are_those_of_a_convolution_with_half_a_kernel_of_padding(length, padding, stride):
    samples = length + padding
    ones = torch.ones(1, 1, samples)
    kernel = 2 * (stride // 2 + 1) + 1
    frames = torch.nn.functional.conv1d(ones, torch.ones(1, 1, kernel), stride=stride, padding=kernel // 2)
    assert num_frames(samples, stride) == frames.shape[2]
    mask = frame_mask(torch.arange(samples)[None] < length, stride)
    assert mask.shape == (1, frames.shape[2])
    assert mask.sum() == num_frames(length, stride)
    assert mask[0, : num_frames(length, stride)].all()


def test_mean_square_counts_present_frames_only():
    frames = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [float("nan"), 1e9]]])
    mask = torch.tensor([[True, True], [True, False]])
    assert mean_square(frames, mask).item() == pytest.approx((1 + 4 + 9 + 16 + 25 + 36) / 6)
    assert mean_square(frames[:1], None).item() == pytest.approx(30 / 4)
    assert mean_square(frames[:1].double(), None).dtype == torch.float64
