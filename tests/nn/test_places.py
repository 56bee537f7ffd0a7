import pytest
import torch

from anylead.nn.places import places_of
from anylead.nn.sinusoid import sinusoid
from anylead.nn.token_predictor import TokenPredictor


def test_places_are_taken_out_and_put_back():
    mask = torch.tensor([[False, True, False, True], [True, False, False, False]])
    places = places_of(mask, 2)
    assert places.index.tolist() == [[1, 3], [0, 0]]
    assert places.valid.tolist() == [[True, True], [True, False]]
    assert torch.equal(places.mask(4), mask)
    x = torch.arange(8.0).view(2, 4, 1)
    assert places.of(x).squeeze(-1).tolist() == [[1, 3], [4, 4]]
    back = places.put(places.of(x), torch.full((2, 4, 1), -1.0))
    assert back.squeeze(-1).tolist() == [[-1, 1, -1, 3], [4, -1, -1, -1]]


def test_sines_and_cosines_of_a_position():
    row = sinusoid(torch.tensor([0, 3]), 4, longest=100.0)
    assert row[0].tolist() == [0, 0, 1, 1]
    angles = torch.tensor([3.0, 0.3])
    assert torch.allclose(row[1], torch.cat([angles.sin(), angles.cos()]))


@pytest.mark.parametrize("padded", [False, True])
def test_what_is_predicted_depends_on_what_is_shown_and_on_where_only(padded):
    torch.manual_seed(0)
    predictor = TokenPredictor(6, 3, width=8, layers=1, heads=2).eval()
    mask = torch.ones(2, 5, dtype=torch.bool)
    if padded:
        mask[1, 4] = False
    shown = places_of(torch.tensor([[1, 1, 0, 0, 0], [1, 0, 0, 1, 0]]).bool(), 2)
    tokens = torch.randn(2, 2, 6)
    first = predictor(tokens, shown, mask, padded=padded)
    assert first.shape == (2, 5, 3)
    assert not torch.allclose(first[0, 2], first[0, 3], atol=1e-4), "hidden tokens differ by their place"
    moved = tokens.clone()
    moved[0] += 1.0
    second = predictor(moved, shown, mask, padded=padded)
    assert not torch.allclose(first[0], second[0], atol=1e-4)
    assert torch.equal(first[1], second[1])
