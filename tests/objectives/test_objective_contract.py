"""What every objective promises, for every member of the union."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import anylead.objectives
from anylead.batch import Batch
from anylead.encoders import (
    ConvTransformer,
    ConvTransformerConfig,
    LeadTimeTransformerConfig,
    PatchTransformerConfig,
    ResNet1dConfig,
    S4Config,
    build_encoder,
)
from anylead.errors import ConfigError, LeadError
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Progress
from anylead.nn.spread import deviation, effective_rank
from anylead.objectives import OBJECTIVES, CLOCSConfig, SimCLRConfig, W2VCMSCConfig, build_objective
from small_objectives import CAUSAL, GRID, ON_LEAD_TOKENS, SMALL

KEY = DrawKey(seed=0, step=0)
START = Progress(step=0, total_steps=100)


def encoder_of(name):
    return GRID if name in ON_LEAD_TOKENS else "causal" if name in CAUSAL else "fused"


PIECES = {
    "base",
    "hidden_tokens",
    "latent_targets",
    "lead_views",
    "masked_contrast",
    "signal_statistics",
    "signal_targets",
    "view_contrast",
}
"""Files that hold losses, draws or the contract rather than an objective of their own."""
CASES = {name: (config, encoder_of(name)) for name, config in SMALL.items()} | {
    "adversarial_masking, two masks": (replace(SMALL["adversarial_masking"], masks=2), "fused"),
    "adversarial_masking, lead tokens": (SMALL["adversarial_masking"], GRID),
    "adversarial_masking, resnet1d": (SMALL["adversarial_masking"], "resnet1d"),
    "adversarial_masking, s4": (SMALL["adversarial_masking"], "s4"),
    "w2v_cmsc, hidden frames left out": (replace(SMALL["w2v_cmsc"], predictor_layers=1), "fused"),
    "clocs, cmlc": (CLOCSConfig(views="cmlc"), "fused"),
    "clocs, cmsc": (CLOCSConfig(views="cmsc"), "fused"),
    "simclr, projector": (SimCLRConfig(projector=(16, 8)), GRID),
    "vicreg, person": (replace(SMALL["vicreg"], views="person"), "fused"),
    "masked_time, lead tokens": (SMALL["masked_time"], GRID),
    "masked_lead, lead tokens": (SMALL["masked_lead"], GRID),
    "jepa_time, lead tokens": (SMALL["jepa_time"], GRID),
    "jepa_time, resnet1d": (SMALL["jepa_time"], "resnet1d"),
    "jepa_time, patch_transformer": (SMALL["jepa_time"], "patch_transformer"),
    "jepa_time, s4": (SMALL["jepa_time"], "s4"),
    "data2vec, resnet1d": (SMALL["data2vec"], "resnet1d"),
    "masked_time, patch_transformer": (SMALL["masked_time"], "patch_transformer"),
    "heartlang, hidden beats": (SMALL["heartlang"], "fused"),
    "heartlang, hidden beats, lead tokens": (SMALL["heartlang"], GRID),
    "hubert, lead tokens": (SMALL["hubert"], GRID),
    "hubert, resnet1d": (SMALL["hubert"], "resnet1d"),
    "hubert, shown tokens too": (replace(SMALL["hubert"], shown_weight=0.5), "s4"),
    "masked_time, resnet1d": (SMALL["masked_time"], "resnet1d"),
}
"""Every member of the union, and settings and encoders that change how one computes."""
SLOW = {
    "data2vec",
    "data2vec, resnet1d",
    "masked_lead",
    "masked_lead, lead tokens",
    "w2v",
    "w2v_cmsc",
    "w2v_cmsc, hidden frames left out",
}
"""Whose targets move, or of whose loss little can be learnt of noise in so few steps."""
HIDDEN_BEATS = {"heartlang, hidden beats", "heartlang, hidden beats, lead tokens"}
"""The second part of a run, with codes that the first part has learnt."""
RESTING = {
    "heartlang": ("encoder.", "objective.hidden_embedding", "objective.guess."),
    **{case: ("objective.words.",) for case in HIDDEN_BEATS},
}
"""Weights that have no gradient: those of a teacher, and of the other part of a run."""
NEEDS_TWO_LEADS = {"clocs", "clocs, cmlc", "crlc", "masked_lead", "masked_lead, lead tokens"}
QUIET = {"dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0}


def make_encoder(kind="fused", **changes):
    torch.manual_seed(0)
    if kind == "resnet1d":
        return build_encoder(
            ResNet1dConfig(stem_channels=8, stage_channels=(16, 32), dilations=(1,), norm_groups=4)
        )
    if kind == "patch_transformer":
        sizes = {"dimension": 32, "layers": 1, "heads": 4, "feedforward": 64}
        return build_encoder(PatchTransformerConfig(**sizes, **changes))
    if kind in ("s4", "causal"):
        sizes = {"dimension": 32, "layers": 1, "state": 4, "stride": 20, "dropout": 0.0}
        return build_encoder(S4Config(**sizes, causal=kind == "causal"))
    sizes = {"dimension": 32, "layers": 1, "heads": 4, "feedforward": 64}
    if kind == GRID:
        return build_encoder(
            LeadTimeTransformerConfig(**{**sizes, "patch_samples": 80, "dropout": 0.0, **changes})
        )
    sizes |= {"conv_channels": 16, "position_kernel": 16, **QUIET}
    return ConvTransformer(ConvTransformerConfig(**{**sizes, **changes}))


def make_batch(pairs=4, samples=800, leads=STANDARD_12, dtype=torch.float32, lengths=None):
    rows = 2 * pairs
    generator = torch.Generator().manual_seed(0)
    padded = lengths is not None
    lengths = torch.full((rows,), samples) if lengths is None else torch.tensor(lengths)
    # Waves of a rate, a phase and amplitudes of the row's own: what is hidden follows from what is shown.
    rate, phase = (torch.rand(rows, 1, 1, generator=generator) for _ in range(2))
    amplitude = torch.randn(rows, len(leads), 1, generator=generator)
    time = torch.arange(samples) / 500.0
    waves = amplitude * torch.sin(2 * math.pi * ((2.0 + 6.0 * rate) * time + phase))
    noise = 0.1 * torch.randn(rows, len(leads), samples, generator=generator)
    return Batch(
        signal=(waves + noise).to(dtype),
        lead_mask=torch.ones(rows, len(leads), dtype=torch.bool),
        sample_mask=torch.arange(samples) < lengths[:, None],
        leads=leads,
        sampling_rate_hz=500.0,
        padded=padded,
        row=torch.arange(rows),
        patient=torch.arange(pairs).repeat_interleave(2),
        segment=torch.tensor([0, 1]).repeat(pairs),
    )


@pytest.fixture(params=sorted(CASES))
def case(request):
    return request.param


@pytest.fixture
def parts(case):
    config, kind = CASES[case]
    encoder = make_encoder(kind)
    objective = build_objective(config, encoder)
    if case in HIDDEN_BEATS:
        learn_codes(encoder, objective)
        objective.learns_codebook = lambda step, total_steps: False
    return encoder, objective


def learn_codes(encoder, objective, batch=None):
    """Lets codes be found among beats, the networks being as they are."""
    batch = make_batch() if batch is None else batch
    for _ in range(5):
        objective.loss(encoder, batch, draws=None, progress=START)
        objective.after_step(encoder, Progress(step=1, total_steps=100))


def run(encoder, objective, batch, key=KEY):
    draws = objective.draw(encoder, batch, key, START)
    return objective.loss(encoder, batch, draws=draws, progress=START)


def test_every_objective_file_is_in_the_union():
    folder = Path(anylead.objectives.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"} - PIECES
    assert files == {cls.__module__.rsplit(".", 1)[1] for _, cls in OBJECTIVES.values()}
    assert set(SMALL) == set(OBJECTIVES)


def test_the_same_draws_give_the_same_loss(parts):
    encoder, objective = parts
    batch = make_batch()
    draws = objective.draw(encoder, batch, KEY, START)
    a, b = (objective.loss(encoder, batch, draws=draws, progress=START).value for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(a, run(encoder, objective, batch).value)
    if draws is not None:
        assert not torch.equal(a, run(encoder, objective, batch, replace(KEY, step=1)).value)


def test_every_parameter_learns(case, parts):
    encoder, objective = parts
    loss = run(encoder, objective, make_batch())
    loss.value.backward()
    assert float(loss.count) > 0
    assert all(torch.isfinite(term) for term in loss.terms.values())
    resting = RESTING.get(case, ("objective.teacher.", "objective.snapshots."))
    for part, module in (("encoder", encoder), ("objective", objective)):
        for name, parameter in module.named_parameters(prefix=part):
            assert (parameter.grad is None) == name.startswith(resting), name
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("leads", [("II",), ("I", "V2", "II")])
def test_works_on_few_leads_or_says_what_it_needs(case, parts, leads):
    encoder, objective = parts
    if len(leads) == 1 and (case in NEEDS_TWO_LEADS or case == "threekg"):
        needs = "three directions" if case == "threekg" else "at least two of them, and the batch has II only"
        with pytest.raises(LeadError, match=needs):
            run(encoder, objective, make_batch(leads=leads))
        return
    assert torch.isfinite(run(encoder, objective, make_batch(leads=leads)).value)


def test_rows_with_one_lead_among_others_do_no_harm(parts):
    encoder, objective = parts
    batch = make_batch()
    mask = batch.lead_mask.clone()
    mask[2] = torch.arange(12) == 1
    loss = run(encoder, objective, replace(batch, lead_mask=mask))
    loss.value.backward()
    assert torch.isfinite(loss.value)
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_says_what_the_encoder_makes_of_each_row(parts):
    encoder, objective = parts
    batch = make_batch()
    loss = run(encoder, objective, batch)
    assert loss.pooled.shape == (len(batch), encoder.dimension)
    assert not loss.pooled.requires_grad


def test_teachers_follow_and_are_not_trained(parts):
    encoder, objective = parts
    if not hasattr(objective, "teacher"):
        pytest.skip("it has no teacher")
    assert not any(p.requires_grad for p in objective.teacher.parameters())
    assert not objective.train().teacher.network.training
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in objective.teacher.parameters()]
    objective.after_step(encoder, Progress(step=1, total_steps=100))
    moved = [(b - a).abs().max().item() for a, b in zip(before, objective.teacher.parameters(), strict=True)]
    assert 0.0 < max(moved) < 0.1


def test_works_on_ragged_lengths_and_ignores_padding(parts):
    encoder, objective = parts
    batch = make_batch(lengths=[800, 800, 500, 400, 800, 300, 200, 160])
    poisoned = replace(batch, signal=torch.where(batch.sample_mask[:, None], batch.signal, float("nan")))
    value = run(encoder, objective, batch).value
    assert torch.isfinite(value)
    assert torch.equal(value, run(encoder, objective, poisoned).value)


def test_a_step_never_waits_for_the_device(parts):
    """`.item()` and everything like it raises on fake tensors."""
    encoder, objective = parts
    trained = [p for p in (*encoder.parameters(), *objective.parameters()) if p.requires_grad]
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss = run(encoder, objective, replace(make_batch(), padded=True))
        gradients = torch.autograd.grad(loss.value, trained, allow_unused=True)
        assert isinstance(loss.value, FakeTensor)
        assert all(isinstance(gradient, FakeTensor) for gradient in gradients if gradient is not None)


def test_overfits_sixteen_segments_and_does_not_collapse(case, parts):
    encoder, objective = parts
    batch = make_batch(pairs=8)
    trained = [p for p in (*encoder.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    draws = objective.draw(encoder, batch, KEY, START)
    values = []
    for step in range(60):
        loss = objective.loss(encoder, batch, draws=draws, progress=START)
        optimizer.zero_grad()
        (loss.value / loss.count).backward()
        optimizer.step()
        objective.after_step(encoder, Progress(step=step + 1, total_steps=60))
        values.append(float(loss.value.detach() / loss.count))
    assert values[-1] < (0.98 if case in SLOW else 0.9) * values[0]
    # Collapsed rows are all the same: a deviation of 1e-4 or less.
    assert effective_rank(loss.pooled) > 1.2
    assert deviation(loss.pooled) > 0.01


def test_fused_tokens_and_tokens_of_leads_are_told_apart():
    for name in ON_LEAD_TOKENS:
        with pytest.raises(ConfigError, match="the encoder fuses all leads in its tokens; use lead_time_tr"):
            build_objective(SMALL[name], make_encoder())
    with pytest.raises(ConfigError, match="contexts hold it already; use an encoder that sees the past only"):
        build_objective(SMALL["cpc"], make_encoder())
    for name in ("w2v", "w2v_cmsc"):
        with pytest.raises(ConfigError, match="tokens of single leads, which show them through other leads"):
            build_objective(SMALL[name], make_encoder(GRID))


def test_reference_mode_thins_and_counts_padding():
    encoder = make_encoder(reference=True)
    objective = build_objective(SMALL["w2v_cmsc"], encoder)
    batch = make_batch(lengths=[800, 800, 500, 400, 800, 300, 200, 160])
    draws = objective.draw(encoder, batch, KEY, START)
    counts = draws.hidden.mask.sum(1)
    assert (counts == counts[0]).all()  # one short row drags the whole batch down
    assert counts[0] <= 10
    ours = build_objective(SMALL["w2v_cmsc"], make_encoder())
    free = ours.draw(make_encoder(), batch, KEY, START).hidden.mask.sum(1)
    assert free[0] == round(50 * 55 / 156)


def test_temperature_falls_to_its_floor():
    objective = build_objective(W2VCMSCConfig(entries=8, final_dimension=16), make_encoder())
    at = lambda k: objective.gumbel_temperature(Progress(step=k, total_steps=1))  # noqa: E731
    assert at(0) == 2.0
    assert at(100_000) == pytest.approx(2.0 * 0.999995**100_000)
    assert at(277_000) > 0.5
    assert at(277_300) == 0.5
