import math

import pytest
import torch

from anylead.objectives.cmsc import cmsc_loss
from anylead.objectives.view_contrast import unit_rows


def slow(pooled, patient, segment, temperature=0.1):
    """Loops over anchors, with lists of positives and of all candidates."""
    rows = range(len(pooled))
    first, second = [i for i in rows if segment[i] == 0], [i for i in rows if segment[i] == 1]
    cosine = torch.nn.functional.cosine_similarity(pooled[:, None], pooled[None], dim=-1) / temperature
    total, count = 0.0, 0
    for i in first:
        for j in second:
            if patient[i] != patient[j]:
                continue
            row = math.log(sum(math.exp(cosine[i, k]) for k in second))
            column = math.log(sum(math.exp(cosine[k, j]) for k in first))
            total += -0.5 * (cosine[i, j].item() - row) - 0.5 * (cosine[i, j].item() - column)
            count += 1
    return total / count


def pairs(patients, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(2 * len(patients), 6, generator=generator, dtype=torch.float64)
    patient = torch.tensor(patients).repeat_interleave(2)
    segment = torch.tensor([0, 1]).repeat(len(patients))
    return pooled, patient, segment


def test_by_hand():
    pooled = torch.eye(2, dtype=torch.float64).repeat_interleave(2, 0)
    patient, segment = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    loss, accuracy = cmsc_loss(pooled, patient, segment, temperature=1.0)
    assert loss.item() == pytest.approx(math.log(math.e + 1) - 1)
    assert accuracy.item() == 1.0


@pytest.mark.parametrize("patients", [[0, 1, 2, 3], [5, 5, 7], [1, 1, 1, 2]])
def test_equals_a_loop(patients):
    pooled, patient, segment = pairs(patients)
    loss, _ = cmsc_loss(pooled, patient, segment)
    assert loss.item() == pytest.approx(slow(pooled, patient, segment))


def test_order_and_length_do_not_matter():
    pooled, patient, segment = pairs([0, 1, 2, 2])
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    loss, _ = cmsc_loss(pooled, patient, segment)
    shuffled, _ = cmsc_loss(3 * pooled[order], patient[order], segment[order])
    assert torch.allclose(loss, shuffled)


def test_lengths_get_no_gradient_only_when_detached():
    pooled, patient, segment = pairs([0, 1, 2])
    along = {}
    for detach in (True, False):
        leaf = pooled.clone().requires_grad_(True)
        cmsc_loss(leaf, patient, segment, detach_norm=detach)[0].backward()
        along[detach] = (leaf.grad * pooled).sum(1).abs().max().item()
    assert along[False] < 1e-10
    assert along[True] > 1e-3


def test_detached_gradient_equals_finite_differences_with_fixed_lengths():
    pooled, patient, segment = pairs([0, 1, 2])
    norm = pooled.norm(dim=1, keepdim=True)

    def frozen(x):
        unit = x / norm
        s = unit[0::2] @ unit[1::2].T / 0.1
        return -0.5 * (s.log_softmax(1).diagonal() + s.log_softmax(0).diagonal()).mean()

    leaf = pooled.clone().requires_grad_(True)
    cmsc_loss(leaf, patient, segment)[0].backward()
    other = pooled.clone().requires_grad_(True)
    frozen(other).backward()
    assert torch.allclose(leaf.grad, other.grad)


def test_a_batch_without_a_pair_is_zero_and_finite():
    pooled, _, segment = pairs([0, 1])
    leaf = pooled.requires_grad_(True)
    loss, accuracy = cmsc_loss(leaf, torch.arange(4), segment)
    loss.backward()
    assert loss.item() == 0
    assert accuracy.item() == 0
    assert torch.isfinite(leaf.grad).all()


def test_a_vector_of_zeros_is_survived():
    assert torch.isfinite(unit_rows(torch.zeros(2, 3), detach_norm=True)).all()
