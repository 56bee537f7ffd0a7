"""Losses of views: by hand, by a loop, under changes that must not matter, and against gradients."""

import math

import pytest
import torch

from anylead.objectives.byol import _partners, regression_loss
from anylead.objectives.vicreg import covariance_loss, invariance_loss, variance_loss
from anylead.objectives.view_contrast import cosines, nt_xent_loss, pair_loss, patient_nt_xent_loss

F64 = torch.float64


def similarities(rows, seed=0, temperature=0.1):
    x = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return cosines(x, detach_norm=False) / temperature


def nt_xent_loop(s, group, valid):
    rows = [i for i in range(len(s)) if valid[i]]
    total, count = 0.0, 0
    for i in rows:
        positives = [j for j in rows if j != i and group[j] == group[i]]
        if not positives:
            continue
        denominator = math.log(sum(math.exp(s[i, k]) for k in rows if k != i))
        total += sum(denominator - s[i, j].item() for j in positives) / len(positives)
        count += 1
    return total, count


@pytest.mark.parametrize(
    ("group", "valid"),
    [([0, 0, 1, 1, 2, 2], [1] * 6), ([0, 0, 0, 1, 1, 2], [1] * 6), ([0, 1, 0, 1, 2, 2], [1, 1, 0, 1, 1, 1])],
)
def test_nt_xent_equals_a_loop(group, valid):
    s, group, valid = similarities(6), torch.tensor(group), torch.tensor(valid).bool()
    value, _, count = nt_xent_loss(s, group, valid)
    expected, anchors = nt_xent_loop(s, group, valid)
    assert value.item() == pytest.approx(expected)
    assert count == anchors


def test_nt_xent_by_hand():
    s = torch.zeros(4, 4, dtype=F64)
    value, accuracy, count = nt_xent_loss(s, torch.tensor([0, 0, 1, 1]))
    assert value.item() == pytest.approx(4 * math.log(3))
    assert count == 4
    s[0, 1] = s[1, 0] = s[2, 3] = s[3, 2] = 100.0
    value, accuracy, _ = nt_xent_loss(s, torch.tensor([0, 0, 1, 1]))
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert accuracy == 1.0


def test_rows_that_take_no_part_get_no_gradient():
    s = similarities(6).requires_grad_(True)
    valid = torch.tensor([1, 1, 1, 1, 0, 1]).bool()
    nt_xent_loss(s, torch.tensor([0, 0, 1, 1, 2, 2]), valid)[0].backward()
    assert not s.grad[4].any()
    assert not s.grad[:, 4].any()
    assert not s.grad.diagonal().any()


def patient_loop(s, patient):
    total = 0.0
    for i in range(len(s)):
        others = sum(math.exp(s[i, n]) for n in range(len(s)) if patient[n] != patient[i])
        for p in range(len(s)):
            if p != i and patient[p] == patient[i]:
                total += math.log(math.exp(s[i, p]) + others) - s[i, p].item()
    return total


@pytest.mark.parametrize("patient", [[0, 0, 1, 1, 2, 2], [3, 3, 3, 3, 4, 4]])
def test_patient_nt_xent_equals_a_loop(patient):
    s = similarities(6, seed=1)
    value, _ = patient_nt_xent_loss(s, torch.tensor(patient))
    assert value.item() == pytest.approx(patient_loop(s, patient))


def test_one_person_alone_has_nobody_to_be_told_from():
    value, accuracy = patient_nt_xent_loss(similarities(4).requires_grad_(True), torch.zeros(4).long())
    assert value.item() == pytest.approx(0.0)
    value.backward()
    assert accuracy == 1.0


def test_with_pairs_of_different_persons_both_contrasts_agree():
    s, pairs = similarities(8, seed=2), torch.arange(4).repeat_interleave(2)
    simclr, _, _ = nt_xent_loss(s, pairs)
    threekg, _ = patient_nt_xent_loss(s, pairs)
    assert torch.allclose(simclr, threekg)


@pytest.mark.parametrize("loss", [nt_xent_loss, patient_nt_xent_loss])
def test_the_order_of_rows_does_not_matter(loss):
    s, group = similarities(8, seed=3), torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(loss(s, group)[0], loss(s[order][:, order], group[order])[0])


def test_extreme_cosines_are_survived():
    s = torch.full((4, 4), 1e4, dtype=torch.float32).requires_grad_(True)
    for value in (
        nt_xent_loss(s, torch.tensor([0, 0, 1, 1]))[0],
        patient_nt_xent_loss(s, torch.tensor([0, 0, 1, 1]))[0],
        pair_loss(s, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))[0],
    ):
        assert torch.isfinite(value)
        value.backward()
        assert torch.isfinite(s.grad).all()


def test_sides_that_take_no_part_do_not_count():
    s, patient = similarities(6, seed=4), torch.tensor([0, 0, 1, 1, 2, 2])
    side = torch.tensor([0, 1, 0, 1, -1, -1])
    whole, _, count = pair_loss(s, patient, side)
    part, _, _ = pair_loss(s[:4, :4], patient[:4], side[:4])
    assert count == 2
    assert torch.allclose(whole, part)


def test_byol_is_the_squared_distance_of_unit_vectors():
    a, b = (torch.randn(6, 4, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    unit = [torch.nn.functional.normalize(x, dim=1) for x in (a, b)]
    assert torch.allclose(regression_loss(a, b), (unit[0] - unit[1]).square().sum())
    assert torch.allclose(regression_loss(a, b), regression_loss(3 * a, 0.1 * b))
    assert _partners(torch.arange(6.0)[:, None]).flatten().tolist() == [1, 0, 3, 2, 5, 4]


def test_vicreg_by_loops():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(5), dtype=F64)
    group = torch.tensor([0, 0, 0, 1, 1, 2])
    distances = [
        (x[i] - x[j]).square().mean().item()
        for i in range(6)
        for j in range(6)
        if i != j and group[i] == group[j]
    ]
    assert invariance_loss(x, group).item() == pytest.approx(sum(distances) / len(distances))
    deviations = x.std(dim=0)
    assert variance_loss(0.1 * x).item() == pytest.approx((1 - 0.1 * deviations).mean().item(), abs=0.01)
    covariance = torch.cov(x.T)
    off = sum(covariance[i, j] ** 2 for i in range(3) for j in range(3) if i != j) / 3
    assert covariance_loss(x).item() == pytest.approx(off.item())


def test_many_windows_agree_by_the_variance_around_their_mean():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(6), dtype=F64)
    expected = 2 * x.var(dim=0, unbiased=True).mean()
    assert torch.allclose(invariance_loss(x, torch.zeros(5).long()), expected)


def test_spread_rows_cost_no_variance_and_repeated_dimensions_cost_covariance():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(7))
    assert variance_loss(2 * x) == 0.0
    assert covariance_loss(x) < 0.01
    assert covariance_loss(x[:, :1].repeat(1, 2)) > 0.9
