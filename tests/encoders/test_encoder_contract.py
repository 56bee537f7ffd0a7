"""What every encoder promises, for every member of the union."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

import anylead.encoders
from anylead.batch import Batch
from anylead.config import from_plain, to_plain
from anylead.encoders import (
    DEFAULT_SIZES,
    ENCODERS,
    AnyEncoderConfig,
    ConvTransformer,
    ConvTransformerConfig,
    LeadTimeTransformerConfig,
    PatchTransformerConfig,
    Readout,
    ResNet1dConfig,
    S4Config,
    build_encoder,
    encoder_kind,
    named_encoder,
)
from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit
from anylead.errors import ConfigError, InputError, LeadError
from anylead.leads import LEAD_SETS, STANDARD_12
from anylead.nn.places import places_of
from anylead.objectives import MaskedTimeConfig, W2VCMSCConfig, build_objective

SMALL = {
    "conv_transformer": ConvTransformerConfig(
        conv_channels=16, dimension=32, layers=2, heads=4, feedforward=64, position_kernel=16
    ),
    "lead_time_transformer": LeadTimeTransformerConfig(
        patch_samples=50, dimension=32, layers=2, heads=2, feedforward=64
    ),
    "patch_transformer": PatchTransformerConfig(dimension=32, layers=2, heads=2, feedforward=64),
    "resnet1d": ResNet1dConfig(stem_channels=8, stage_channels=(16, 32), dilations=(1, 2), norm_groups=4),
    "s4": S4Config(dimension=32, layers=2, state=4),
}

VARIANTS = {
    "conv_transformer, norm first": replace(SMALL["conv_transformer"], norm_first=True),
    "conv_transformer, 40 ms": replace(SMALL["conv_transformer"], conv_kernels=(5, 2, 2)),
    "conv_transformer, vcg_fill": replace(SMALL["conv_transformer"], absent_leads="vcg_fill"),
    "resnet1d, vcg_fill": replace(SMALL["resnet1d"], absent_leads="vcg_fill"),
    "s4, vcg_fill": replace(SMALL["s4"], absent_leads="vcg_fill"),
    "s4, causal": replace(SMALL["s4"], causal=True),
    "token_drop": replace(SMALL["lead_time_transformer"], lead_embedding=False),
    "cross_pattern": replace(SMALL["lead_time_transformer"], attention="cross_pattern"),
    "per_lead_pool": replace(SMALL["lead_time_transformer"], attention="within_lead", lead_embedding=False),
    "grid positions": replace(
        SMALL["lead_time_transformer"],
        attention="cross_pattern",
        lead_embedding=False,
        positions="lead_and_time",
        repeat_positions=True,
        centre_leads=False,
        qkv_bias=False,
    ),
    "patch_transformer, no registers": replace(SMALL["patch_transformer"], registers=0),
    "patch_transformer, biases": replace(SMALL["patch_transformer"], bias=True, registers=3),
    "patch_transformer, vcg_fill": replace(SMALL["patch_transformer"], absent_leads="vcg_fill"),
}
"""Settings that change how a member computes: the contract holds for them as well."""


def make_batch(lengths=(500, 500, 500), leads=STANDARD_12, *, absent=(), seed=0):
    rows, samples = len(lengths), max(lengths)
    generator = torch.Generator().manual_seed(seed)
    lead_mask = torch.ones(rows, len(leads), dtype=torch.bool)
    for row, name in absent:
        lead_mask[row, leads.index(name)] = False
    sample_mask = torch.arange(samples) < torch.tensor(lengths)[:, None]
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        signal=torch.randn(rows, len(leads), samples, generator=generator),
        lead_mask=lead_mask,
        sample_mask=sample_mask,
        leads=tuple(leads),
        sampling_rate_hz=500.0,
        padded=len(set(lengths)) > 1,
        row=torch.arange(rows),
        patient=zeros,
        segment=zeros,
    )


def row_of(batch, row, samples):
    keep = slice(row, row + 1)
    return replace(
        batch,
        signal=batch.signal[keep, :, :samples],
        lead_mask=batch.lead_mask[keep],
        sample_mask=batch.sample_mask[keep, :samples],
        row=batch.row[keep],
        patient=batch.patient[keep],
        segment=batch.segment[keep],
        padded=False,
    )


@pytest.fixture(params=[*sorted(ENCODERS), *VARIANTS])
def encoder(request):
    torch.manual_seed(0)
    return build_encoder((SMALL | VARIANTS)[request.param]).eval()


def test_every_encoder_file_is_in_the_union():
    folder = Path(anylead.encoders.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    assert files == {cls.__module__.rsplit(".", 1)[1] for _, cls in ENCODERS.values()}
    assert set(SMALL) == set(ENCODERS)


def test_shapes_and_kind(encoder):
    batch = make_batch()
    features = encoder(batch)
    tokens = encoder.num_tokens(500)
    assert features.tokens.shape == (3, tokens, encoder.dimension)
    assert features.token_mask.shape == (3, tokens)
    assert features.pooled.shape == (3, encoder.dimension)
    assert torch.equal(encoder.token_mask(batch), features.token_mask)
    assert encoder_kind(encoder) in ENCODERS


@pytest.mark.parametrize("poison", [float("nan"), 1e6, float("inf")])
def test_poison_where_nothing_was_recorded_changes_no_output_and_no_gradient(encoder, poison):
    encoder.train()
    batch = make_batch((500, 300, 500), absent=((0, "III"), (1, "V2"), (2, "I")))
    present = batch.lead_mask[:, :, None] & batch.sample_mask[:, None, :]
    results = []
    for value in (0.0, poison):
        encoder.zero_grad()
        torch.manual_seed(1)
        features = encoder(replace(batch, signal=torch.where(present, batch.signal, value)))
        features.pooled.square().sum().backward()
        results.append(
            (features.pooled, [p.grad.clone() for p in encoder.parameters() if p.grad is not None])
        )
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1]
    for clean, poisoned in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(clean, poisoned)


def test_a_segment_embeds_the_same_alone_and_in_any_padded_batch(encoder):
    batch = make_batch((500, 260, 37, 20))
    together = encoder(batch).pooled
    for row, samples in enumerate((500, 260, 37, 20)):
        alone = encoder(row_of(batch, row, samples)).pooled[0]
        assert torch.allclose(together[row], alone, atol=2e-5), row


def test_batch_mates_do_not_matter(encoder):
    batch = make_batch()
    changed = replace(batch, signal=torch.cat([batch.signal[:1], torch.randn(2, 12, 500)]))
    assert torch.allclose(encoder(batch).pooled[0], encoder(changed).pooled[0], atol=1e-6)


@pytest.mark.parametrize("name", sorted(LEAD_SETS))
def test_absent_columns_and_absent_leads_are_the_same(encoder, name):
    leads = LEAD_SETS[name]
    full = make_batch(absent=[(row, lead) for row in range(3) for lead in STANDARD_12 if lead not in leads])
    few = full.select(leads)
    shuffled = few.select(tuple(reversed(leads)))
    expected = encoder(full).pooled
    found = encoder(few).pooled
    if encoder.has_lead_tokens:  # fewer columns are fewer tokens, whose sums round differently
        assert torch.allclose(found, expected, atol=1e-5)
    else:
        assert torch.equal(found, expected)
    assert torch.equal(encoder(shuffled).pooled, found)


def test_other_leads_are_not_fed_and_no_known_lead_is_refused(encoder):
    batch = make_batch()
    extra = replace(
        batch,
        signal=torch.cat([batch.signal, torch.full((3, 1, 500), 1e9)], 1),
        lead_mask=torch.ones(3, 13, dtype=torch.bool),
        leads=(*STANDARD_12, "Vx"),
    )
    assert torch.equal(encoder(extra).pooled, encoder(batch).pooled)
    with pytest.raises(LeadError, match="none of the leads Vx is known"):
        encoder(extra.select(("Vx",)))


def test_read_takes_a_layer_and_a_pooling(encoder):
    batch = make_batch()
    whole = encoder.read(batch, Readout(layer=encoder.layers))
    assert torch.equal(whole, encoder.read(batch, Readout()))
    assert not torch.allclose(whole, encoder.read(batch, Readout(layer=1)), atol=1e-3)
    assert encoder.read(batch, Readout(pooling="mean_std_max")).shape == (3, 3 * encoder.dimension)
    with pytest.raises(ConfigError, match="got layer 99"):
        encoder.read(batch, Readout(layer=99))


def test_hidden_tokens_are_replaced(encoder):
    tokens = encoder.tokenize(make_batch())
    hidden = torch.zeros(tokens.mask.shape, dtype=torch.bool)
    hidden[:, 3:9] = True
    embedding = torch.randn(encoder.dimension)
    first = encoder.contextualize(tokens, padded=False, hidden=hidden, hidden_embedding=embedding).tokens
    values = torch.where(hidden[..., None], torch.randn_like(tokens.values), tokens.values)
    other = replace(tokens, values=values)
    second = encoder.contextualize(other, padded=False, hidden=hidden, hidden_embedding=embedding).tokens
    assert torch.allclose(first, second, atol=1e-6)


def test_a_causal_encoder_sees_no_later_token(encoder):
    tokens = encoder.tokenize(make_batch())
    values = tokens.values.clone()
    values[:, 12:] += torch.randn(values.shape[2], generator=torch.Generator().manual_seed(1))
    before = encoder.contextualize(tokens, padded=False).tokens
    after = encoder.contextualize(replace(tokens, values=values), padded=False).tokens
    assert torch.allclose(before[:, :12], after[:, :12], atol=1e-5) == encoder.causal


def test_only_shown_tokens_are_seen(encoder):
    batch = make_batch()
    tokens = encoder.tokenize(batch)
    number = tokens.mask.shape[1]
    everything = encoder.contextualize(tokens, padded=False, shown=places_of(tokens.mask, number))
    assert torch.allclose(everything.tokens, encoder(batch).tokens, atol=1e-5)
    seen = torch.zeros(tokens.mask.shape, dtype=torch.bool)
    seen[:, 2:7] = True
    shown = places_of(seen, 5)
    first = encoder.contextualize(tokens, padded=False, shown=shown)
    assert first.tokens.shape == (len(batch), 5, encoder.dimension)
    values = torch.where(seen[..., None], tokens.values, torch.randn_like(tokens.values))
    second = encoder.contextualize(replace(tokens, values=values), padded=False, shown=shown)
    assert torch.allclose(first.tokens, second.tokens, atol=1e-6)
    assert torch.allclose(first.pooled, first.tokens.mean(1), atol=1e-5)


def test_runs_without_host_syncs(encoder):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        assert encoder(make_batch((500, 260))).pooled.shape == (2, encoder.dimension)


def test_context_layers_are_its_blocks_and_a_layer_needs_those_before_it_only(encoder):
    """Layer-wise learning rates go by these names."""
    assert len(encoder.blocks) == encoder.layers
    encoder.read(make_batch(), Readout(layer=1)).square().sum().backward()
    learning = {name for name, p in encoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("blocks.0.") for name in learning)
    assert any(not name.startswith("blocks.") for name in learning)
    assert not any(name.startswith("blocks.1.") for name in learning)


def test_an_objective_trains_all_of_it(encoder):
    """The paper's, where it has a meaning."""
    paper = W2VCMSCConfig(entries=8, final_dimension=16, negatives=10)
    grid = MaskedTimeConfig(decoder_width=16, decoder_heads=2)
    objective = build_objective(grid if encoder.has_lead_tokens else paper, encoder)
    state = TrainState(
        encoder=encoder,
        objective=objective,
        optimizer=build_optimizer(AdamWConfig(learning_rate=1e-3), encoder, objective),
        seed=0,
    )
    batch = replace(make_batch((800, 800, 500, 400)), patient=torch.tensor([0, 0, 1, 1]))
    batch = replace(batch, segment=torch.tensor([0, 1, 0, 1]))
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    results = [step.floats() for step in fit(state, lambda k: [batch], total_steps=2, schedule=Constant())]
    assert all(math.isfinite(value) for result in results for value in result.values())
    still = {name for name, p in encoder.named_parameters() if torch.equal(p, before[name])}
    assert still == set()


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_configurations_survive_a_trip_through_plain_values(kind):
    @dataclass(frozen=True, kw_only=True)
    class Recipe:
        encoder: AnyEncoderConfig

    for config in (SMALL[kind], named_encoder(kind)):
        assert from_plain(Recipe, {"encoder": to_plain(config)}).encoder == config


def test_an_encoder_is_named_with_or_without_its_size():
    assert set(DEFAULT_SIZES) == set(ENCODERS)
    assert named_encoder("resnet1d") == named_encoder("resnet1d:small") == ResNet1dConfig()
    assert named_encoder("s4:base") == S4Config()
    assert named_encoder("conv_transformer:tiny") == ConvTransformerConfig.named("tiny")
    with pytest.raises(
        ConfigError,
        match=r"got 'lstm'; give NAME or NAME:SIZE, .* conv_transformer, lead_time_transformer, patch_tr",
    ):
        named_encoder("lstm")
    with pytest.raises(ConfigError, match="got size 'huge'; there are base, small, tiny"):
        named_encoder("resnet1d:huge")
    with pytest.raises(ConfigError, match="got size 'mini'; there are base, small, tiny"):
        named_encoder("s4:mini")


def test_only_what_is_in_the_union_is_built():
    class Unlisted(S4Config):
        pass

    with pytest.raises(TypeError, match="no encoder for Unlisted"):
        build_encoder(Unlisted())


@pytest.mark.parametrize("kind", ["resnet1d", "s4"])
def test_the_amplitude_in_millivolts_reaches_the_features(kind):
    """Low voltage is a diagnosis: norms must not take it away."""
    torch.manual_seed(0)
    encoder = build_encoder(SMALL[kind]).eval()
    batch = make_batch()
    batch = replace(batch, signal=0.2 * batch.signal)
    whole, half = (encoder(replace(batch, signal=scale * batch.signal)).pooled for scale in (1.0, 0.5))
    # Behind a norm without a way around it, this would be 0 but for rounding.
    assert (whole - half).norm() > 0.01 * whole.norm()


@pytest.mark.parametrize(
    ("name", "parameters", "tokens"),
    [("resnet1d", 847_616, 157), ("s4:base", 2_226_688, 500), ("s4:tiny", 98_016, 500)],
)
def test_sizes_of_the_supervised_baselines(name, parameters, tokens):
    with torch.device("meta"):
        encoder = build_encoder(named_encoder(name))
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert encoder.num_tokens(2500) == tokens


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResNet1dConfig(kernel=4), "got kernel 4 and stages"),
        (
            lambda: ResNet1dConfig(stage_channels=(64, 100)),
            r"stages \(64, 100\) in 8 norm groups; give an odd",
        ),
        (lambda: ResNet1dConfig(dilations=()), "got no stage or no context block; give at least one"),
        (lambda: S4Config(state=7), "got state 7, .* give an even state"),
        (lambda: S4Config(layers=0), "layers 0; give an even state and at least 1 of the others"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_named_sizes():
    sizes = {name: ConvTransformerConfig.named(name) for name in ("base", "small", "mini", "tiny")}
    with torch.device("meta"):
        count = {n: sum(p.numel() for p in ConvTransformer(c).parameters()) for n, c in sizes.items()}
    assert count["base"] == 90_373_248
    assert (sizes["small"].layers, sizes["mini"].dimension, sizes["tiny"].conv_channels) == (8, 256, 128)
    with pytest.raises(ConfigError, match="got size 'huge'"):
        ConvTransformerConfig.named("huge")
    with pytest.raises(ConfigError, match="not divisible by 5 heads"):
        ConvTransformerConfig(heads=5)


def test_a_batch_names_every_column():
    batch = make_batch()
    with pytest.raises(InputError, match="2 lead names for 12 columns"):
        replace(batch, leads=("I", "II"))


def test_frames_of_40_ms_are_20_samples_each():
    encoder = build_encoder(VARIANTS["conv_transformer, 40 ms"])
    assert encoder.num_tokens(2500) == 125
    assert encoder.num_tokens(2519) == 125


def test_kernels_that_cannot_be_used_are_refused():
    for kernels in ((), (2, 0)):
        with pytest.raises(ConfigError, match="conv_kernels is"):
            replace(SMALL["conv_transformer"], conv_kernels=kernels)


def test_with_the_norm_first_the_residual_stream_is_not_normed_between_layers():
    torch.manual_seed(0)
    encoder = build_encoder(VARIANTS["conv_transformer, norm first"]).eval()
    for block in encoder.blocks:
        torch.nn.init.zeros_(block.attention.output.weight)
        torch.nn.init.zeros_(block.contract.weight)
    batch = make_batch()
    first, last = encoder(batch, layer=0), encoder(batch)
    # Branches that add nothing leave the stream as it came in.
    assert torch.allclose(first.tokens, last.tokens)
