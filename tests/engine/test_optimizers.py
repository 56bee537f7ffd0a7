import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from anylead.encoders import ENCODERS, build_encoder, named_encoder
from anylead.engine.optimizers import AdamWConfig, ReferenceAdamW, build_optimizer, layer_rates
from anylead.errors import ConfigError

REFERENCE = AdamWConfig(learning_rate=0.1, epsilon_placement="before_bias_correction")


def _module(values: Iterable[float] = (1.0, -2.0, 0.5)) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.tensor([list(values)], dtype=torch.float64))
    module.bias = nn.Parameter(torch.tensor([0.25, -0.75], dtype=torch.float64))
    return module


def _run(config: AdamWConfig, gradients: list[list[Tensor]]) -> list[Tensor]:
    module = _module()
    optimizer = build_optimizer(config, module)
    for gradient in gradients:
        for parameter, g in zip(module.parameters(), gradient, strict=True):
            parameter.grad = g.clone()
        optimizer.step()
    return [p.detach() for p in module.parameters()]


def _gradients(steps: int, scale: float = 1.0) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        [scale * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((1, 3), (2,))]
        for _ in range(steps)
    ]


def _slow_loop(config: AdamWConfig, gradients: list[list[Tensor]]) -> list[Tensor]:
    """METHOD 3.9, one number at a time."""
    beta1, beta2 = config.betas
    results = []
    for index, parameter in enumerate(_module().parameters()):
        flat = []
        for place, p in enumerate(parameter.detach().flatten().tolist()):
            m = v = 0.0
            for k, gradient in enumerate(gradients, start=1):
                g = gradient[index].flatten()[place].item()
                m = beta1 * m + (1 - beta1) * g
                v = beta2 * v + (1 - beta2) * g * g
                p = p * (1 - config.learning_rate * config.weight_decay)
                size = config.learning_rate * math.sqrt(1 - beta2**k) / (1 - beta1**k)
                p = p - size * m / (math.sqrt(v) + config.epsilon)
            flat.append(p)
        results.append(torch.tensor(flat, dtype=torch.float64).reshape(parameter.shape))
    return results


def test_first_update_by_hand() -> None:
    # g = 2: m = 0.2, v = 0.08, so the step is 0.1 sqrt(0.02) / 0.1 * 0.2 / (sqrt(0.08) + 1e-6).
    parameter = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    optimizer = ReferenceAdamW([parameter], lr=0.1, weight_decay=0.5)
    parameter.grad = torch.tensor([2.0], dtype=torch.float64)
    optimizer.step()
    expected = 3.0 * 0.95 - math.sqrt(0.02) * 0.2 / (math.sqrt(0.08) + 1e-6)
    assert parameter.item() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_five_updates_equal_a_slow_loop(scale: float) -> None:
    gradients = _gradients(5, scale)
    for got, expected in zip(_run(REFERENCE, gradients), _slow_loop(REFERENCE, gradients), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)


def test_default_is_torch_adamw_bit_for_bit() -> None:
    config = AdamWConfig(learning_rate=0.1)
    module = _module()
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=0.1, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, foreach=True
    )
    gradients = _gradients(5)
    for gradient in gradients:
        for parameter, g in zip(module.parameters(), gradient, strict=True):
            parameter.grad = g.clone()
        optimizer.step()
    for got, expected in zip(_run(config, gradients), module.parameters(), strict=True):
        assert torch.equal(got, expected)


def test_placements_agree_on_large_gradients_and_differ_on_tiny_ones() -> None:
    default = AdamWConfig(learning_rate=0.1, weight_decay=0.0)
    reference = replace(default, epsilon_placement="before_bias_correction")
    start = [p.detach() for p in _module().parameters()]
    # A first update moves |g| / (|g| + eps) of the rate in torch, r |g| / (r |g| + eps) in the reference,
    # r = sqrt(1 - 0.98); with |g| = 1e-7 that is 0.0909 against 0.0139.
    for scale, expected in ((1.0, 1.0), (1e-7, 0.01394455 / 0.09090909)):
        gradient = [
            [scale * torch.ones(1, 3, dtype=torch.float64), scale * torch.ones(2, dtype=torch.float64)]
        ]
        for a, b, p in zip(_run(default, gradient), _run(reference, gradient), start, strict=True):
            moved = (b - p) / (a - p)
            torch.testing.assert_close(moved, torch.full_like(moved, expected), rtol=1e-4, atol=0)


def test_matrices_only_leaves_biases_and_norms_undecayed() -> None:
    config = AdamWConfig(learning_rate=0.1, weight_decay=0.5, weight_decay_on="matrices")
    zero = [[torch.zeros(1, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)]]
    weight, bias = _run(config, zero)
    torch.testing.assert_close(weight, torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64) * 0.95)
    assert torch.equal(bias, torch.tensor([0.25, -0.75], dtype=torch.float64))
    _, decayed = _run(AdamWConfig(learning_rate=0.1, weight_decay=0.5), zero)
    torch.testing.assert_close(decayed, bias * 0.95)


def test_a_parameter_without_gradient_keeps_its_own_count() -> None:
    first, second = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    optimizer = ReferenceAdamW([first, second], lr=0.1)
    first.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    assert second.item() == 1.0
    second.grad = torch.ones(1, dtype=torch.float64)
    first.grad = None
    after_one = first.item()
    optimizer.step()
    assert first.item() == after_one
    assert second.item() == after_one  # its first update, not its second


def test_state_survives_a_save_of_plain_content(tmp_path) -> None:
    module = _module()
    optimizer = build_optimizer(REFERENCE, module)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    other = build_optimizer(REFERENCE, _module())
    other.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    assert [s["step"] for s in other.state.values()] == [1, 1]


def test_a_closure_is_called_with_gradients_on() -> None:
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = ReferenceAdamW([parameter], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert parameter.item() < 3.0


def test_shared_parameters_are_updated_once() -> None:
    shared = nn.Linear(2, 2)
    optimizer = build_optimizer(AdamWConfig(), shared, nn.Sequential(shared, nn.Linear(2, 1)))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


@pytest.fixture(params=sorted(ENCODERS))
def encoder(request):
    torch.manual_seed(0)
    return build_encoder(named_encoder(f"{request.param}:tiny"))


def test_the_rate_falls_by_the_decay_from_layer_to_layer(encoder) -> None:
    shares = layer_rates(encoder, decay=0.5)
    assert set(shares) == set(encoder.parameters())
    last = encoder.layers
    for number, block in enumerate(encoder.blocks, start=1):
        assert {shares[p] for p in block.parameters()} == {0.5 ** (last - number)}
    inside = {p for block in encoder.blocks for p in block.parameters()}
    assert {share for p, share in shares.items() if p not in inside} == {0.5**last}
    # Counted from the layer that is read: the first one is next to the head.
    early = layer_rates(encoder, decay=0.5, read_layer=1)
    assert {early[p] for p in encoder.blocks[0].parameters()} == {1.0}
    assert {early[p] for p in encoder.parameters() if p not in inside} == {0.5}


def test_shares_reach_the_update_and_a_head_has_the_whole_rate(encoder) -> None:
    head = nn.Linear(3, 2)
    shares = layer_rates(encoder, decay=0.5)
    config = AdamWConfig(learning_rate=1e-3, weight_decay=0.0)
    optimizer = build_optimizer(config, encoder, head, rates=shares)
    assert max(group["initial_lr"] for group in optimizer.param_groups) == 1e-3
    before = {p: p.detach().clone() for module in (encoder, head) for p in module.parameters()}
    for parameter in before:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    # The first update of Adam is the rate itself, whatever the gradient.
    for parameter, old in before.items():
        moved = (old - parameter.detach()).double()
        wanted = torch.full_like(moved, 1e-3 * shares.get(parameter, 1.0))
        torch.testing.assert_close(moved, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("decayed", ["all", "matrices"])
def test_without_decay_the_groups_are_those_of_one_rate(encoder, decayed) -> None:
    config = AdamWConfig(learning_rate=1e-3, weight_decay_on=decayed)
    head = nn.Linear(3, 2)
    plain = build_optimizer(config, encoder, head).param_groups
    shared = build_optimizer(config, encoder, head, rates=layer_rates(encoder, decay=1.0)).param_groups
    assert len(plain) == len(shared) == (1 if decayed == "all" else 2)
    for one, other in zip(plain, shared, strict=True):
        assert [id(p) for p in one["params"]] == [id(p) for p in other["params"]]
        assert {k: v for k, v in one.items() if k != "params"} == {
            k: v for k, v in other.items() if k != "params"
        }
    # Decayed ones come first, as checkpoints have them.
    assert [group["weight_decay"] for group in plain] == [0.01, 0.0][: len(plain)]


def test_shares_and_exemption_from_decay_go_together() -> None:
    module = _module()
    rates = {module.weight: 0.25}
    config = AdamWConfig(learning_rate=0.1, weight_decay=0.5, weight_decay_on="matrices")
    groups = build_optimizer(config, module, rates=rates).param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.025, 0.5), (0.1, 0.0)]


def test_nothing_to_train_is_refused() -> None:
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ConfigError, match="optimizer: every parameter is frozen; unfreeze"):
        build_optimizer(AdamWConfig(), frozen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; give a number above 0"),
        ({"betas": (0.9, 1.0)}, r"betas are \(0.9, 1.0\); each must be at least 0 and below 1"),
        ({"epsilon": 0.0}, "epsilon is 0.0 and weight_decay 0.01; epsilon must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0; epsilon must be above 0 and weight_decay not negative"),
    ],
)
def test_impossible_settings_are_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        AdamWConfig(**options)
