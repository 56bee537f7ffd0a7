"""The norm of the first convolution, taken of its input."""

import pytest
import torch

from anylead.nn.conv_stem import ConvStem


def jump() -> torch.Tensor:
    """Returns a smooth signal with steps of its baseline: neighbouring samples differ by very little."""
    time = torch.arange(2500) / 500
    wave = 0.1 * torch.sin(2 * torch.pi * time) + 2.5 * (time > 2.0) - 1.5 * (time > 3.0)
    return wave[None, None]


def make_stem() -> ConvStem:
    torch.manual_seed(0)
    stem = ConvStem(1, 32)
    with torch.no_grad():  # what a trained stem comes to hold: differences of neighbouring samples
        stem.weights[0][:16] = torch.tensor([1.0, -1.0])
    return stem


def test_channels_of_small_differences_keep_their_precision():
    stem = make_stem()
    found = stem(jump(), None)
    expected = stem.double()(jump().double(), None)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
def test_under_autocast_no_variance_is_negative(padded):
    stem, mask = make_stem(), torch.ones(1, 2500, dtype=torch.bool) if padded else None
    with torch.autocast("cpu", torch.bfloat16):
        found = stem(jump(), mask)
    assert found.isfinite().all()
    assert (found.float() - stem(jump(), mask)).abs().mean() < 0.02
