"""What tokens of one lead and one time see of each other, and what they cost."""

from dataclasses import replace

import pytest
import torch
from test_encoder_contract import SMALL, make_batch

from anylead.encoders import LeadTimeTransformerConfig, build_encoder
from anylead.errors import ConfigError

CONFIG = replace(SMALL["lead_time_transformer"], layers=1, dropout=0.0)
FRAMES = 10


def build(**changes):
    torch.manual_seed(0)
    return build_encoder(replace(CONFIG, **changes)).eval()


def reach(encoder, token):
    """Returns which tokens change with one of them."""
    tokens = encoder.tokenize(make_batch())
    values = tokens.values.clone()
    values[:, token] += torch.randn(values.shape[2], generator=torch.Generator().manual_seed(3))
    before = encoder.contextualize(tokens, padded=False).tokens
    after = encoder.contextualize(replace(tokens, values=values), padded=False).tokens
    return ((before - after).abs().amax(dim=(0, 2)) > 1e-7).view(12, FRAMES)


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        ("full", lambda lead, time: True),
        ("cross_pattern", lambda lead, time: lead == 2 or time == 3),
        ("within_lead", lambda lead, time: lead == 2),
    ],
)
def test_a_token_reaches_those_that_attend_to_it(attention, expected):
    found = reach(build(attention=attention), 2 * FRAMES + 3)
    assert found.tolist() == [[expected(lead, time) for time in range(FRAMES)] for lead in range(12)]


def test_only_columns_of_the_batch_make_tokens():
    encoder = build()
    assert encoder.tokenize(make_batch(leads=("V2", "I"))).values.shape[1] == 2 * FRAMES
    assert encoder.num_tokens(500) == 12 * FRAMES


@pytest.mark.parametrize("lead_embedding", [False, True])
def test_leads_are_told_apart_by_name_only_where_names_are_embedded(lead_embedding):
    encoder = build(lead_embedding=lead_embedding)
    batch = make_batch(leads=("I", "V2"))
    swapped = replace(batch, leads=("V2", "I"))
    assert torch.allclose(encoder(batch).pooled, encoder(swapped).pooled, atol=1e-5) == (not lead_embedding)


def test_an_offset_changes_nothing_and_a_gain_does():
    encoder, batch = build(), make_batch()
    moved = replace(batch, signal=batch.signal + 3.0)
    assert torch.allclose(encoder(batch).pooled, encoder(moved).pooled, atol=1e-4)
    louder = replace(batch, signal=2.0 * batch.signal)
    assert not torch.allclose(encoder(batch).pooled, encoder(louder).pooled, atol=1e-2)


def test_each_setting_has_the_name_of_its_mechanism():
    names = {build(attention=a, lead_embedding=e).lead_mechanism for a in ("full",) for e in (False, True)}
    assert names == {"token_drop", "lead_embedding"}
    assert build(attention="cross_pattern").lead_mechanism == "cross_pattern"
    assert build(attention="within_lead", lead_embedding=False).lead_mechanism == "per_lead_pool"


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="got dimension 30, 4 heads and patches of 100 samples"):
        LeadTimeTransformerConfig(dimension=30)
    with pytest.raises(ConfigError, match="there are base, mini, tiny"):
        LeadTimeTransformerConfig.named("huge")


GRID = {"positions": "lead_and_time", "lead_embedding": False}


def test_positions_on_the_grid_tell_leads_apart_by_their_place_among_the_known_ones():
    encoder, batch = build(**GRID), make_batch(leads=("I", "V2"))
    swapped = replace(batch, leads=("V2", "I"))
    assert not torch.allclose(encoder(batch).pooled, encoder(swapped).pooled, atol=1e-5)
    assert encoder.lead_mechanism == "lead_embedding"
    assert build(**GRID, attention="cross_pattern").lead_mechanism == "cross_pattern"


def test_repeated_positions_are_added_in_front_of_every_layer():
    """Layers that add nothing leave what was added."""
    batch = make_batch()
    sums = {}
    for repeated in (False, True):
        encoder = build(**GRID, repeat_positions=repeated, layers=3)
        for block in encoder.blocks:
            for writes in (block.attention.output, block.contract):
                torch.nn.init.zeros_(writes.weight)
                torch.nn.init.zeros_(writes.bias)
        encoder.output_norm = torch.nn.Identity()
        sums[repeated] = encoder(batch).tokens - encoder.tokenize(batch).values
    torch.testing.assert_close(sums[True], 3 * sums[False], atol=1e-5, rtol=0)


def test_an_offset_shows_where_leads_are_not_centred():
    encoder, batch = build(centre_leads=False), make_batch()
    moved = replace(batch, signal=batch.signal + 3.0)
    assert not torch.allclose(encoder(batch).pooled, encoder(moved).pooled, atol=1e-2)


def test_positions_on_the_grid_need_a_dimension_that_4_divides():
    with pytest.raises(ConfigError, match="got dimension 30 with positions of lead and time"):
        LeadTimeTransformerConfig(dimension=30, heads=2, positions="lead_and_time")
