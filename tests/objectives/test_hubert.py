"""HuBERT: what its codes stand for, what is guessed when, and what gets no gradient."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from test_objective_contract import KEY, make_batch, make_encoder

from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit
from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.loss import Progress
from anylead.objectives import HuBERTConfig, build_objective
from anylead.objectives.hubert import code_logits, code_loss
from anylead.objectives.signal_statistics import BANDS, signal_statistics
from small_objectives import GRID

CONFIG = HuBERTConfig(
    codes=(4, 6, 5), round_starts=(0.4, 0.8), fitting_share=0.2, span=2, final_dimension=16, layer=2
)
TOTAL = 10


def at(step):
    return Progress(step=step, total_steps=TOTAL)


def begun(kind="fused", config=CONFIG):
    """An objective whose codebooks have seen something."""
    encoder = make_encoder(kind)
    objective = build_objective(config, encoder)
    batch = make_batch()
    for step in range(TOTAL):
        run(encoder, objective, batch, step)
        objective.after_step(encoder, at(step + 1))
    return encoder, objective


def run(encoder, objective, batch, step):
    draws = objective.draw(encoder, batch, KEY, at(step))
    return objective.loss(encoder, batch, draws=draws, progress=at(step))


def test_a_cross_entropy_by_hand():
    logits = torch.tensor([[[0.0, math.log(3.0)], [5.0, 5.0], [0.0, 0.0]]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.5, 0.0]])
    value, right, count = code_loss(logits, torch.tensor([[1, 0, 1]]), weight)
    assert value.item() == pytest.approx(math.log(4 / 3) + 0.5 * math.log(2.0))
    assert (right.item(), count.item()) == (1.5, 1.5)
    value.backward()
    assert torch.allclose(logits.grad[0], torch.tensor([[0.25, -0.25], [-0.25, 0.25], [0.0, 0.0]]))


def test_logits_are_cosines_over_a_temperature():
    context = torch.tensor([[[3.0, 4.0]]])
    codes = torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    assert torch.allclose(code_logits(context, codes, temperature=0.1), torch.tensor([[[6.0, -8.0]]]))


@pytest.mark.parametrize("shown_weight", [0.0, 0.3])
@pytest.mark.parametrize(("kind", "step"), [("fused", 2), ("fused", 6), (GRID, 9)])
def test_the_loss_equals_a_loop(kind, step, shown_weight):
    encoder, objective = begun(kind, replace(CONFIG, shown_weight=shown_weight))
    batch = make_batch(lengths=[800, 800, 500, 400, 800, 300, 200, 160])
    number = objective.round_at(at(step))
    draws = objective.draw(encoder, batch, KEY, at(step))
    found = objective.loss(encoder, batch, draws=draws, progress=at(step))
    tokens = encoder.tokenize(batch)
    hidden_embedding = objective.hidden_embedding
    features = encoder.contextualize(
        tokens, padded=True, hidden=draws.hidden, hidden_embedding=hidden_embedding
    )
    seen = signal_statistics(encoder, batch, tokens, window_s=0.2)
    if number:
        layer = min(2, encoder.layers)
        seen = objective.snapshots[number - 1].network(batch, layer=layer).tokens
    first = sum(CONFIG.codes[:number])
    embeddings = objective.code_embeddings[first : first + CONFIG.codes[number]]
    total = count = 0.0
    for row, place in tokens.mask.nonzero().tolist():
        book = objective.codebooks[number]
        distance = (book.vectors - seen[row, place]).norm(dim=1)
        code = int(distance.masked_fill(book.sizes == 0, math.inf).argmin())
        guess = objective.project(features.tokens[row, place])
        logits = torch.nn.functional.cosine_similarity(guess[None], embeddings) / 0.1
        weight = 1.0 if draws.hidden[row, place] else shown_weight
        total += weight * (logits.logsumexp(0) - logits[code]).item()
        count += weight
    assert found.value.item() == pytest.approx(total, rel=1e-4)
    assert float(found.count) == pytest.approx(count)
    assert found.terms["codes_in_use"] > 1.2


def test_statistics_equal_those_of_a_fourier_transform():
    encoder, batch = make_encoder(GRID), make_batch(leads=("II",))
    found = signal_statistics(encoder, batch, encoder.tokenize(batch), window_s=0.2)
    row, token, window = 3, 4, 100
    signal = batch.signal[row, 0] - batch.signal[row, 0].mean()
    first = token * 80 + 40 - window // 2
    samples = signal[first : first + window]
    weight = torch.sin(torch.pi * (torch.arange(window) + 0.5) / window).square()
    weight = weight / weight.sum()
    level = (weight * samples).sum()
    spectrum = 2.0 * torch.fft.rfft((samples - level) * weight).abs()
    octaves = [spectrum[2**k : 2 ** (k + 1)].square().sum().sqrt() for k in range(BANDS)]
    expected = torch.asinh(100.0 * torch.stack([level, *octaves]))
    assert torch.allclose(found[row, token, [0, 2, 3, 4, 5]], expected, atol=2e-3)


def test_a_line_has_a_level_and_a_rise_and_a_wave_its_octave():
    encoder, batch = make_encoder(GRID), make_batch(leads=("II",))
    time = torch.arange(800) / 500.0
    signal = batch.signal.clone()
    signal[0, 0] = 7.0 + 0.5 * time  # a level of all of it does not count
    for row, rate_hz in enumerate((5.0, 10.0, 25.0, 50.0), start=1):
        signal[row, 0] = torch.sin(2 * math.pi * rate_hz * time)
    batch = replace(batch, signal=signal)
    found = torch.sinh(signal_statistics(encoder, batch, encoder.tokenize(batch), window_s=0.2)) / 100.0
    middle = (4 * 80 + 39.5) / 500.0
    assert found[0, 4, 0].item() == pytest.approx(0.5 * (middle - 399.5 / 500.0), abs=1e-4)
    assert found[0, 4, 1].item() == pytest.approx(0.5 * 0.2, abs=1e-4)
    assert found[1:5, 4, 2:].argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_a_fused_token_has_the_mean_over_leads_without_signs():
    fused, grid = make_encoder(), make_encoder(GRID, patch_samples=16)
    batch = make_batch(leads=("I", "II", "V2"))
    tokens = [encoder.tokenize(batch) for encoder in (fused, grid)]
    a, b = (signal_statistics(e, batch, t, window_s=0.2) for e, t in zip((fused, grid), tokens, strict=True))
    assert torch.allclose(a, b.view(8, 3, 50, -1).abs().mean(dim=1), atol=1e-5)


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_statistics_are_of_what_was_recorded(kind):
    """What an absent lead holds changes nothing, nor does it that it has a column; nor who else is there."""
    encoder, batch = make_encoder(kind), make_batch(leads=("I", "II", "V2"))
    mask = torch.tensor([True, False, True]).expand(8, 3)
    poisoned = torch.where(mask[:, :, None], batch.signal, float("nan"))
    masked = replace(batch, signal=poisoned, lead_mask=mask)
    fewer = batch.select(("I", "V2"))
    a, b = (signal_statistics(encoder, x, encoder.tokenize(x), window_s=0.2) for x in (masked, fewer))
    if kind == GRID:
        a = a.view(8, 3, -1, a.shape[2])[:, [0, 2]].flatten(1, 2)
    assert torch.allclose(a, b, atol=1e-6)

    ragged = make_batch(lengths=[800, 400, 800, 800, 800, 800, 800, 800])
    alone = replace(ragged, signal=ragged.signal[..., :400], sample_mask=ragged.sample_mask[:, :400])
    a, b = (signal_statistics(encoder, x, encoder.tokenize(x), window_s=0.2) for x in (ragged, alone))
    if kind == GRID:
        a, b = (x.view(8, 12, -1, x.shape[2]) for x in (a, b))
    assert torch.allclose(a[1, ..., : b.shape[-2], :], b[1], atol=1e-6)


@pytest.mark.parametrize("kind", ["fused", GRID])
@pytest.mark.parametrize("step", [2, 6])
def test_absent_leads_may_hold_anything(kind, step):
    encoder, objective = begun(kind)
    batch = make_batch()
    mask = torch.rand(8, 12, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[:, 0] = True
    found = []
    for junk in (0.0, float("nan")):
        signal = torch.where(mask[:, :, None], batch.signal, junk)
        loss = run(encoder, objective, replace(batch, signal=signal, lead_mask=mask), step)
        (gradient,) = torch.autograd.grad(loss.value, objective.code_embeddings)
        found.append((loss.value, gradient, *[b.clone() for b in objective.codebooks.buffers()]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert all(b.isfinite().all() for b in found[1])


@pytest.mark.parametrize("leads", [("II",), ("V2", "I"), STANDARD_12])
def test_later_rounds_work_on_any_leads_and_lengths(leads):
    for kind in ("fused", GRID):
        encoder, objective = begun(kind)
        batch = make_batch(leads=leads, lengths=[800, 800, 500, 400, 800, 300, 200, 160])
        poisoned = replace(batch, signal=torch.where(batch.sample_mask[:, None], batch.signal, float("nan")))
        values = [run(encoder, objective, each, 9).value for each in (batch, poisoned)]
        assert torch.isfinite(values[0])
        assert torch.equal(*values)


@pytest.mark.parametrize("step", [0, 3, 6, 9])
def test_only_what_guesses_gets_a_gradient(step):
    """And the code embeddings of this round alone: those of the others a gradient of zero."""
    encoder, objective = begun()
    loss = run(encoder, objective, make_batch(), step)
    loss.value.backward()
    assert all(p.grad is None for p in objective.snapshots.parameters())
    assert not any(buffer.requires_grad for buffer in objective.buffers())
    moved = [bool(part.any()) for part in objective.code_embeddings.grad.split(list(CONFIG.codes))]
    assert moved == [number == objective.round_at(at(step)) for number in range(3)]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("kind", ["fused", GRID])
@pytest.mark.parametrize("step", [3, 6])
def test_hidden_tokens_reach_a_guess_through_no_way(kind, step):
    encoder, objective = begun(kind)
    batch = make_batch()
    tokens = encoder.tokenize(batch)
    values = tokens.values.detach().requires_grad_(True)
    encoder.tokenize = lambda _batch: replace(tokens, values=values)
    draws = objective.draw(encoder, batch, KEY, at(step))
    loss = objective.loss(encoder, batch, draws=draws, progress=at(step))
    (gradient,) = torch.autograd.grad(loss.value, values)
    assert not gradient[draws.hidden].any()
    assert gradient[~draws.hidden].any()


def test_the_run_is_divided_by_its_progress_alone():
    objective = build_objective(CONFIG, make_encoder())
    assert [objective.round_at(at(step)) for step in range(TOTAL + 1)] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    fitted = [objective.fitted_at(at(step)) for step in range(TOTAL + 1)]
    assert fitted == [0, 0, 1, 1, None, None, 2, 2, None, None, None]
    long = build_objective(HuBERTConfig(codes=(2, 2), final_dimension=4), make_encoder())
    steps = [long.fitted_at(Progress(step=step, total_steps=1000)) for step in range(1000)]
    assert steps == [0] * 50 + [None] * 100 + [1] * 50 + [None] * 800
    # A share of less than an update is one.
    steps = [long.fitted_at(Progress(step=step, total_steps=9)) for step in range(9)]
    assert steps == [0, 1, None, None, None, None, None, None, None]


def new_state():
    encoder = make_encoder(layers=2)
    torch.manual_seed(1)
    objective = build_objective(CONFIG, encoder)
    optimizer = build_optimizer(AdamWConfig(learning_rate=1e-2), encoder, objective)
    return TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)


def updates(state):
    batch = make_batch()
    return fit(
        state,
        lambda step: [replace(batch, signal=batch.signal.roll(step, dims=2))],
        total_steps=TOTAL,
        schedule=Constant(),
    )


def values_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_codes_are_fitted_before_their_round_and_then_stand_still():
    state = new_state()
    objective = state.objective
    encoders, codes, copies = [values_of(state.encoder)], [], []
    for _ in updates(state):
        encoders.append(values_of(state.encoder))
        codes.append([book.vectors.clone() for book in objective.codebooks])
        copies.append([values_of(teacher.network) for teacher in objective.snapshots])
    moved = [
        [step + 1 for step in range(1, TOTAL) if not torch.equal(codes[step][k], codes[step - 1][k])]
        for k in range(3)
    ]
    assert moved == [[2], [3, 4], [7, 8]]  # and the first in update 1
    assert codes[0][0].any()
    # The copies are the encoder as it was when their codes began to be fitted, for good.
    assert all(same(copies[step][0], encoders[2]) for step in range(1, TOTAL))
    assert all(same(copies[step][1], encoders[6]) for step in range(5, TOTAL))


def test_stopped_in_any_part_of_a_round_it_goes_on_bit_equal():
    whole = new_state()
    saved = [copy.deepcopy((whole.encoder.state_dict(), whole.objective.state_dict()))]
    optimizers = [copy.deepcopy(whole.optimizer.state_dict())]
    for _ in updates(whole):
        saved.append(copy.deepcopy((whole.encoder.state_dict(), whole.objective.state_dict())))
        optimizers.append(copy.deepcopy(whole.optimizer.state_dict()))
    for step in (1, 3, 5, 7, 9):
        state = new_state()
        state.encoder.load_state_dict(saved[step][0])
        state.objective.load_state_dict(saved[step][1])
        state.optimizer.load_state_dict(optimizers[step])
        state.step = step
        for _ in updates(state):
            pass
        assert same(state.encoder.state_dict(), whole.encoder.state_dict())
        assert same(state.objective.state_dict(), whole.objective.state_dict())


def test_codes_are_as_precise_in_bfloat16():
    encoder, objective = begun()
    batch = make_batch()
    tokens = encoder.tokenize(batch)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            seen = signal_statistics(encoder, batch, tokens, window_s=0.2)
            found.append((seen, objective.codebooks[0].assign(seen.flatten(0, 1))))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_nothing_is_fitted_in_evaluation():
    encoder, objective = begun()
    objective.eval()
    run(encoder, objective, make_batch(), 0)
    assert not any(book.pending_counts.any() for book in objective.codebooks)
    objective.train()
    run(encoder, objective, make_batch(), 0)
    assert objective.codebooks[0].pending_counts.sum() == 8 * 50


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"codes": (5, 5, 5)},
            r"got codes \(5, 5, 5\) and round_starts \(0.2,\); give the codes of every round",
        ),
        ({"codes": (), "round_starts": ()}, r"got codes \(\) and round_starts \(\)"),
        ({"fitting_share": 0.15}, r"got round_starts \(0.2,\) and fitting_share 0.15; rounds must begin one"),
        ({"round_starts": (1.2,)}, r"got round_starts \(1.2,\) and fitting_share 0.05"),
        ({"fitting_share": 0.0}, "fitting_share 0; rounds must begin"),
        ({"temperature": 0.0}, "got temperature 0 and shown_weight 0; give a temperature above 0"),
        (
            {"shown_weight": -1.0},
            "shown_weight -1; give a temperature above 0 and a weight of at least",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        HuBERTConfig(**changes)
    HuBERTConfig(codes=(3, 3, 3), round_starts=(0.2, 0.3), fitting_share=0.1)
