"""The norm and the block a residual network is made of."""

import pytest
import torch
import torch.nn.functional as F

from anylead.nn.masked_group_norm import MaskedGroupNorm
from anylead.nn.residual_block import ResidualBlock, pooled_frames


def make_norm(groups=3, channels=6):
    norm = MaskedGroupNorm(groups, channels)
    torch.manual_seed(1)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_every_segment_is_normed_over_its_own_present_frames(groups):
    norm = make_norm(groups)
    x = torch.randn(3, 6, 20) * 3 + 5
    lengths = (20, 11, 1)
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    got = norm(torch.where(mask[:, None], x, float("nan")), mask)
    for row, length in enumerate(lengths):
        present = x[row : row + 1, :, :length]
        alone = norm(present, None)
        if groups == 6 and length == 1:
            # A single number has no deviation: what is left is the shift.
            torch.testing.assert_close(alone, norm.bias[None, :, None])
        else:
            torch.testing.assert_close(alone, F.group_norm(present, groups, norm.weight, norm.bias))
        torch.testing.assert_close(got[row, :, :length], alone[0], rtol=1e-4, atol=1e-4)
        assert (got[row, :, length:] == 0).all()
    torch.testing.assert_close(norm(x, None), norm(x, torch.ones(3, 20, dtype=torch.bool)))


def test_the_norm_has_the_gradients_of_a_group_norm():
    norm = make_norm().double()
    x = torch.randn(2, 6, 9, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(2, 6, 9, dtype=torch.float64)
    mask = torch.ones(2, 9, dtype=torch.bool)
    leaves = (x, norm.weight, norm.bias)
    expected = torch.autograd.grad((F.group_norm(x, 3, norm.weight, norm.bias) * pull).sum(), leaves)
    for got, wanted in zip(torch.autograd.grad((norm(x, mask) * pull).sum(), leaves), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_frames_missing_at_the_end_count_as_zeros():
    x = torch.tensor([[[1.0, 3.0, 5.0, 7.0, 9.0]]])
    assert pooled_frames(x, 2).tolist() == [[[2.0, 6.0, 4.5]]]
    assert torch.equal(pooled_frames(F.pad(x, (0, 3)), 2)[..., :3], pooled_frames(x, 2))


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 3), (2, 1)])
def test_a_block_by_slow_steps(stride, dilation):
    torch.manual_seed(0)
    block = ResidualBlock(4, 6, kernel=3, groups=2, stride=stride, dilation=dilation)
    x = torch.randn(1, 4, 11)

    def convolve(x, weight, step):
        out = torch.zeros(weight.shape[0], -(-x.shape[1] // step))
        for t in range(out.shape[1]):
            for tap in range(3):
                place = t * step + (tap - 1) * dilation
                if 0 <= place < x.shape[1]:
                    out[:, t] += weight[:, :, tap] @ x[:, place]
        return out

    def norm(x):
        return F.group_norm(x[None], 2)[0]

    with torch.no_grad():
        branch = norm(convolve(x[0], block.first.weight, stride)).relu()
        branch = norm(convolve(branch, block.second.weight, 1))
        path = pooled_frames(x, stride)[0] if stride > 1 else x[0]
        expected = (branch + block.shortcut.weight[:, :, 0] @ path).relu()
        torch.testing.assert_close(block(x, None)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_padding_changes_nothing_and_stays_zero(stride):
    torch.manual_seed(0)
    block = ResidualBlock(4, 8, kernel=5, groups=2, stride=stride, dilation=2)
    x = torch.randn(1, 4, 13)
    alone = block(x, None)
    mask = (torch.arange(20) < 13)[None]
    padded = block(F.pad(x, (0, 7)), mask)
    frames = alone.shape[2]
    torch.testing.assert_close(padded[..., :frames], alone, rtol=1e-4, atol=1e-5)
    assert (padded[..., frames:] == 0).all()


def test_the_shortcut_carries_the_amplitude():
    torch.manual_seed(0)
    block = ResidualBlock(4, 8, kernel=3, groups=2, stride=2)
    x = torch.randn(1, 4, 16)
    difference = block(100 * x, None) - block(x, None)
    # The normed branch hardly changes; the shortcut grows a hundredfold.
    assert difference.abs().max() > 20
