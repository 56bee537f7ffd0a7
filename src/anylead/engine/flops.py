"""Counting floating-point operations: what a comparison at an equal budget of computation needs to know."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def counted_flops(run: Callable[[], Any]) -> float:
    """Returns how many operations a piece of work does, a multiplication and an addition apart.

    Products of matrices, convolutions, attention and Fourier transforms count, forward and backward, those
    of teachers, decoders and generators too. Norms, activations, dropout, sums and the optimizer do not.

    Args:
        run: Does it, once.

    Source: The formulas of ``torch.utils.flop_counter``; 5 N log2 N for a complex Fourier transform and half
    of it for a real one (Cooley & Tukey 1965, as FFTW counts them).
    """
    with FlopCounterMode(display=False, custom_mapping=dict(_FORMULAS)) as counter:
        run()
    return float(counter.get_total_flops())


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))  # type: ignore[no-untyped-call]


def _transform_of(share: float) -> Callable[..., int]:
    """Returns the formula of a Fourier transform, by its longer side: the signal of a real one."""

    def formula(
        shape: Sequence[int], dims: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
    ) -> int:
        signal = max(shape, out_shape, key=math.prod)
        length = math.prod(max(shape[dim], out_shape[dim]) for dim in dims)
        rows = math.prod(signal) // length
        return round(share * 5.0 * rows * length * math.log2(max(length, 2)))

    return formula


_FORMULAS: Mapping[Any, Callable[..., int]] = {
    # torch counts the attention kernels of GPUs and not that of CPUs.
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten._fft_c2c: _transform_of(1.0),
    aten._fft_r2c: _transform_of(0.5),
    aten._fft_c2r: _transform_of(0.5),
}
