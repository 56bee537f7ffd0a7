"""What every objective promises, for every member of the union."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import anylead.objectives
from anylead.batch import Batch
from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Progress
from anylead.objectives import OBJECTIVES, W2VCMSCConfig, build_objective

KEY = DrawKey(seed=0, step=0)
START = Progress(step=0, total_steps=100)
PIECES = {"base", "cmsc", "w2v"}
"""Files that hold losses or the contract rather than an objective of their own."""
SMALL = {"w2v_cmsc": W2VCMSCConfig(entries=8, final_dimension=16, negatives=10, feature_dropout=0.0)}
CASES = SMALL | {"w2v_cmsc, hidden frames left out": replace(SMALL["w2v_cmsc"], predictor_layers=1)}
QUIET = {"dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0}


def make_encoder(**changes):
    torch.manual_seed(0)
    sizes = {"conv_channels": 16, "dimension": 32, "layers": 1, "heads": 4, "feedforward": 64}
    return ConvTransformer(ConvTransformerConfig(**{**sizes, "position_kernel": 16, **QUIET, **changes}))


def make_batch(pairs=4, samples=800, leads=STANDARD_12, dtype=torch.float32, lengths=None):
    rows = 2 * pairs
    generator = torch.Generator().manual_seed(0)
    padded = lengths is not None
    lengths = torch.full((rows,), samples) if lengths is None else torch.tensor(lengths)
    return Batch(
        signal=torch.randn(rows, len(leads), samples, generator=generator).to(dtype),
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
def parts(request):
    encoder = make_encoder()
    return encoder, build_objective(CASES[request.param], encoder)


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
    assert not torch.equal(a, run(encoder, objective, batch, replace(KEY, step=1)).value)


def test_every_parameter_learns(parts):
    encoder, objective = parts
    loss = run(encoder, objective, make_batch())
    loss.value.backward()
    assert float(loss.count) > 0
    assert all(torch.isfinite(term) for term in loss.terms.values())
    for name, parameter in [*encoder.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("leads", [("II",), ("I", "V2", "II")])
def test_works_on_few_leads(parts, leads):
    encoder, objective = parts
    assert torch.isfinite(run(encoder, objective, make_batch(leads=leads)).value)


def test_works_on_ragged_lengths_and_ignores_padding(parts):
    encoder, objective = parts
    batch = make_batch(lengths=[800, 800, 500, 400, 800, 300, 200, 160])
    poisoned = replace(batch, signal=torch.where(batch.sample_mask[:, None], batch.signal, float("nan")))
    value = run(encoder, objective, batch).value
    assert torch.isfinite(value)
    assert torch.equal(value, run(encoder, objective, poisoned).value)


def test_a_step_never_waits_for_the_device(parts):
    """`.item()` and everything like it raises on fake tensors."""
    _, objective = parts
    with FakeTensorMode():
        encoder = make_encoder(dropout=0.1)
        built = build_objective(objective.config, encoder)
        batch = make_batch()
        loss = run(encoder, built, replace(batch, padded=True))
        loss.value.backward()
        assert loss.value.shape == ()


def test_overfits_sixteen_segments(parts):
    encoder, objective = parts
    batch = make_batch(pairs=8)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()], lr=3e-3)
    losses = []
    for _ in range(40):
        loss = run(encoder, objective, batch)
        optimizer.zero_grad()
        (loss.value / loss.count).backward()
        optimizer.step()
        losses.append({k: float(v) for k, v in loss.terms.items()})
    if "contrast" in losses[0]:
        assert losses[-1]["contrast"] < losses[0]["contrast"] - 0.1
    if "cmsc" in losses[0]:
        assert losses[-1]["cmsc"] < 0.5 * losses[0]["cmsc"]
        assert losses[-1]["cmsc_accuracy"] == 1.0


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
