"""S4D against a recurrence run one step at a time."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import cont2discrete

from anylead.nn.diagonal_state_space import DiagonalStateSpace, initial_poles


def make_layer(dimension=3, state=4, initialization="lin"):
    torch.manual_seed(0)
    layer = DiagonalStateSpace(dimension, state=state, initialization=initialization)
    torch.nn.init.uniform_(layer.log_step, math.log(0.02), math.log(0.3))
    return layer.double()


def recurrence(layer, x, direction):
    """``x_k = Ad x_{k-1} + Bd u_k``, ``y_k = 2 Re(C x_k)``, in numpy, one frame after the other."""
    step = layer.log_step.detach().exp().numpy()
    poles = -layer.log_decay.detach().exp().numpy() + 1j * layer.frequency.detach().numpy()
    output = torch.view_as_complex(layer.output.detach()).numpy()[direction]
    y = np.zeros_like(x)
    order = range(x.shape[1]) if direction == 0 else reversed(range(x.shape[1]))
    state = np.zeros(poles.shape, dtype=complex)
    for t in order:
        turned = np.exp(step[:, None] * poles)
        state = turned * state + (turned - 1) / poles * x[:, t : t + 1]
        y[:, t] = 2 * (output * state).sum(axis=1).real
    return y


@pytest.mark.parametrize("initialization", ["lin", "inv"])
@pytest.mark.parametrize("frames", [1, 2, 37])
def test_both_directions_are_recurrences(frames, initialization):
    layer = make_layer(initialization=initialization)
    x = torch.randn(2, 3, frames, dtype=torch.float64)
    got = layer(x).detach().numpy()
    for row in range(2):
        signal = x[row].numpy()
        through = signal * layer.feedthrough.detach().numpy()[:, None]
        expected = recurrence(layer, signal, 0) + recurrence(layer, signal, 1) + through
        np.testing.assert_allclose(got[row], expected, rtol=1e-9, atol=1e-9)


def test_the_discretisation_is_scipy_s_zero_order_hold():
    layer = make_layer()
    exponent, weight = (value.detach().numpy() for value in layer.discretized())
    step = layer.log_step.detach().exp().numpy()
    poles = -layer.log_decay.detach().exp().numpy() + 1j * layer.frequency.detach().numpy()
    for channel in range(3):
        for n in range(2):
            pole = poles[channel, n]
            # A complex system of order 1 as a real one of order 2.
            system = np.array([[pole.real, -pole.imag], [pole.imag, pole.real]])
            turned, pushed, *_ = cont2discrete(
                (system, np.array([[1.0], [0.0]]), np.eye(2), np.zeros((2, 1))), step[channel], method="zoh"
            )
            assert np.exp(exponent[channel, n]) == pytest.approx(complex(*turned[:, 0]), abs=1e-10)
            assert weight[channel, n] == pytest.approx(complex(*pushed[:, 0]), abs=1e-10)


@pytest.mark.parametrize("direction", [0, 1])
def test_each_direction_sees_one_side_of_time_only(direction):
    layer = make_layer()
    with torch.no_grad():
        layer.output[1 - direction].zero_()
    x = torch.zeros(1, 3, 25, dtype=torch.float64)
    x[:, :, 12] = 1.0
    y = layer(x)[0].detach()
    unseen = y[:, :12] if direction == 0 else y[:, 13:]
    seen = y[:, 13:] if direction == 0 else y[:, :12]
    assert unseen.abs().max() < 1e-12
    assert (seen.abs() > 1e-6).all()
    # What it sees is its kernel, nearest first.
    kernel = layer.kernels(25)[direction].detach()
    near = seen if direction == 0 else seen.flip(1)
    torch.testing.assert_close(near, kernel[:, 1 : near.shape[1] + 1])


def test_zeros_behind_the_end_change_nothing():
    layer = make_layer()
    x = torch.randn(1, 3, 20, dtype=torch.float64)
    longer = torch.nn.functional.pad(x, (0, 33))
    torch.testing.assert_close(layer(longer)[..., :20], layer(x))


def test_initial_poles_by_hand():
    lin, inv = initial_poles(4, "lin"), initial_poles(4, "inv")
    assert torch.equal(lin.real, torch.full((4,), -0.5, dtype=torch.float64))
    assert lin.imag.tolist() == pytest.approx([0.0, math.pi, 2 * math.pi, 3 * math.pi])
    assert inv.imag.tolist() == pytest.approx(
        [8 / math.pi * 7, 8 / math.pi * 5 / 3, 8 / math.pi * 0.6, 8 / math.pi / 7]
    )


def test_steps_begin_between_their_bounds():
    torch.manual_seed(0)
    step = DiagonalStateSpace(4000, state=2, shortest_step=0.001, longest_step=0.1).log_step.exp()
    assert 0.001 <= step.min() < 0.00102
    assert 0.098 < step.max() <= 0.1001
    assert step.log().mean().item() == pytest.approx(math.log(0.01), abs=0.1)
