"""HeartLang: codes of beats, which are learnt first and then guessed where beats are hidden."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_objective_contract import KEY, START, learn_codes, make_batch, make_encoder

from anylead.encoders import LeadTimeTransformerConfig, build_encoder
from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit
from anylead.engine.checkpoint import load_latest, save_checkpoint
from anylead.errors import ConfigError, LeadError
from anylead.leads import STANDARD_12
from anylead.nn.loss import Progress
from anylead.objectives import HeartLangConfig, build_objective
from anylead.objectives.heartlang import choose_hidden, code_loss, codebook_loss, means_under
from anylead.sources.synthesis.patient import draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record
from small_objectives import GRID, SMALL

LATER = Progress(step=50, total_steps=100)


def ecg_batch(leads=STANDARD_12, samples=2000, lengths=None):
    batch = make_batch(samples=samples, lengths=lengths)
    sessions = [draw_session(draw_patient(0, number), 1) for number in range(1, 9)]
    records = np.stack([make_record(s, duration_s=samples / 500.0) for s in sessions])
    batch = replace(batch, signal=torch.tensor(records * 0.001, dtype=torch.float32))
    return batch if leads == STANDARD_12 else batch.select(leads)


def make(kind="fused", *, learnt=True):
    encoder = make_encoder(kind)
    objective = build_objective(SMALL["heartlang"], encoder)
    if learnt:
        learn_codes(encoder, objective, ecg_batch())
    return encoder, objective


def hidden_loss(encoder, objective, batch):
    draws = objective.draw(encoder, batch, KEY, LATER)
    return draws, objective.loss(encoder, batch, draws=draws, progress=LATER)


def test_the_loss_of_codes_by_hand():
    logits = torch.tensor([[[math.log(3.0), 0.0], [0.0, 0.0], [7.0, 9.0]]], requires_grad=True)
    counted = torch.tensor([[True, True, False]])
    value, right = code_loss(logits, torch.tensor([[0, 1, 0]]), counted)
    assert value.item() == pytest.approx(math.log(4 / 3) + math.log(2))
    assert right.item() == 1
    value.backward()
    assert torch.allclose(logits.grad[0], torch.tensor([[-0.25, 0.25], [0.5, -0.5], [0.0, 0.0]]))


def test_the_loss_of_the_codebook_by_hand():
    drawn, latents, chosen = (torch.tensor(x, requires_grad=True) for x in (
        [[[1.0, 3.0], [5.0, 5.0]]], [[[1.0, 0.0], [0.0, 1.0]]], [[[0.0, 1.0], [1.0, 0.0]]]
    ))  # fmt: skip
    counted = torch.tensor([[True, False]])
    error, distance = codebook_loss(drawn, torch.zeros(1, 2, 2), latents, chosen, counted)
    assert (error.item(), distance.item()) == (5.0, 1.0)
    (error + distance).backward()
    assert drawn.grad.tolist() == [[[1, 3], [0, 0]]]
    assert latents.grad.tolist() == [[[1, -1], [0, 0]]]
    assert chosen.grad is None


def test_half_of_the_beats_that_exist_are_hidden_and_one_is_always_shown():
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(200, 3, 7, generator=generator)
    known = torch.rand(200, 3, 7, generator=generator) < torch.linspace(0, 1, 200)[:, None, None]
    hidden = choose_hidden(order, known, share=0.5)
    assert not (hidden & ~known).any()
    for number, chosen in zip(known.sum((1, 2)).tolist(), hidden.sum((1, 2)).tolist(), strict=True):
        assert chosen == (max(1, round(number / 2)) if number > 1 else 0)
    everyone = torch.ones(200, 3, 7, dtype=torch.bool)
    share = choose_hidden(order, everyone, share=0.5).float().mean(dim=0)
    assert 0.3 < share.min() <= share.max() < 0.7
    assert choose_hidden(order, everyone, share=0.99).sum((1, 2)).max() == 20


def test_means_are_of_the_tokens_under_a_beat():
    tokens = torch.arange(12.0).view(1, 2, 3, 2)
    under = torch.tensor([[[[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]]]).bool()
    assert means_under(tokens, under).tolist() == [[[[1, 2], [0, 0]], [[9, 10], [10, 11]]]]


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_the_loss_of_hidden_beats_equals_a_loop(kind):
    encoder, objective = make(kind)
    leads = ("V2", "I", "II")
    batch = ecg_batch(leads, lengths=[2000, 2000, 1500, 900, 2000, 700, 400, 100])
    mask = batch.lead_mask.clone()
    mask[1, 0] = mask[2, 1] = False
    batch = replace(batch, lead_mask=mask)
    draws, loss = hidden_loss(encoder, objective, batch)
    known_leads = [name for name in encoder.leads if name in leads]
    sentence = objective.sentence(encoder, batch)
    beats, tokens = sentence.beats, encoder.tokenize(batch)
    frames, step = tokens.frames or tokens.mask.shape[1], encoder.samples_per_token
    single = encoder.has_lead_tokens

    def covers(row, beat, frame):
        start, end = (5 * int(edge[row, beat]) for edge in (beats.start, beats.end))
        return any(start <= sample < end for sample in range(frame * step, (frame + 1) * step))

    hides, concealed = set(), torch.zeros_like(tokens.mask)
    for row in range(len(batch)):
        present = [place for place, name in enumerate(known_leads) if mask[row, leads.index(name)]]
        words = [
            (float(draws[row, lead, beat]), lead, beat)
            for lead in (present if single else [0])
            for beat in range(beats.valid.shape[1])
            if beats.valid[row, beat]
        ]
        number = min(len(words) - 1, max(1, round(len(words) / 2)))
        for _, lead, beat in sorted(words)[:number]:
            for frame in range(frames):
                concealed[row, lead * frames + frame] |= covers(row, beat, frame)
            hides |= {(row, one, beat) for one in ([lead] if single else present)}
    encoder.tokenize = lambda _batch: tokens
    features = encoder.contextualize(
        tokens, padded=True, hidden=concealed, hidden_embedding=objective.hidden_embedding
    )
    total, count = 0.0, 0
    most = beats.valid.shape[1]
    for row, lead, beat in hides:
        first = lead * frames if single else 0
        under = [first + f for f in range(frames) if covers(row, beat, f) and tokens.mask[row, first + f]]
        if not under:
            continue
        name = torch.tensor([[encoder.leads.index(known_leads[lead])]])
        shape = sentence.shapes[row, lead * most + beat][None, None]
        code = int(objective.words.codes(shape, name))
        logits = objective.guess(features.tokens[row, under].mean(0)[None, None], name)[0, 0]
        total += float((logits.logsumexp(0) - logits[code]).detach())
        count += 1
    assert count > 20
    assert int(loss.count) == count
    assert loss.value.item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_hidden_beats_reach_their_guess_through_no_way(kind):
    encoder, objective = make(kind)
    batch = ecg_batch()
    tokens = encoder.tokenize(batch)
    values = tokens.values.detach().requires_grad_(True)
    seen = {}
    plain = encoder.contextualize

    def contextualize(tokens, **how):
        seen.update(how)
        return plain(tokens, **how)

    encoder.tokenize = lambda _batch: replace(tokens, values=values)
    encoder.contextualize = contextualize
    _, loss = hidden_loss(encoder, objective, batch)
    loss.value.backward()
    hidden = seen["hidden"]
    assert 0.3 < hidden.float().mean() < 0.8
    assert not values.grad[hidden].any()
    assert values.grad[~hidden & tokens.mask].any()
    assert all(p.grad is None for p in objective.words.parameters())


def test_the_encoder_rests_while_codes_are_learnt_and_codes_get_no_gradient():
    encoder, objective = make()
    loss = objective.loss(encoder, ecg_batch(), draws=None, progress=START)
    loss.value.backward()
    assert all(p.grad is None for p in (*encoder.parameters(), *objective.guess.parameters()))
    assert all(p.grad is not None and p.grad.any() for p in objective.words.parameters())
    assert "words.codebook.vectors" in dict(objective.named_buffers())
    assert not any(b.requires_grad for b in objective.buffers())


def test_what_is_drawn_moves_the_latent_straight_through_the_code():
    encoder, objective = make()
    words = objective.words
    shapes = objective.sentence(encoder, ecg_batch()).shapes[:, :2]
    lead = torch.zeros(shapes.shape[:2], dtype=torch.int64)
    latents = words.latents(shapes, lead).detach().requires_grad_(True)
    chosen = words.vectors(words.assign(latents)).requires_grad_(True)
    straight = latents + (chosen - latents).detach()
    assert torch.allclose(straight, chosen)
    words.draw(straight, lead).square().sum().backward()
    through = latents.grad.clone()
    words.draw(chosen, lead).square().sum().backward()
    assert torch.allclose(through, chosen.grad, atol=1e-6)


@pytest.mark.parametrize("kind", ["fused", GRID])
def test_codes_that_are_guessed_are_those_the_codebook_was_taught_with(kind, monkeypatch):
    """Published code computes them without the indices that its codebook was trained with."""
    encoder, objective = make(kind)
    batch = ecg_batch()
    sentence = objective.sentence(encoder, batch)
    taught = []
    assign = objective.words.assign
    monkeypatch.setattr(
        objective.words, "assign", lambda latents: taught.append(assign(latents)) or taught[-1]
    )
    objective.loss(encoder, batch, draws=None, progress=START)
    draws, _ = hidden_loss(encoder, objective, batch)
    first, later = taught
    hidden = choose_hidden(
        draws, sentence.exist if encoder.has_lead_tokens else sentence.exist[:, :1], share=0.5
    )
    hidden = (hidden & sentence.exist).flatten(1)
    for row in range(len(batch)):
        assert later[row, : hidden[row].sum()].tolist() == first[row, hidden[row]].tolist()
    assert len(first[hidden].unique()) > 4
    # Leads go by their names, whatever the order of the columns; and which lead it is does matter.
    turned = batch.select(STANDARD_12[::-1])
    objective.loss(encoder, turned, draws=None, progress=START)
    assert torch.equal(taught[-1], first)
    assert not torch.equal(objective.words.codes(sentence.shapes, torch.zeros_like(sentence.lead)), first)


def test_rows_without_beats_fall_back_to_fixed_windows():
    encoder, objective = make()
    batch = ecg_batch()
    signal = batch.signal.clone()
    signal[:4] = 0.5
    _, loss = hidden_loss(encoder, objective, replace(batch, signal=signal))
    _, flat = hidden_loss(encoder, objective, replace(batch, signal=torch.full_like(signal, 0.5)))
    assert torch.isfinite(loss.value)
    # 4 s are 4.2 windows of 0.96 s, the last of them short; half of these 5, in 12 leads.
    assert int(flat.count) == 8 * 2 * 12
    flat.value.backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_a_beat_too_short_for_a_token_is_not_asked_for():
    torch.manual_seed(0)
    encoder = build_encoder(
        LeadTimeTransformerConfig(dimension=16, layers=1, heads=2, feedforward=16, patch_samples=700)
    )
    objective = build_objective(SMALL["heartlang"], encoder)
    _, loss = hidden_loss(encoder, objective, ecg_batch(lengths=[600] * 8))
    assert loss.count == 0
    assert loss.value == 0
    assert all(torch.isfinite(term) for term in loss.terms.values())


def test_a_batch_of_unknown_leads_is_told():
    encoder, objective = make(learnt=False)
    batch = make_batch(leads=("X", "Y"))
    with pytest.raises(LeadError, match="none of the leads X, Y is known; it knows I, II"):
        objective.loss(encoder, batch, draws=None, progress=START)


def training(batch, total_steps, **changes):
    torch.manual_seed(0)
    encoder = make_encoder()
    objective = build_objective(replace(SMALL["heartlang"], **changes), encoder)
    optimizer = build_optimizer(AdamWConfig(learning_rate=1e-3), encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)
    return state, fit(state, lambda step: [batch, batch], total_steps=total_steps, schedule=Constant())


def flat(state):
    return {
        f"{n}.{k}": v.clone()
        for n in ("encoder", "objective")
        for k, v in getattr(state, n).state_dict().items()
    }


def test_each_part_of_a_run_leaves_the_other_as_it_is():
    state, updates = training(ecg_batch(), 6, codebook_fraction=0.5)
    before = flat(state)
    moved = []
    for result in updates:
        after = flat(state)
        moved.append({k for k, v in after.items() if not torch.equal(v, before[k])})
        before = after
        assert math.isfinite(result.floats()["codes_in_use"])
    words = {k for k in before if k.startswith("objective.words.")}
    for step in (0, 1, 2):
        assert moved[step] <= words
        assert {"objective.words.codebook.vectors", "objective.words.enter.weight"} <= moved[step]
    for step in (3, 4, 5):
        assert not moved[step] & words
        assert any(name.startswith("encoder.") for name in moved[step])
    assert int((state.objective.words.codebook.sizes > 0).sum()) == 8


def test_a_run_goes_on_bit_equal_from_any_step(tmp_path):
    batch = ecg_batch(samples=1000)
    state, updates = training(batch, 4, codebook_fraction=0.5)
    for step, _ in enumerate(updates, start=1):
        save_checkpoint(state, tmp_path / str(step))
    whole = flat(state)
    for step in (1, 2, 3):
        resumed, updates = training(batch, 4, codebook_fraction=0.5)
        assert load_latest(resumed, tmp_path / str(step))
        assert resumed.step == step
        list(updates)
        again = flat(resumed)
        assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_codes_draw_beats_better_the_longer_they_are_learnt():
    batch = ecg_batch()
    encoder, objective = make(learnt=False)
    optimizer = torch.optim.AdamW(objective.words.parameters(), lr=3e-3)
    errors = []
    for _ in range(40):
        loss = objective.loss(encoder, batch, draws=None, progress=START)
        optimizer.zero_grad()
        (loss.value / loss.count).backward()
        optimizer.step()
        objective.after_step(encoder, Progress(step=1, total_steps=100))
        errors.append(float(loss.terms["beat_error"]))
    assert errors[-1] < 0.75 * errors[0]
    assert loss.terms["codes_in_use"] > 4


def test_evaluation_teaches_no_codes():
    encoder, objective = make(learnt=False)
    before = copy.deepcopy(objective.state_dict())
    objective.eval()
    objective.loss(encoder, ecg_batch(), draws=None, progress=START)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"codebook_fraction": 0.0}, "got codebook_fraction 0, hidden_share 0.5 and 8192 codes"),
        ({"hidden_share": 1.0}, "both shares must be above 0 and below 1"),
        ({"codes": 1}, "there must be at least 2 codes"),
    ],
)
def test_impossible_settings_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        HeartLangConfig(**changes)
