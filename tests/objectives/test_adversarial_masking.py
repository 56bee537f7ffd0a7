"""Masks by hand and by a loop, who is trained by what and which way, and what masks must not touch."""

import math
from dataclasses import replace

import pytest
import torch
from test_objective_contract import START, make_batch, make_encoder
from test_view_contrast import nt_xent_loop

from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.gradient_reversal import reverse_gradient
from anylead.nn.mask_generator import MaskGenerator, standardized_window
from anylead.nn.presence import present_signal
from anylead.objectives import AdversarialMaskingConfig, build_objective
from anylead.objectives.adversarial_masking import budget_loss, dimmed, hidden_shares
from anylead.objectives.view_contrast import cosines
from small_objectives import GRID, SMALL

F64 = torch.float64
CONFIG = SMALL["adversarial_masking"]


def double_parts(config=CONFIG, kind="fused", **changes):
    """An encoder whose front end passes gradients on as they are, and the objective, both in double."""
    if kind == "fused":
        changes = {"feature_gradient_scale": 1.0, **changes}
    encoder = make_encoder(kind, **changes).double()
    return encoder, build_objective(config, encoder).double()


def run(encoder, objective, batch):
    return objective.loss(encoder, batch, draws=None, progress=START)


def gradients(config, batch, **changes):
    """Gradients of the encoder, the projector and the generator, by name."""
    encoder, objective = double_parts(config, **changes)
    run(encoder, objective, batch).value.backward()
    named = [*encoder.named_parameters(prefix="encoder"), *objective.named_parameters()]
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in named}


def generator_of(leads=2, masks=1, share=0.3):
    torch.manual_seed(0)
    return MaskGenerator(leads, masks, block=4, width=8, share=share).double()


def test_a_gradient_is_turned_round_and_scaled_or_cut():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.5)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    assert x.grad.tolist() == [-1.0, 2.0]
    assert not reverse_gradient(x, 0.0).requires_grad


def test_what_masks_hide_by_hand():
    signal = torch.tensor([[[2.0, -4.0, 1.0, 0.0]]])
    hidden = torch.tensor([[[0.0, 0.5, 1.0, 1.0]]])
    assert dimmed(signal, hidden).tolist() == [[[2.0, -2.0, 0.0, 0.0]]]
    # One lead of three recorded samples and one of none; two masks.
    present = torch.tensor([[[True, True, True, False], [False] * 4]])
    masks = torch.zeros(1, 2, 2, 4)
    masks[0, 0, 0, :3] = torch.tensor([0.0, 0.5, 1.0])
    masks[0, 1, 0, :3] = 0.1
    shares = hidden_shares(masks, present)
    assert shares.flatten().tolist() == pytest.approx([0.5, 0.1])
    assert budget_loss(shares, 0.3).item() == pytest.approx(0.04)


def test_a_window_is_standardised_over_what_was_recorded():
    signal = torch.tensor([[[1.0, 3.0, 0.0, 0.0], [5.0, 5.0, 0.0, 0.0]]])
    present = torch.tensor([[[True, True, False, False]] * 2])
    found = standardized_window(signal, present)
    assert torch.allclose(found, torch.tensor([[[-1.0, 1.0, 0.0, 0.0], [0.0] * 4]]), atol=1e-5)


def test_masks_begin_at_the_share_and_two_never_hide_the_same():
    generator = generator_of(masks=3, share=0.2)
    torch.nn.init.zeros_(generator.leave.weight)
    signal, present = torch.randn(2, 2, 10, dtype=F64), torch.ones(2, 2, 10, dtype=torch.bool)
    assert torch.allclose(generator(signal, present), torch.tensor(0.2, dtype=F64))
    torch.nn.init.normal_(generator.leave.weight, std=30.0)
    masks = generator(signal, present)
    assert masks.shape == (2, 3, 2, 10)
    assert masks.max() > 0.99
    assert masks.sum(dim=1).max() <= 1.0 + 1e-12


def test_a_mask_is_of_blocks_and_of_its_own_segment():
    generator = generator_of()
    signal = torch.randn(2, 2, 16, dtype=F64)
    present = torch.ones(2, 2, 16, dtype=torch.bool)
    present[0, :, 10:] = False
    together = generator(torch.where(present, signal, 0.0), present)
    alone = generator(signal[:1, :, :10], present[:1, :, :10])
    assert torch.allclose(together[:1, ..., :10], alone)
    assert not together[0, ..., 10:].any()
    blocks = together[1].unflatten(-1, (4, 4))
    assert torch.equal(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks[..., 0].flatten().unique().numel() == 8


@pytest.mark.parametrize("masks", [1, 2])
def test_the_loss_equals_a_loop(masks):
    config = replace(CONFIG, masks=masks, hidden_share=0.2)
    encoder, objective = double_parts(config)
    batch = make_batch(pairs=2, leads=("V2", "I"), samples=330, dtype=F64)
    batch.lead_mask[1, 0] = False
    pooled, costs = [encoder(batch).pooled], []
    for k in range(masks):
        signal = batch.signal.clone()
        for row in range(len(batch)):
            columns = [j for j in range(2) if batch.lead_mask[row, j]]
            place = [STANDARD_12.index(batch.leads[j]) for j in columns]
            window, present = torch.zeros(1, 12, 330, dtype=F64), torch.zeros(1, 12, 330, dtype=torch.bool)
            window[0, place], present[0, place] = batch.signal[row, columns], True
            mask = objective.generator(window, present)[0, k, place]
            share = sum(mask[j, n].item() for j in range(len(columns)) for n in range(330))
            costs.append((share / (330 * len(columns)) - 0.2) ** 2)
            for number, column in enumerate(columns):
                for n in range(330):
                    signal[row, column, n] *= 1.0 - mask[number, n].item()
        pooled.append(encoder(replace(batch, signal=signal)).pooled)
    rows = torch.cat([objective.projector(view) for view in pooled])
    similarity = cosines(rows, detach_norm=False) / config.temperature
    expected, count = nt_xent_loop(similarity.detach(), [0, 1, 2, 3] * (1 + masks), [1] * len(rows))
    loss = run(encoder, objective, batch)
    assert loss.count == count
    assert loss.terms["contrast"].item() == pytest.approx(expected / count)
    assert loss.terms["budget"].item() == pytest.approx(sum(costs) / len(costs))
    whole = expected / count + config.budget_weight * sum(costs) / len(costs)
    assert (loss.value / loss.count).item() == pytest.approx(whole)


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_a_step_of_the_generator_raises_the_contrast_and_one_of_the_others_lowers_it(kind):
    batch = make_batch(dtype=F64)
    config = replace(CONFIG, budget_weight=0.0)

    def contrast(encoder, objective):
        with torch.no_grad():
            return run(encoder, objective, batch).terms["contrast"].item()

    for player, direction in (("generator", 1), ("encoder", -1), ("projector", -1)):
        encoder, objective = double_parts(config, kind)
        before = contrast(encoder, objective)
        run(encoder, objective, batch).value.backward()
        parameters = list((encoder if player == "encoder" else getattr(objective, player)).parameters())
        length = math.sqrt(sum(p.grad.square().sum().item() for p in parameters))
        assert length > 0.0
        with torch.no_grad():
            for parameter in parameters:
                parameter -= 1e-3 / length * parameter.grad
        assert direction * (contrast(encoder, objective) - before) > 1e-7, player


def test_the_scale_is_the_generators_alone_and_zero_leaves_it_to_the_budget():
    batch = make_batch(dtype=F64)
    quiet = replace(CONFIG, budget_weight=0.0)
    once, twice, never = (
        gradients(replace(quiet, generator_gradient_scale=scale), batch) for scale in (1.0, 2.0, 0.0)
    )
    for name, gradient in once.items():
        if name.startswith("generator"):
            assert gradient.any()
            assert torch.allclose(twice[name], 2.0 * gradient)
            assert not never[name].any()
        else:
            assert torch.equal(twice[name], gradient)
            assert torch.equal(never[name], gradient)


def test_the_budget_trains_the_generator_alone():
    batch = make_batch(dtype=F64)
    with_budget, without = (
        gradients(replace(CONFIG, hidden_share=0.2, budget_weight=weight), batch) for weight in (100.0, 0.0)
    )
    for name, gradient in with_budget.items():
        assert torch.equal(gradient, without[name]) != name.startswith("generator"), name


@pytest.mark.parametrize("weight", [CONFIG.budget_weight, 0.0])
def test_the_budget_is_reached_against_the_contrast_and_without_it_more_is_hidden(weight):
    encoder, objective = double_parts(replace(CONFIG, budget_weight=weight))
    batch = make_batch(pairs=2, samples=320, dtype=F64)
    torch.nn.init.constant_(objective.generator.leave.bias, 0.5)
    optimizer = torch.optim.Adam(objective.generator.parameters(), lr=0.05)
    shares = []
    for _ in range(40):
        loss = run(encoder, objective, batch)
        optimizer.zero_grad()
        (loss.value / loss.count).backward()
        optimizer.step()
        shares.append(loss.terms["hidden_share"].item())
    assert shares[0] > 0.5
    assert shares[-1] == pytest.approx(CONFIG.hidden_share, abs=0.03) if weight else shares[-1] > shares[0]


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_absent_leads_stay_absent_and_poison_there_changes_nothing(kind):
    batch = make_batch(lengths=[800, 800, 500, 400, 800, 300, 200, 160], dtype=F64)
    present = torch.rand(8, 12, generator=torch.Generator().manual_seed(1)) < 0.6
    present[:, 3], present[:, 4] = True, False
    batch = replace(batch, lead_mask=present)
    recorded = present[:, :, None] & batch.sample_mask[:, None]
    found = []
    for poison in (0.0, float("nan"), 1e6):
        signal = torch.where(recorded, batch.signal, poison)
        encoder, objective = double_parts(kind=kind)
        views, shares = objective.views(encoder, replace(batch, signal=signal))
        assert torch.equal(views[0].lead_mask, present)
        assert not views[0].signal[~recorded].any()
        loss = run(encoder, objective, replace(batch, signal=signal))
        loss.value.backward()
        parameters = (*encoder.parameters(), *objective.parameters())
        found.append([loss.value, shares, *(p.grad for p in parameters)])
    assert all(torch.isfinite(tensor).all() for tensor in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_leads_in_another_order_or_without_columns_have_the_same_masks():
    encoder, objective = double_parts(kind=GRID)
    batch = make_batch(leads=("V2", "I", "aVR"), dtype=F64)
    few, _ = objective.views(encoder, batch)
    many, _ = objective.views(encoder, batch.select(STANDARD_12))
    assert few[0].leads == ("I", "aVR", "V2")
    assert torch.equal(few[0].signal, many[0].select(few[0].leads).signal)
    assert torch.equal(few[0].signal, present_signal(few[0], few[0].leads))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": 0}, "got masks 0 and hidden_share 0.3; give at least 1 mask"),
        ({"masks": 4}, "got masks 4 and hidden_share 0.3; .* less than 1 in all masks together"),
        ({"hidden_share": 0.0}, "got masks 1 and hidden_share 0; .* a share above 0"),
        ({"block_s": 0.0}, "got block_s 0, .* give a block and a width above 0"),
        ({"generator_width": 0}, "generator_width 0, .* give a block and a width above 0"),
        ({"budget_weight": -1.0}, "budget_weight -1 .* no negative weight or scale"),
        ({"generator_gradient_scale": -1.0}, "generator_gradient_scale -1; .* no negative weight or scale"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=f"adversarial_masking: .*{message}"):
        AdversarialMaskingConfig(**changes)


def test_a_front_end_that_lets_no_gradient_through_is_refused():
    with pytest.raises(ConfigError, match="feature_gradient_scale of 0 lets no gradient through; give a"):
        build_objective(CONFIG, make_encoder(feature_gradient_scale=0.0))
