import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import anylead.heads
from anylead.batch import Batch
from anylead.encoders import ConvTransformer, ConvTransformerConfig, Readout
from anylead.errors import ConfigError, InputError
from anylead.heads import (
    HEADS,
    ArcFaceConfig,
    ArcFaceHead,
    AttentiveConfig,
    AttentiveHead,
    ClassificationHead,
    HeadConfig,
    build_head,
    head_kind,
)
from anylead.heads.arcface import arcface_loss, margin_logits
from anylead.heads.classification import multilabel_loss
from anylead.leads import STANDARD_12
from anylead.nn.loss import Progress

START = Progress(step=0, total_steps=1)
CONFIGS = {
    "linear": HeadConfig(classes=("a", "b", "c")),
    "attentive": AttentiveConfig(classes=("a", "b", "c")),
    "arcface": ArcFaceConfig(classes=("p", "q", "r")),
}
PIECES = {"base", "classification"}
"""Files that hold what heads have in common rather than a head."""


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ConvTransformer(
        ConvTransformerConfig(
            conv_channels=16, dimension=32, layers=2, heads=4, feedforward=64, position_kernel=16
        )
    ).eval()


def make_batch(rows=4, samples=320):
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        signal=torch.randn(rows, 12, samples, generator=torch.Generator().manual_seed(0)),
        lead_mask=torch.ones(rows, 12, dtype=torch.bool),
        sample_mask=torch.ones(rows, samples, dtype=torch.bool),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        padded=False,
        row=torch.arange(rows),
        patient=zeros,
        segment=zeros,
        target=torch.tensor([[1.0, 0.0, 1.0]] * rows),
        identity=torch.arange(rows) % 3,
    )


def test_every_head_file_is_in_the_union():
    files = {path.stem for path in Path(anylead.heads.__file__).parent.glob("*.py")} - {"__init__"} - PIECES
    assert files == {cls.__module__.rsplit(".", 1)[1] for _, cls in HEADS.values()}
    assert set(CONFIGS) == set(HEADS)


@pytest.mark.parametrize("kind", sorted(HEADS))
@pytest.mark.parametrize("pooling", ["mean", "mean_std", "mean_std_max"])
def test_every_head_reads_what_it_is_told_and_learns(kind, pooling, encoder):
    if kind == "attentive" and pooling != "mean":
        with pytest.raises(
            ConfigError, match=f"got pooling {pooling}; it pools by attention: leave pooling at"
        ):
            replace(CONFIGS[kind], readout=Readout(pooling=pooling))
        return
    config = replace(CONFIGS[kind], readout=Readout(layer=1, pooling=pooling))
    head = build_head(kind, config, encoder)
    assert head_kind(head) == kind
    assert head(encoder, make_batch()).shape == (4, 3)
    loss = head.loss(encoder, make_batch(), draws=None, progress=START)
    loss.value.backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    # The layer that is not read gets no gradient.
    assert encoder.blocks[0].expand.weight.grad is not None
    assert encoder.blocks[1].expand.weight.grad is None


def test_multilabel_loss_by_hand_and_without_unknown_targets():
    logits = torch.tensor([[0.0, math.log(3)], [2.0, -1.0]])
    target = torch.tensor([[1.0, 0.0], [float("nan"), float("nan")]])
    loss = multilabel_loss(logits, target)
    assert loss.value.item() == pytest.approx(math.log(2) + math.log(4))
    assert loss.count.item() == 2


def test_unknown_targets_are_as_if_they_were_not_there():
    torch.manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64)
    target = (torch.rand(6, 5) < 0.5).float()
    known = torch.rand(6, 5) < 0.6
    target[~known] = float("nan")
    given = logits.clone().requires_grad_()
    loss = multilabel_loss(given, target)
    loss.value.backward()
    value, gradient = 0.0, torch.zeros_like(logits)
    for row, column in known.nonzero().tolist():
        logit, aim = logits[row, column].item(), target[row, column].item()
        value += math.log1p(math.exp(logit)) - aim * logit
        gradient[row, column] = 1 / (1 + math.exp(-logit)) - aim
    assert loss.value.item() == pytest.approx(value)
    assert loss.count.item() == known.sum().item()
    assert torch.allclose(given.grad, gradient)
    for poison in (1e6, -1e6, float("inf"), float("nan")):
        poisoned = torch.where(known, logits, poison).requires_grad_()
        again = multilabel_loss(poisoned, target)
        again.value.backward()
        assert torch.equal(again.value, loss.value)
        assert torch.equal(poisoned.grad, given.grad)
    parts = [logits[rows].clone().requires_grad_() for rows in (slice(0, 4), slice(4, 6))]
    losses = [multilabel_loss(part, aim) for part, aim in zip(parts, (target[:4], target[4:]), strict=True)]
    torch.stack([one.value for one in losses]).sum().backward()
    assert sum(one.value.item() for one in losses) == pytest.approx(value)
    assert sum(one.count.item() for one in losses) == known.sum().item()
    assert torch.equal(torch.cat([part.grad for part in parts]), given.grad)


@pytest.mark.parametrize("kind", ["linear", "attentive"])
def test_probabilities_are_the_logits_sigmoid(kind, encoder):
    head = build_head(kind, CONFIGS[kind], encoder)
    assert isinstance(head, ClassificationHead)
    batch = make_batch()
    assert torch.allclose(head.probabilities(encoder, batch), torch.sigmoid(head(encoder, batch)))


def test_margin_by_hand():
    cosine = torch.tensor([[0.5, 0.2], [-0.99, 0.3]])
    logits = margin_logits(cosine, torch.tensor([0, 0]), scale=10.0, margin=0.5)
    assert logits[0, 0].item() == pytest.approx(10 * math.cos(math.acos(0.5) + 0.5), rel=1e-5)
    assert logits[0, 1].item() == pytest.approx(2.0)
    assert logits[1, 0].item() == pytest.approx(10 * (-0.99 - 0.5 * math.sin(0.5)), rel=1e-5)


def test_arcface_without_margin_is_a_scaled_softmax():
    cosine = torch.rand(5, 4) * 2 - 1
    identity = torch.tensor([0, 1, 2, 3, 0])
    expected = torch.nn.functional.cross_entropy(7 * cosine, identity, reduction="sum")
    assert arcface_loss(cosine, identity, scale=7.0, margin=0.0).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_arcface_gradient_is_finite_at_a_perfect_match():
    cosine = torch.tensor([[1.0, 0.0]], requires_grad=True)
    arcface_loss(cosine, torch.tensor([0]), scale=32.0, margin=0.5).backward()
    assert torch.isfinite(cosine.grad).all()


def test_identity_embeddings_have_length_one(encoder):
    head = ArcFaceHead(CONFIGS["arcface"], encoder)
    embedding = head.embed(encoder, make_batch())
    assert torch.allclose(embedding.norm(dim=1), torch.ones(4), atol=1e-5)
    assert (head(encoder, make_batch()).abs() <= 1).all()


def test_missing_targets_are_refused(encoder):
    bare = replace(make_batch(), target=None, identity=None)
    for kind in ("linear", "attentive"):
        with pytest.raises(InputError, match="the batch has no targets"):
            build_head(kind, CONFIGS[kind], encoder).loss(encoder, bare, draws=None, progress=START)
    with pytest.raises(InputError, match="the batch has no identities"):
        ArcFaceHead(CONFIGS["arcface"], encoder).loss(encoder, bare, draws=None, progress=START)


def test_an_attentive_head_reads_a_recording_the_same_alone_and_padded(encoder):
    head = AttentiveHead(CONFIGS["attentive"], encoder)
    torch.nn.init.normal_(head.pool.query, std=2.0)
    whole = make_batch(rows=2)
    short = torch.arange(320) < torch.tensor([320, 200])[:, None]
    signal = torch.where(short[:, None], whole.signal, float("nan"))
    together = head(encoder, replace(whole, signal=signal, sample_mask=short, padded=True))
    alone = replace(
        make_batch(rows=1, samples=200),
        signal=whole.signal[1:, :, :200],
        row=torch.tensor([1]),
    )
    torch.testing.assert_close(together[1:], head(encoder, alone), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[:1], head(encoder, whole)[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", [0, 5])
def test_attention_heads_divide_the_dimension(number, encoder):
    config = replace(CONFIGS["attentive"], attention_heads=number)
    with pytest.raises(ConfigError, match=f"got {number} attention heads for an encoder of dimension 32"):
        AttentiveHead(config, encoder)
