import pytest
import torch

from anylead.nn.spread import deviation, effective_rank


def test_the_rank_counts_the_directions_in_which_rows_spread():
    generator = torch.Generator().manual_seed(0)
    line = torch.randn(50, 1, generator=generator) * torch.randn(1, 8, generator=generator)
    assert effective_rank(line) == pytest.approx(1.0, abs=1e-4)
    simplex = torch.eye(6)
    assert effective_rank(simplex) == pytest.approx(5.0, abs=1e-4)
    assert 3.5 < effective_rank(torch.randn(2000, 4, generator=generator)) <= 4.0


def test_it_is_a_sum_over_eigenvalues():
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T))
    assert torch.allclose(effective_rank(x), eigenvalues.sum() ** 2 / eigenvalues.square().sum())


def test_rows_that_are_all_the_same_have_collapsed():
    same = torch.ones(5, 3)
    assert effective_rank(same) == 0.0
    assert deviation(same) == 0.0
    spread = torch.randn(4000, 16, generator=torch.Generator().manual_seed(2))
    assert deviation(spread) == pytest.approx(1.0, abs=0.05)
    assert deviation(100 * spread) == pytest.approx(float(deviation(spread)))
