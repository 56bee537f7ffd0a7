"""K-means that goes on: what one update does, how it begins, what becomes of dead codes."""

import pytest
import torch

from anylead.errors import ConfigError
from anylead.nn.across import Across
from anylead.nn.codebook import Codebook


def vectors(number, dimension=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, dimension, generator=generator, dtype=torch.float64)


def all_of(x):
    return torch.ones(len(x), dtype=torch.bool)


def codebook(codes=4, dimension=3, *, decay=0.9, cosine=False, begun=True):
    book = Codebook(codes, dimension, decay=decay, cosine=cosine).double()
    if begun:
        book.vectors.copy_(vectors(codes, dimension, seed=1))
        book.sizes.copy_(torch.arange(5, 5 + codes))
    return book


def state(book):
    return [buffer.clone() for buffer in book.buffers()]


@pytest.mark.parametrize("cosine", [False, True])
def test_one_update_equals_a_loop(cosine):
    book, x = codebook(cosine=cosine), vectors(50)
    valid = torch.arange(50) % 7 != 0
    before, sizes = book.vectors.clone(), book.sizes.clone()
    sums, counts = torch.zeros(4, 3, dtype=torch.float64), [0] * 4
    for vector, counted in zip(x, valid.tolist(), strict=True):
        if not counted:
            continue
        point = vector / vector.norm() if cosine else vector
        places = [code / code.norm() if cosine else code for code in before]
        nearest = min(range(4), key=lambda k: float((point - places[k]).norm()))
        sums[nearest] += point
        counts[nearest] += 1
    book.collect(x, valid)
    book.update()
    for k in range(4):
        size = 0.9 * float(sizes[k]) + counts[k]
        assert book.sizes[k].item() == pytest.approx(size)
        assert torch.allclose(book.vectors[k], (0.9 * sizes[k] * before[k] + sums[k]) / size)


def test_vectors_that_do_not_count_may_hold_anything():
    x = vectors(20)
    valid = torch.arange(20) < 12
    book, other = codebook(), codebook()
    book.collect(x[:12], valid[:12])
    other.collect(torch.where(valid[:, None], x, float("nan")), valid)
    book.update()
    other.update()
    assert all(torch.allclose(a, b) for a, b in zip(state(book), state(other), strict=True))


def test_the_first_code_is_the_mean_and_the_codes_in_use_double_until_all_are():
    book, x = codebook(codes=6, begun=False), vectors(200) + 5.0
    assert not book.assign(x).any()
    in_use = []
    for _ in range(4):
        book.collect(x, all_of(x))
        book.update()
        in_use.append(len(book.assign(x).unique()))
        if len(in_use) == 1:
            assert torch.allclose(book.vectors[:2].mean(0), x.mean(0))
    assert in_use == [2, 4, 6, 6]


def test_groups_that_lie_apart_get_a_code_each():
    middles = 10.0 * torch.eye(5, dtype=torch.float64)
    x = torch.cat([middles + 0.1 * vectors(5, 5, seed=seed) for seed in range(40)])
    book = codebook(5, 5, decay=0.5, begun=False)
    for _ in range(40):
        book.collect(x, all_of(x))
        book.update()
    codes = book.assign(middles)
    assert sorted(codes.tolist()) == list(range(5))
    assert torch.allclose(book.vectors[codes], middles, atol=0.2)


def test_a_dead_code_takes_half_of_the_one_that_reaches_farthest():
    book = codebook(3, 1)
    book.vectors.copy_(torch.tensor([[0.0], [100.0], [-1000.0]]))
    book.sizes.copy_(torch.tensor([10.0, 10.0, 1.05]))
    x = torch.tensor([[-0.1], [0.1], [90.0], [110.0]], dtype=torch.float64)
    book.collect(x, all_of(x))
    book.update()  # nobody is near -1000, behind which 0.9 * 1.05 vectors are left
    assert book.sizes.tolist() == [11.0, 1.0, 1.0]
    assert sorted(book.vectors[1:, 0].tolist()) == pytest.approx([99.0, 101.0])  # a tenth of the deviation
    book.collect(x, all_of(x))
    book.update()
    assert book.assign(x)[2:].tolist() in ([1, 2], [2, 1])


def test_vectors_that_are_all_the_same_split_nothing():
    book = codebook(4, 2, begun=False)
    x = torch.ones(8, 2, dtype=torch.float64)
    for _ in range(3):
        book.collect(x, all_of(x))
        book.update()
    assert book.vectors[0].tolist() == [1.0, 1.0]
    assert not book.assign(x).any()


def test_a_length_does_not_count_where_directions_do():
    book = codebook(cosine=True)
    x = vectors(20)
    assert torch.equal(book.assign(x), book.assign(x * torch.rand(20, 1).double().add(0.1)))


def test_what_is_saved_goes_on_as_if_never_stopped():
    book, x = codebook(8, begun=False), vectors(100)
    for seed in range(3):
        book.collect(vectors(100, seed=seed), all_of(x))
        book.update()
    book.collect(x, all_of(x))
    other = codebook(8, begun=False)
    other.load_state_dict(book.state_dict())
    for each in (book, other):
        each.update()
        each.collect(x, all_of(x))
        each.update()
    assert all(torch.equal(a, b) for a, b in zip(state(book), state(other), strict=True))


def test_two_halves_add_up_to_one_whole(monkeypatch):
    """What each process collects is summed; all of them go on with the same codes."""
    batches = [vectors(60, seed=seed) for seed in range(5)]
    whole, halves = codebook(8, begun=False), [codebook(8, begun=False) for _ in range(2)]
    for x in batches:
        whole.collect(x, all_of(x))
        whole.update()
        for half, part in zip(halves, x.split(30), strict=True):
            half.collect(part, all_of(part))
        told = [(h.pending_sums.clone(), h.pending_squares.clone(), h.pending_counts.clone()) for h in halves]
        for half in halves:
            sums = iter([a + b for a, b in zip(*told, strict=True)])
            monkeypatch.setattr(Across, "total", lambda _self, _x, sums=sums: next(sums))
            half.update(Across(rank=0, world_size=2))
        monkeypatch.undo()
    for mine, theirs, one in zip(*map(state, (*halves, whole)), strict=True):
        assert torch.equal(mine, theirs)
        assert torch.allclose(mine.double(), one.double(), atol=1e-12)


def test_no_gradient_reaches_codes_or_what_they_follow():
    book, x = codebook(), vectors(10).requires_grad_(True)
    book.collect(x, all_of(x))
    book.update()
    assert not any(buffer.requires_grad for buffer in book.buffers())
    assert not book.assign(x).requires_grad
    assert list(book.parameters()) == []


@pytest.mark.parametrize(("codes", "decay"), [(0, 0.9), (4, 1.1), (4, -0.1)])
def test_codebooks_that_make_no_sense_are_refused(codes, decay):
    with pytest.raises(ConfigError, match=f"codebook: got {codes} codes and decay {decay}; it needs a code"):
        Codebook(codes, 3, decay=decay, cosine=False)
