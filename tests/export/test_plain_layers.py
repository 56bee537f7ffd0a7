"""Layers as they are exported give what the encoders' own layers give."""

import pytest
import torch
from torch import nn

from anylead.export.plain_layers import (
    PlainStem,
    SlidingPositionalConvolution,
    SlidingStateSpace,
    SpelledOutAttention,
    simplify,
)
from anylead.nn.conv_stem import ConvStem
from anylead.nn.diagonal_state_space import DiagonalStateSpace
from anylead.nn.positional_convolution import PositionalConvolution
from anylead.nn.transformer import SelfAttention


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("kernels", [(2, 2, 2, 2), (5, 2, 2), (3,)])
@pytest.mark.parametrize("samples", [64, 103])
@pytest.mark.parametrize("offset_mv", [0.0, 5.0])
def test_the_front_end_counts_present_frames_only(kernels, samples, offset_mv):
    stem = ConvStem(3, 8, kernels=kernels)
    nn.init.normal_(stem.norm.bias)
    mask = torch.arange(samples) < torch.tensor([samples, 61, 40])[:, None]
    signal = torch.where(mask[:, None], 0.3 * torch.randn(3, 3, samples) + offset_mv, 0.0)
    plain = PlainStem(stem)
    assert torch.equal(plain.frame_mask(mask), stem.frame_mask(mask))
    found, expected = plain(signal, mask), stem(signal, mask)
    present = stem.frame_mask(mask)
    torch.testing.assert_close(found[present], expected[present], atol=1e-5, rtol=1e-5)
    assert found.shape == expected.shape
    assert torch.equal(plain(signal, None), stem(signal, None))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 37])
def test_the_state_space_slides(causal, frames):
    layer = DiagonalStateSpace(4, state=6, causal=causal)
    x = torch.randn(2, 4, frames)
    torch.testing.assert_close(SlidingStateSpace(layer)(x), layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [7, 8])
@pytest.mark.parametrize("frames", [3, 37])
def test_the_positional_convolution_slides(kernel, frames):
    layer = PositionalConvolution(8, kernel=kernel, groups=2)
    nn.init.normal_(layer.convolution.bias)
    x = torch.randn(2, frames, 8)
    torch.testing.assert_close(SlidingPositionalConvolution(layer)(x), layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [None, (2, 9), (2, 9, 9)])
def test_attention_is_spelled_out(shape):
    layer = SelfAttention(8, 2)
    for project in (layer.query, layer.key, layer.value, layer.output):
        nn.init.normal_(project.bias)
    x = torch.randn(2, 9, 8)
    mask = None
    if shape is not None:
        mask = torch.rand(shape) > 0.4
        mask[..., 0] = True
    torch.testing.assert_close(SpelledOutAttention(layer)(x, mask), layer(x, mask), atol=1e-6, rtol=1e-5)


def test_attention_to_nothing_is_a_number():
    layer = SpelledOutAttention(SelfAttention(8, 2))
    assert layer(torch.randn(1, 5, 8), torch.zeros(1, 5, dtype=torch.bool)).isfinite().all()


def test_layers_are_replaced_wherever_they_are():
    module = nn.ModuleDict(
        {"a": nn.ModuleList([SelfAttention(8, 2)]), "b": PositionalConvolution(8, kernel=4, groups=2)}
    )
    simplify(module)
    assert isinstance(module["a"][0], SpelledOutAttention)
    assert isinstance(module["b"], SlidingPositionalConvolution)
