"""What is hidden, what is predicted and what an error is, for objectives that predict signals and latents."""

from dataclasses import replace

import pytest
import torch
from test_objective_contract import KEY, START, make_batch, make_encoder

from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.nn.loss import Progress
from anylead.nn.teacher import Teacher
from anylead.objectives import CPCConfig, build_objective
from anylead.objectives.cpc import future_loss
from anylead.objectives.hidden_tokens import (
    draw_hidden_in_each_lead,
    draw_hidden_times,
    fold_leads,
    longest_share,
    places_by_lead,
)
from anylead.objectives.latent_targets import last_layers, linear_decay, token_error
from anylead.objectives.lead_views import draw_single_leads, draw_two_sets
from anylead.objectives.signal_targets import Patches, patches_of, squared_error, standardized, without_level
from small_objectives import GRID, SMALL


@pytest.mark.parametrize("kind", ["fused", GRID, "resnet1d", "s4"])
def test_a_patch_holds_the_samples_of_its_token(kind):
    encoder, batch = make_encoder(kind), make_batch(leads=("II", "V2", "I"), samples=810)
    patches = patches_of(encoder, batch, encoder.tokenize(batch))
    step = encoder.samples_per_token
    if kind == GRID:  # in the encoder's order of leads: I, II, V2
        assert torch.equal(patches.values[:, 10 + 3], batch.signal[:, 0, 3 * step : 4 * step])
        assert patches.present.all()
        return
    token = patches.values[:, 3].view(len(batch), 12, step)
    assert torch.equal(token[:, STANDARD_12.index("V2")], batch.signal[:, 1, 3 * step : 4 * step])
    assert not token[:, STANDARD_12.index("V6")].any()
    assert patches.present[0, 3].view(12, step)[:, 0].tolist() == [n in batch.leads for n in STANDARD_12]


def test_levels_and_scales_are_taken_off_each_lead_of_each_patch():
    values = torch.tensor([[[1.0, 3.0, 10.0, 10.0], [5.0, 0.0, -2.0, 2.0]]])
    present = torch.tensor([[[1, 1, 1, 1], [1, 0, 1, 1]]]).bool()
    patches = Patches(values=values, present=present)
    assert without_level(patches, 2).values.tolist() == [[[-1, 1, 0, 0], [0, 0, -2, 2]]]
    found = standardized(patches, 2).values
    assert torch.allclose(found, torch.tensor([[[-1.0, 1, 0, 0], [0, 0, -1, 1]]]), atol=1e-3)


def test_the_error_counts_hidden_samples_that_were_recorded():
    values = torch.zeros(1, 2, 3)
    present = torch.tensor([[[1, 1, 0], [1, 1, 1]]]).bool()
    guess = torch.tensor([[[2.0, 1.0, 9.0], [7.0, 7.0, 7.0]]], requires_grad=True)
    hidden = torch.tensor([[True, False]])
    value, count = squared_error(guess, Patches(values=values, present=present), hidden)
    assert (value.item(), count.item()) == (5.0, 2.0)
    value.backward()
    assert guess.grad.tolist() == [[[4, 2, 0], [0, 0, 0]]]


def test_an_error_of_tokens_by_hand():
    guess, target = torch.tensor([[[0.5, 3.0], [9.0, 9.0]]]), torch.zeros(1, 2, 2)
    counted = torch.tensor([[True, False]])
    assert token_error(guess, target, counted, smooth_below=0.0)[0].item() == pytest.approx(1.75)
    assert token_error(guess, target, counted, smooth_below=1.0)[0].item() == pytest.approx((0.125 + 2.5) / 2)


def test_times_are_hidden_in_all_leads_alike():
    encoder, batch = make_encoder(GRID), make_batch(leads=("I", "V2"))
    hidden = draw_hidden_times(encoder, batch, KEY, share=0.65, span=1).view(8, 2, 10)
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert (hidden[:, 0].sum(1) == longest_share(10, 0.65)).all()
    assert not torch.equal(hidden[0], hidden[1])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.35, 0.49, 0.5, 0.65, 0.75, 0.8, 0.85])
def test_rows_without_padding_hide_what_longest_share_says(share):
    encoder = make_encoder()
    for samples in (160, 816, 1000, 2500):
        batch = make_batch(pairs=1, samples=samples)
        hidden = draw_hidden_times(encoder, batch, KEY, share=share, span=3)
        assert (hidden.sum(1) == longest_share(hidden.shape[1], share)).all()


def test_each_lead_hides_tokens_of_its_own_and_they_fold_into_rows():
    encoder, batch = make_encoder(GRID), make_batch(leads=("I", "II", "V2"))
    mask = batch.lead_mask.clone()
    mask[0, 1] = False
    batch = replace(batch, lead_mask=mask)
    hidden = draw_hidden_in_each_lead(encoder, batch, KEY, share=0.7)
    assert (hidden.view(8, 3, 10).sum(2) == 7).all()
    assert not torch.equal(hidden.view(8, 3, 10)[:, 0], hidden.view(8, 3, 10)[:, 1])
    shown = places_by_lead(hidden, encoder.token_mask(batch), 9)
    assert shown.index.shape == (8, 9)
    assert shown.valid.view(8, 3, 3)[0].tolist() == [[True] * 3, [False] * 3, [True] * 3]
    folded = fold_leads(shown, 3, 10)
    assert folded.index.shape == (24, 3)
    assert folded.index.max() < 10


def test_st_mem_decodes_a_lead_from_its_own_tokens():
    encoder = make_encoder(GRID, layers=0 + 1)
    objective = build_objective(SMALL["st_mem"], encoder)
    batch = make_batch(leads=("I", "V2"))
    draws = objective.draw(encoder, batch, KEY, START)
    # An encoder that lets leads see nothing of each other: then nothing of V2 can reach what is drawn of I.
    alone = make_encoder(GRID, attention="within_lead")
    alone.load_state_dict(encoder.state_dict())
    only_first = replace(batch, lead_mask=torch.tensor([[True, False]] * 8))
    whole = replace(batch, signal=batch.signal.clone().requires_grad_(True))
    value = objective.loss(alone, replace(whole, lead_mask=only_first.lead_mask), draws=draws, progress=START)
    value.value.backward()
    assert whole.signal.grad[:, 0].any()
    assert not whole.signal.grad[:, 1].any()


@pytest.mark.parametrize(
    ("name", "kind"), [("jepa_time", "fused"), ("jepa_grid", GRID), ("masked_time", GRID)]
)
def test_hidden_tokens_reach_the_prediction_through_no_way(name, kind):
    """The error's gradient on a hidden patch comes from its target alone, and a teacher lets none through."""
    encoder = make_encoder(kind)
    objective = build_objective(SMALL[name], encoder)
    batch = make_batch()
    draws = objective.draw(encoder, batch, KEY, START)
    tokens = encoder.tokenize(batch)
    values = tokens.values.detach().requires_grad_(True)
    encoder.tokenize = lambda _batch: replace(tokens, values=values)
    loss = objective.loss(encoder, batch, draws=draws, progress=START)
    (gradient,) = torch.autograd.grad(loss.value, values)
    assert not gradient[draws].any()
    assert gradient[~draws].any()


def test_data2vec_targets_are_standardised_means_of_the_last_layers():
    encoder = make_encoder(layers=3).eval()
    batch = make_batch()
    layers = [encoder(batch, layer=k).tokens.double() for k in (2, 3)]
    standard = [
        (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt() for x in layers
    ]
    assert torch.allclose(last_layers(encoder, batch, 2).double(), sum(standard) / 2, atol=1e-4)
    assert not any(block._forward_hooks for block in encoder.blocks)


def test_a_teacher_is_an_average_of_weights():
    student = torch.nn.Linear(2, 2)
    teacher = Teacher(student)
    before = student.weight.detach().clone()
    with torch.no_grad():
        student.weight.add_(1.0)
    teacher.follow(student, 0.75)
    assert torch.allclose(teacher.network.weight, before + 0.25)
    assert linear_decay(0.9, 1.0, 0.5) == pytest.approx(0.95)


def test_masked_lead_hides_whole_leads_and_shows_at_least_one():
    encoder, batch = make_encoder(), make_batch(leads=("I", "II", "V2"))
    objective = build_objective(SMALL["masked_lead"], encoder)
    hidden = objective.draw(encoder, batch, KEY, START)
    assert set(hidden.sum(1).tolist()) <= {1, 2}
    seen = replace(batch, signal=batch.signal.clone())
    seen.signal[hidden] += 5.0
    tokens = [encoder(replace(b, lead_mask=b.lead_mask & ~hidden)).tokens for b in (batch, seen)]
    assert torch.equal(*tokens)
    assert objective.after_step(encoder, Progress(step=1, total_steps=2)) is None


def test_two_sets_of_leads_share_none_and_are_never_empty():
    batch = make_batch(pairs=200)
    mask = batch.lead_mask.clone()
    mask[:100, 3:] = False
    mask[0] = torch.arange(12) == 4
    first, second = draw_two_sets(replace(batch, lead_mask=mask), KEY)
    assert torch.equal((first | second), mask)
    assert not (first & second)[1:].any()
    assert first.any(1).all()
    assert second.any(1).all()
    assert torch.equal(first[0], second[0])
    sizes = first[100:].sum(1)
    assert (sizes.min(), sizes.max()) == (1, 11)


def test_two_single_leads_differ_where_there_are_two():
    batch = make_batch(pairs=50)
    mask = batch.lead_mask.clone()
    mask[0] = torch.arange(12) == 4
    batch = replace(batch, lead_mask=mask)
    first, second = draw_single_leads(batch, KEY, together=False)
    assert (first.sum(1) == 1).all()
    assert (second.sum(1) == 1).all()
    assert not (first & second)[1:].any()
    assert torch.equal(first[0], second[0])
    first, _ = draw_single_leads(batch, KEY, together=True)
    assert torch.equal(first[2::2], first[3::2])


def test_cpc_equals_a_loop():
    generator = torch.Generator().manual_seed(0)
    guess, future = (torch.randn(2, 5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    negatives = torch.randint(0, 5, (2, 5, 4), generator=generator)
    valid = torch.tensor([[True] * 5, [True, True, True, False, False]])
    for normalize in (False, True):
        value, _ = future_loss(guess, future, negatives, valid, normalize=normalize, temperature=0.5)
        total = 0.0
        for row, place in valid.nonzero().tolist():
            others = [place, *negatives[row, place].tolist()]
            vectors = future[row, others]
            if normalize:
                cosine = torch.nn.functional.cosine_similarity(guess[row, place][None], vectors, dim=1)
                logits = cosine / 0.5
            else:
                logits = vectors @ guess[row, place]
            total += float(logits.logsumexp(0) - logits[0])
        assert value.item() == pytest.approx(total)


def test_cpc_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="got steps_ahead 0, negatives 128 and temperature"):
        CPCConfig(steps_ahead=0)
