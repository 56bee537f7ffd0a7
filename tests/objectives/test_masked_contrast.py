import math
from dataclasses import replace

import pytest
import torch

from anylead.nn.keyed_random import DrawKey
from anylead.objectives.masked_contrast import (
    contrastive_logits,
    contrastive_loss,
    draw_hidden,
    draw_hidden_reference,
    draw_negatives,
)

KEY = DrawKey(seed=1, step=0)


def full(rows, frames):
    return torch.ones(rows, frames, dtype=torch.bool)


def runs(mask):
    """Lengths of runs of True in a 1-D mask."""
    lengths, current = [], 0
    for value in [*mask.tolist(), False]:
        if value:
            current += 1
        elif current:
            lengths.append(current)
            current = 0
    return lengths


def test_every_row_hides_exactly_the_share():
    hidden = draw_hidden(KEY, torch.arange(200), full(200, 156), share=55 / 156, span=10)
    assert (hidden.mask.sum(1) == 55).all()
    assert hidden.valid.all()
    assert torch.equal(hidden.places, hidden.places.sort(1).values)
    assert torch.equal(hidden.mask.nonzero()[:, 1].view(200, 55), hidden.places)


def test_hidden_frames_come_in_spans_everywhere():
    hidden = draw_hidden(KEY, torch.arange(2000), full(2000, 156), share=55 / 156, span=10)
    for row in hidden.mask[:200]:
        # Every run is made of whole spans but for one that may be cut (and may adjoin another).
        assert sum(length < 10 for length in runs(row)) <= 1
    rate = hidden.mask.float().mean(0)
    assert rate[20:-20].std() < 0.03
    assert rate.min() > 0.02  # the edges are reached by fewer spans, but reached


def test_hidden_frames_do_not_depend_on_batch_mates():
    together = draw_hidden(KEY, torch.arange(8), full(8, 156), share=0.35, span=10)
    alone = draw_hidden(KEY, torch.tensor([5]), full(1, 156), share=0.35, span=10)
    assert torch.equal(together.mask[5:6], alone.mask)
    lengths = torch.tensor([156, 100, 30, 6, 1])
    mask = torch.arange(156) < lengths[:, None]
    ragged = draw_hidden(KEY, torch.arange(5), mask, share=55 / 156, span=10)
    assert ragged.mask.sum(1).tolist() == [55, 35, 11, 2, 0]
    assert not (ragged.mask & ~mask).any()
    assert torch.equal(ragged.valid.sum(1), ragged.mask.sum(1))


def test_reference_masks_thin_to_the_smallest_row():
    small = draw_hidden_reference(KEY, torch.arange(16), full(16, 156), probability=0.65, span=10)
    large = draw_hidden_reference(KEY, torch.arange(128), full(128, 156), probability=0.65, span=10)
    for hidden in (small, large):
        assert (hidden.mask.sum(1) == hidden.places.shape[1]).all()
    # METHOD §3.5: about 62 of 156 at 16 rows, 55 at 128; one row alone 77.
    assert 56 <= small.places.shape[1] <= 69
    assert 50 <= large.places.shape[1] <= 60
    single = [
        draw_hidden_reference(
            DrawKey(seed=s, step=0), torch.arange(1), full(1, 156), probability=0.65, span=10
        )
        for s in range(60)
    ]
    assert abs(sum(h.places.shape[1] for h in single) / 60 - 77) < 4


def test_reference_masks_stay_within_short_rows():
    mask = torch.arange(156) < torch.tensor([[156], [60]])
    hidden = draw_hidden_reference(KEY, torch.arange(2), mask, probability=0.65, span=10)
    assert not (hidden.mask & ~mask).any()
    assert hidden.mask.sum(1).unique().numel() == 1


def test_negatives_are_the_other_hidden_frames_of_the_row():
    valid = torch.arange(20) < torch.tensor([[20], [7], [2]])
    negatives = draw_negatives(KEY, torch.arange(3), valid, number=400)
    for row, count in enumerate((20, 7, 2)):
        for place in range(count):
            assert set(negatives[row, place].tolist()) == set(range(count)) - {place}


def random_parts(rows=3, places=7, width=5, number=6):
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(rows, places, width, generator=generator, dtype=torch.float64)
    codes = torch.randint(0, 2, (rows, places, 2), generator=generator)
    book = torch.randn(4, width, generator=generator, dtype=torch.float64)
    targets = book[codes[..., 0] * 2 + codes[..., 1]]
    negatives = torch.randint(0, places, (rows, places, number), generator=generator)
    return context, targets, codes, negatives


def test_logits_and_loss_equal_a_loop():
    context, targets, codes, negatives = random_parts()
    logits = contrastive_logits(context, targets, codes, negatives, temperature=0.1)
    total = 0.0
    for b in range(3):
        for m in range(7):
            row = [torch.cosine_similarity(context[b, m], targets[b, m], dim=0).item() / 0.1]
            for k in negatives[b, m].tolist():
                equal = torch.equal(targets[b, k], targets[b, m])
                value = torch.cosine_similarity(context[b, m], targets[b, k], dim=0).item() / 0.1
                row.append(-math.inf if equal else value)
            assert logits[b, m].tolist() == pytest.approx(row)
            total -= row[0] - math.log(sum(math.exp(v) for v in row))
    loss, _ = contrastive_loss(logits, torch.ones(3, 7, dtype=torch.bool))
    assert loss.item() == pytest.approx(total)


def test_loss_by_hand():
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [math.log(3), 0.0, -math.inf, -math.inf]]])
    loss, right = contrastive_loss(logits, torch.tensor([[True, True]]))
    assert loss.item() == pytest.approx(math.log(4) + math.log(4 / 3))
    assert right.item() == 1  # all-equal logits are no right answer
    loss, right = contrastive_loss(logits, torch.tensor([[True, False]]))
    assert loss.item() == pytest.approx(math.log(4))
    assert right.item() == 0


def test_loss_does_not_change_when_vectors_are_scaled():
    context, targets, codes, negatives = random_parts()
    a = contrastive_logits(context, targets, codes, negatives)
    b = contrastive_logits(context * 7, targets * 0.1, codes, negatives)
    assert torch.allclose(a, b)


def test_gradient_flows_into_context_and_targets():
    context, targets, codes, negatives = random_parts()
    context.requires_grad_(True)
    targets.requires_grad_(True)
    loss, _ = contrastive_loss(
        contrastive_logits(context, targets, codes, negatives), torch.ones(3, 7, dtype=torch.bool)
    )
    loss.backward()
    assert torch.isfinite(context.grad).all()
    assert context.grad.abs().sum() > 0
    assert targets.grad.abs().sum() > 0


def test_frames_that_do_not_exist_have_no_gradient():
    context, targets, codes, negatives = random_parts()
    valid = torch.arange(7) < torch.tensor([[7], [4], [1]])
    inside = torch.minimum(negatives, (valid.sum(1) - 1)[:, None, None])
    context.requires_grad_(True)
    targets.requires_grad_(True)
    loss, _ = contrastive_loss(contrastive_logits(context, targets, codes, inside), valid)
    loss.backward()
    assert (context.grad[~valid] == 0).all()
    assert (targets.grad[~valid] == 0).all()


def test_draws_replay():
    first = draw_hidden(KEY, torch.arange(4), full(4, 50), share=0.3, span=5)
    again = draw_hidden(KEY, torch.arange(4), full(4, 50), share=0.3, span=5)
    other = draw_hidden(replace(KEY, step=1), torch.arange(4), full(4, 50), share=0.3, span=5)
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, other.mask)
