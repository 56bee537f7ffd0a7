"""Counted operations against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from anylead.engine.flops import counted_flops


def test_a_layer_forward_and_backward_counts_three_products() -> None:
    x, weight = torch.randn(5, 7), torch.randn(7, 3, requires_grad=True)
    x.requires_grad_()
    product = 2 * 5 * 7 * 3
    assert counted_flops(lambda: x @ weight) == product
    assert counted_flops(lambda: (x @ weight).sum().backward()) == 3 * product


def test_attention_on_a_processor_is_counted() -> None:
    q, k, v = (torch.randn(2, 4, 16, 8, requires_grad=True) for _ in range(3))
    forward = 2 * (2 * 2 * 4 * 16 * 16 * 8)
    assert counted_flops(lambda: F.scaled_dot_product_attention(q, k, v)) == forward
    both = counted_flops(lambda: F.scaled_dot_product_attention(q, k, v).sum().backward())
    # The scores are computed once more in the backward pass.
    assert both == forward + 2.5 * forward


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
def test_fourier_transforms_are_counted_forth_and_back(real: bool) -> None:
    x = torch.randn(3, 64, dtype=torch.float32 if real else torch.complex64)
    one = 3 * 5 * 64 * math.log2(64) * (0.5 if real else 1.0)
    assert counted_flops(lambda: torch.fft.rfft(x) if real else torch.fft.fft(x)) == one
    spectrum = torch.fft.rfft(x) if real else torch.fft.fft(x)
    back = (lambda: torch.fft.irfft(spectrum, n=64)) if real else (lambda: torch.fft.ifft(spectrum))
    assert counted_flops(back) == one


def test_work_without_products_counts_nothing() -> None:
    assert counted_flops(lambda: torch.randn(8).exp().sum()) == 0.0
