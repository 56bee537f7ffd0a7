import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anylead.nn.conv_stem import ConvStem, normalized_projection
from anylead.nn.gradient_scale import scale_gradient
from anylead.nn.gumbel_quantizer import GumbelQuantizer, perplexity
from anylead.nn.keyed_random import DrawKey, bits, gumbel, integers, uniform
from anylead.nn.pooling import masked_mean, pool, reference_mean
from anylead.nn.positional_convolution import PositionalConvolution
from anylead.nn.sinusoid import grid_sinusoid, sinusoid
from anylead.nn.transformer import SelfAttention

KEY = DrawKey(seed=3, step=5)


def test_keyed_draws_depend_on_row_and_key_only():
    rows = torch.arange(64)
    together = uniform(KEY, rows, 10)
    assert torch.equal(together[20:30], uniform(KEY, rows[20:30], 10))
    assert torch.equal(together.flip(0), uniform(KEY, rows.flip(0), 10))
    for other in (KEY.of("x"), DrawKey(seed=4, step=5), DrawKey(seed=3, step=6)):
        assert not torch.equal(together, uniform(other, rows, 10))


def test_keyed_draws_look_random():
    values = uniform(KEY, torch.arange(2000), 50, dtype=torch.float64)
    assert values.min() > 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.004
    assert abs(values.var() - 1 / 12) < 0.001
    # Neighbouring rows, places and seeds are uncorrelated (4 standard errors of 100,000 pairs).
    other = uniform(DrawKey(seed=4, step=5), torch.arange(2000), 50, dtype=torch.float64)
    for a, b in ((values[:-1], values[1:]), (values[:, :-1], values[:, 1:]), (values, other)):
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(correlation) < 4 / math.sqrt(a.numel())
    ones = ((bits(KEY, torch.arange(2000), 8)[..., None] >> torch.arange(64)) & 1).double().mean((0, 1))
    assert (ones - 0.5).abs().max() < 0.02


def test_uniform_is_open_in_single_precision():
    values = uniform(KEY, torch.arange(4000), 500)
    assert values.min() > 0
    assert values.max() < 1
    assert torch.isfinite(gumbel(KEY, torch.arange(4000), 500)).all()


def test_integers_cover_their_range_evenly():
    high = torch.tensor([1, 2, 7])[:, None]
    drawn = integers(KEY, torch.arange(3), 70_000, high=high)
    for row, top in zip(drawn, (1, 2, 7), strict=True):
        counts = torch.bincount(row, minlength=top)
        assert len(counts) == top
        assert (counts / 70_000 - 1 / top).abs().max() < 0.01


def test_normalized_projection_is_a_group_norm_behind_a_projection():
    x = torch.randn(3, 40, 5) + 4.0
    weight, scale, shift = torch.randn(6, 5), torch.randn(6), torch.randn(6)
    expected = F.group_norm((x @ weight.T).mT, 6, scale, shift).mT
    assert torch.allclose(normalized_projection(x, weight, scale, shift, None), expected, atol=1e-5)
    all_present = torch.ones(3, 40, dtype=torch.bool)
    assert torch.allclose(normalized_projection(x, weight, scale, shift, all_present), expected, atol=1e-5)
    padded = F.pad(x, (0, 0, 0, 25), value=1e6)
    mask = (torch.arange(65) < 40).expand(3, 65)
    got = normalized_projection(padded, weight, scale, shift, mask)[:, :40]
    assert torch.allclose(got, expected, atol=1e-5)


def test_normalized_projection_has_the_gradients_of_a_group_norm():
    x = torch.randn(2, 30, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    pull = torch.randn(2, 30, 6, dtype=torch.float64)
    leaves = (x, weight, scale, shift)
    expected = F.group_norm((x @ weight.T).mT, 6, scale, shift).mT
    for a, b in zip(
        torch.autograd.grad((normalized_projection(*leaves, None) * pull).sum(), leaves),
        torch.autograd.grad((expected * pull).sum(), leaves),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-9)


def test_stem_equals_strided_convolutions():
    stem = ConvStem(3, 5)
    nn.init.normal_(stem.norm.weight)
    x = torch.randn(2, 3, 103)
    y = x
    for depth, weight in enumerate(stem.weights):
        y = F.conv1d(y, weight, stride=2)
        y = F.gelu(F.group_norm(y, 5, stem.norm.weight, stem.norm.bias) if depth == 0 else y)
        assert torch.allclose(stem.layer_outputs(x, None)[depth].mT, y, atol=1e-5)


def test_stem_lengths_are_the_papers():
    stem = ConvStem(12, 8)
    assert stem.num_frames(2500) == 156
    assert [stem.num_frames(n) for n in (15, 16, 31, 32)] == [0, 1, 1, 2]
    assert stem(torch.randn(1, 12, 2500), None).shape == (1, 156, 8)
    lengths = torch.tensor([2500, 500, 16, 15])
    mask = stem.frame_mask(torch.arange(2500) < lengths[:, None])
    assert mask.sum(1).tolist() == [156, 31, 1, 0]


@pytest.mark.parametrize("frames", [1, 9, 40])
@pytest.mark.parametrize("kernel", [4, 16])
def test_positional_convolution_equals_its_definition(kernel, frames):
    layer = PositionalConvolution(8, kernel=kernel, groups=2)
    conv = layer.convolution
    g, v = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    weight = g * v / v.square().sum((0, 1), keepdim=True).sqrt()
    x = torch.randn(2, frames, 8)
    expected = F.gelu(F.conv1d(x.mT, weight, conv.bias, padding=kernel // 2, groups=2)[..., :-1]).mT
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert g.shape == (1, 1, kernel)


def test_attention_mixes_time_and_never_the_batch():
    attention = SelfAttention(8, 2).eval()
    x = torch.randn(3, 5, 8)
    y = attention(x, None)
    changed = x.clone()
    changed[0, 0] += 1
    z = attention(changed, None)
    assert torch.equal(y[1:], z[1:])
    assert ((y[0] - z[0]).abs().amax(-1) > 1e-4).all()


def test_attention_equals_its_definition_and_skips_masked_frames():
    attention = SelfAttention(8, 2).eval()
    x = torch.randn(1, 5, 8)
    q, k, v = (p(x).view(5, 2, 4).transpose(0, 1) for p in (attention.query, attention.key, attention.value))
    mixed = torch.softmax(q[:, :, :] @ k[:, :3].mT / 2.0, -1) @ v[:, :3]
    expected = attention.output(mixed.transpose(0, 1).reshape(5, 8))
    mask = torch.tensor([[True, True, True, False, False]])
    assert torch.allclose(attention(x, mask)[0], expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_gradient_scale(scale):
    x = torch.randn(4, requires_grad=True)
    y = scale_gradient(x, scale)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    assert torch.allclose(x.grad, 2 * x.detach() * scale)


def test_gradient_scale_zero_cuts_the_graph():
    assert not scale_gradient(torch.randn(2, requires_grad=True), 0.0).requires_grad


def test_pooling_counts_present_tokens_only():
    tokens = torch.randn(2, 6, 3)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    poisoned = torch.where(mask[..., None], tokens, float("nan"))
    got = pool(poisoned, mask, "mean_std_max")
    part = tokens[1, :4]
    expected = torch.cat([part.mean(0), part.std(0, correction=0), part.amax(0)])
    assert torch.allclose(got[1], expected, atol=1e-5)
    assert torch.equal(masked_mean(tokens, torch.zeros(2, 6, dtype=torch.bool)), torch.zeros(2, 3))


def test_reference_mean_divides_by_the_number_of_non_zeros():
    tokens = torch.tensor([[[2.0], [0.0], [4.0], [9.0]]])
    mask = torch.tensor([[True, True, True, False]])
    assert reference_mean(tokens, mask).item() == 3.0
    assert masked_mean(tokens, mask).item() == 2.0


def test_perplexity_by_hand():
    even = torch.full((2, 4), 0.25)
    assert perplexity(even).item() == pytest.approx(8.0, rel=1e-4)
    single = torch.eye(4)[:1]
    assert perplexity(single).item() == pytest.approx(1.0, rel=1e-4)


def test_quantizer_never_lays_out_one_hot_times_codebook():
    quantizer = GumbelQuantizer(8, groups=2, entries=64, output_dimension=32)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for item in result if isinstance(result, tuple) else (result,):
                if isinstance(item, torch.Tensor):
                    largest = max(largest, item.numel())
            return result

    x = torch.randn(4, 50, 8, requires_grad=True)
    valid = torch.ones(4, 50, dtype=torch.bool)
    noise = gumbel(KEY, torch.arange(4), 50, 2, 64)
    with Watch():
        quantizer(x, valid, noise=noise, temperature=1.0).values.sum().backward()
    assert largest <= 4 * 50 * 2 * 64
    assert x.grad.abs().sum() > 0
    assert quantizer.codebook.grad.abs().sum() > 0


def test_quantizer_ignores_vectors_that_do_not_exist():
    quantizer = GumbelQuantizer(8, groups=2, entries=5, output_dimension=4)
    x = torch.randn(2, 6, 8)
    valid = torch.arange(6) < torch.tensor([[6], [3]])
    joined = torch.cat([x[0], x[1, :3]]).unsqueeze(0)
    got = quantizer(x, valid, noise=None, temperature=1.0)
    expected = quantizer(joined, torch.ones(1, 9, dtype=torch.bool), noise=None, temperature=1.0)
    assert torch.allclose(got.soft_perplexity, expected.soft_perplexity)
    assert torch.allclose(got.hard_perplexity, expected.hard_perplexity)


def test_attention_without_biases_is_attention_whose_biases_are_0():
    torch.manual_seed(0)
    bare = SelfAttention(8, 2, bias=False, qkv_bias=False)
    whole = SelfAttention(8, 2)
    for module in (whole.query, whole.key, whole.value, whole.output):
        nn.init.zeros_(module.bias)
    whole.load_state_dict({**whole.state_dict(), **bare.state_dict()})
    x = torch.randn(2, 5, 8)
    assert not [name for name, _ in bare.named_parameters() if "bias" in name]
    torch.testing.assert_close(bare(x, None), whole(x, None))


def test_sinusoids_come_one_behind_the_other_or_interleaved():
    time = torch.tensor([0, 1, 7])
    joined, mixed = sinusoid(time, 6), sinusoid(time, 6, interleaved=True)
    assert torch.equal(mixed[:, 0::2], joined[:, :3])
    assert torch.equal(mixed[:, 1::2], joined[:, 3:])
    by_hand = [math.sin(7), math.sin(7 / 10_000 ** (1 / 3)), math.sin(7 / 10_000 ** (2 / 3))]
    torch.testing.assert_close(joined[2, :3], torch.tensor(by_hand))


def test_a_position_on_the_grid_is_that_of_the_time_and_that_of_the_lead():
    time, lead = torch.tensor([3, 0]), torch.tensor([1, 5])
    found = grid_sinusoid(time, lead, 8)
    assert torch.equal(found[:, :4], sinusoid(time, 4))
    assert torch.equal(found[:, 4:], sinusoid(lead, 4))
