"""Pooling by attention against a loop."""

import math

import torch

from anylead.nn.attention_pooling import AttentionPooling


def make_pooling(dimension=6, heads=2):
    torch.manual_seed(0)
    pooling = AttentionPooling(dimension, heads)
    torch.nn.init.normal_(pooling.query, std=2.0)
    return pooling.double()


def test_each_head_weighs_its_part_of_the_present_tokens():
    pooling = make_pooling()
    tokens = torch.randn(2, 5, 6, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    got = pooling(torch.where(mask[..., None], tokens, float("nan")), mask)
    for row, length in enumerate((5, 2)):
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            scores, values = [], []
            for t in range(length):
                key = pooling.key.weight[part] @ tokens[row, t]
                scores.append(math.exp(float((pooling.query[head] @ key).detach()) / math.sqrt(3)))
                values.append(pooling.value.weight[part] @ tokens[row, t] + pooling.value.bias[part])
            expected = sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores)
            torch.testing.assert_close(got[row, part], expected)


def test_order_does_not_matter_and_a_query_of_zero_is_the_mean():
    pooling = make_pooling()
    tokens = torch.randn(1, 7, 6, dtype=torch.float64)
    mask = torch.ones(1, 7, dtype=torch.bool)
    torch.testing.assert_close(pooling(tokens.flip(1), mask), pooling(tokens, mask))
    torch.nn.init.zeros_(pooling.query)
    torch.testing.assert_close(pooling(tokens, mask), pooling.value(tokens).mean(dim=1))


def test_a_row_without_a_token_is_zero_with_finite_gradients():
    pooling = make_pooling()
    tokens = torch.randn(2, 3, 6, dtype=torch.float64)
    mask = torch.tensor([[True] * 3, [False] * 3])
    pooled = pooling(tokens, mask)
    assert (pooled[1] == 0).all()
    pooled.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in pooling.parameters())
    assert torch.equal(pooling(tokens[:, :0], mask[:, :0]), torch.zeros(2, 6, dtype=torch.float64))
