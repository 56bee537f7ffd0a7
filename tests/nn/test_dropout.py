"""Dropout: how much is zeroed, what is left, and what flows back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from anylead.nn.dropout import Dropout, add_dropped, dropout
from anylead.nn.transformer import SelfAttention


@given(
    rate=st.floats(0.0, 0.9), seed=st.integers(0, 9), dtype=st.sampled_from([torch.float32, torch.bfloat16])
)
def test_the_share_that_is_zeroed_and_the_scale_of_the_rest(rate, seed, dtype):
    torch.manual_seed(seed)
    x = torch.ones(101, 397, dtype=dtype)
    y = dropout(x, rate)
    dropped = (y == 0).double().mean().item()
    assert abs(dropped - rate) < 5 * (rate * (1 - rate) / x.numel()) ** 0.5 + 2**-16
    kept = y[y != 0].double()
    assert torch.allclose(
        kept, torch.full_like(kept, 1 / (1 - rate)), rtol=1e-3 if dtype is torch.float32 else 1e-2
    )


def test_masks_follow_the_global_seed_and_differ_from_one_another():
    x = torch.ones(1000)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_numbers_of_one_mask_are_not_correlated():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(1 << 18), 0.5) != 0).double() - 0.5
    for lag in (1, 2, 3, 4, 8):
        assert abs((kept[:-lag] * kept[lag:]).mean().item()) * 4 < 5 / kept.numel() ** 0.5


def test_the_gradient_is_the_mask_times_the_scale():
    x = torch.randn(50, 7, requires_grad=True)
    y = dropout(x, 0.3)
    y.sum().backward()
    kept = y != 0
    assert torch.equal(x.grad == 0, ~kept)
    assert torch.allclose(x.grad[kept], (y / x)[kept].detach())


def test_a_residual_sum_is_the_sum_with_dropout():
    x, branch = torch.randn(9, 33), torch.randn(9, 33)
    torch.manual_seed(1)
    got = add_dropped(x, branch, 0.25)
    torch.manual_seed(1)
    assert torch.allclose(got, x + dropout(branch, 0.25))


def test_nothing_is_dropped_in_evaluation_or_at_rate_0():
    x = torch.randn(10)
    assert Dropout(0.5).eval()(x) is x
    assert dropout(x, 0.0) is x


def test_shapes_are_known_without_data():
    with FakeTensorMode():
        x = torch.ones(3, 5)
        assert dropout(x, 0.5).shape == (3, 5)


@pytest.mark.parametrize("padded", [False, True])
def test_attention_with_dropout_is_attention_where_little_is_dropped(padded):
    torch.manual_seed(0)
    attention = SelfAttention(32, 4, dropout=2**-16)
    x = torch.randn(2, 20, 32)
    mask = torch.arange(20) < torch.tensor([[20], [13]]) if padded else None
    torch.manual_seed(0)
    trained, evaluated = attention.train()(x, mask), attention.eval()(x, mask)
    assert torch.allclose(trained, evaluated, atol=1e-4)


def test_the_mean_of_attention_with_dropout_is_attention():
    torch.manual_seed(0)
    attention = SelfAttention(16, 2, dropout=0.3)
    x = torch.randn(1, 12, 16)
    mean = torch.stack([attention.train()(x, None) for _ in range(3000)]).mean(dim=0)
    assert torch.allclose(mean, attention.eval()(x, None), atol=0.02)
