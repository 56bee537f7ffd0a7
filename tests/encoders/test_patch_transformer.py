"""The plain transformer over fused patches: its sizes, its registers, its positions."""

from dataclasses import replace

import pytest
import torch
from test_encoder_contract import SMALL, make_batch

from anylead.encoders import PatchTransformerConfig, build_encoder
from anylead.errors import ConfigError

CONFIG = SMALL["patch_transformer"]


def build(**changes):
    torch.manual_seed(0)
    return build_encoder(replace(CONFIG, **changes)).eval()


@pytest.mark.parametrize(
    ("size", "count"), [("base", 85_185_024), ("small", 14_277_888), ("mini", 3_600_000)]
)
def test_sizes_have_as_many_parameters_as_is_published(size, count):
    with torch.device("meta"):
        encoder = build_encoder(PatchTransformerConfig.named(size))
    assert sum(p.numel() for p in encoder.parameters()) == count
    assert encoder.num_tokens(5000) == 200


def test_a_token_is_a_patch_of_all_leads():
    encoder, batch = build(), make_batch()
    signal = batch.signal.clone()
    signal[:, 5, 75:100] += 1.0
    before, after = (encoder.tokenize(one).values for one in (batch, replace(batch, signal=signal)))
    assert (before != after).any(dim=2).all(dim=0).nonzero().flatten().tolist() == [3]


def test_what_is_left_over_makes_no_token():
    encoder, batch = build(), make_batch((510, 510, 510))
    assert encoder(batch).tokens.shape[1] == 20
    whole = replace(batch, signal=batch.signal[..., :500], sample_mask=batch.sample_mask[:, :500])
    assert torch.equal(encoder(batch).tokens, encoder(whole).tokens)


def test_registers_are_seen_and_are_no_features():
    encoder, batch = build(registers=2), make_batch()
    before = encoder(batch).tokens
    with torch.no_grad():
        encoder.registers[1] += torch.randn(encoder.dimension)
    after = encoder(batch).tokens
    assert before.shape[1] == encoder.num_tokens(500) == 20
    assert not torch.allclose(before, after, atol=1e-3)


def test_tokens_know_their_time():
    encoder = build()
    batch = make_batch()
    repeated = replace(batch, signal=batch.signal[..., :25].repeat(1, 1, 20))
    tokens = encoder(repeated).tokens
    assert not torch.allclose(tokens[:, 0], tokens[:, 7], atol=1e-2)


def test_biases_are_all_there_or_none_is():
    names = {
        with_bias: {n for n, _ in build(bias=with_bias).named_parameters()} for with_bias in (True, False)
    }
    assert not [name for name in names[False] if name.endswith("bias")]
    assert {name for name in names[True] if name.endswith("weight")} == {
        name.replace("bias", "weight") for name in names[True] if name != "registers"
    }


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(
        ConfigError, match="got dimension 384, 5 heads, patches of 25 samples and 1 registers"
    ):
        PatchTransformerConfig(heads=5)
    with pytest.raises(ConfigError, match="patches of at least 1 sample, and 0 registers or more"):
        PatchTransformerConfig(registers=-1)
    with pytest.raises(ConfigError, match="there are base, small, mini, tiny"):
        PatchTransformerConfig.named("huge")
