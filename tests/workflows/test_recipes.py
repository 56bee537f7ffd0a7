"""Every published way to pre-train has a recipe, and one made small for a CPU, and both can be run."""

from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from anylead.batch import Batch
from anylead.config import read_yaml, to_plain
from anylead.encoders import DEFAULT_SIZES, ENCODERS, build_encoder, named_encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Progress
from anylead.objectives import OBJECTIVES, build_objective
from anylead.workflows.pretrain import PretrainConfig, pretrain, read_pretrain_config

RECIPES = Path(__file__).parents[2] / "recipes"
PAPERS_OWN = {"oh2022": "cpu"}
"""The paper that this package begins with, whose names are older than the scheme."""
SMALL = {path.stem for path in RECIPES.glob("*.yaml") if path.stem.endswith("cpu")}
FULL = {path.stem for path in RECIPES.glob("*.yaml")} - SMALL
HEADER = ("Paper", "Data", "Hardware", "Score", "Differs")
THROWN_AWAY = {
    f"{part}_{size}" for part in ("decoder", "predictor") for size in ("width", "layers", "heads")
} | {"generator_width"}
"""Settings of an objective that a recipe for a CPU may have smaller: sizes of networks that are not kept."""


def text(name: str) -> str:
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")


def header(name: str) -> str:
    """The comments at the top, as one line."""
    lines = text(name).splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line[1:].strip() for line in lines[:end])


def config(name: str, **changes: object) -> PretrainConfig:
    values = {"stores": ["s"], "out": "r", **read_yaml(RECIPES / f"{name}.yaml")}
    return replace(read_pretrain_config(values, where=name), **changes)


def small_of(name: str) -> str:
    return PAPERS_OWN.get(name, f"{name}_cpu")


def test_every_recipe_is_of_an_objective_and_has_one_for_a_cpu() -> None:
    kinds = {config(name).objective.kind for name in FULL}
    assert kinds <= set(OBJECTIVES)
    assert kinds >= {"w2v_cmsc", "st_mem", "jepa_time", "cpc"}
    assert {small_of(name) for name in FULL} == SMALL


@pytest.mark.parametrize("name", sorted(FULL - set(PAPERS_OWN)))
def test_a_recipe_is_named_after_its_objective(name: str) -> None:
    kind = config(name).objective.kind
    assert name == kind or name.startswith(f"{kind}_")
    assert config(small_of(name)).objective.kind == kind


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_recipe_says_what_it_is_of(name: str) -> None:
    said = header(name)
    assert [field for field in HEADER if f" {field}: " not in said] == []
    assert f"--recipe recipes/{name}.yaml " in said
    rate = config(name).encoder_config.sampling_rate_hz
    assert rate == 500.0 or f"anylead prepare SOURCE PATH --rate-hz {rate:g} " in said
    assert "`ours`" in said or "ours" not in text(name)


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_small_recipe_says_what_it_is_of(name: str) -> None:
    said = header(small_of(name))
    assert f"recipes/{name}.yaml" in said
    assert "made small" in said
    assert f"--recipe recipes/{small_of(name)}.yaml " in said


@pytest.mark.parametrize("name", sorted(FULL))
def test_every_setting_of_an_objective_is_written_out(name: str) -> None:
    # Where the default is the paper's too: a default may change, the paper does not.
    written = read_yaml(RECIPES / f"{name}.yaml")["objective"]
    assert {f.name for f in fields(config(name).objective)} - set(written) <= {"kind"}


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_small_recipe_has_the_objective_of_the_large_one(name: str) -> None:
    large, small = (to_plain(config(one).objective) for one in (name, small_of(name)))
    assert {setting for setting, value in large.items() if small[setting] != value} <= THROWN_AWAY


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_recipe_is_small_and_takes_the_usual_store(name: str) -> None:
    chosen = config(name)
    kind = next(kind for kind, (cls, _) in ENCODERS.items() if type(chosen.encoder_config) is cls)
    tiny, usual = named_encoder(f"{kind}:tiny"), named_encoder(f"{kind}:{DEFAULT_SIZES[kind]}")
    for size in ("dimension", "layers", "stage_channels", "sampling_rate_hz"):
        assert getattr(chosen.encoder_config, size, None) == getattr(tiny, size, None)
    assert chosen.encoder_config.sampling_rate_hz == usual.sampling_rate_hz
    assert chosen.steps is not None
    assert chosen.steps <= (1000 if name == "cpu" else 400)


def windows(chosen: PretrainConfig, rows: int = 4) -> Batch:
    """What the feed makes of recordings of 12 leads, without what is in them."""
    encoder = chosen.encoder_config
    samples = round(chosen.feed.window_s * encoder.sampling_rate_hz)
    return Batch(
        signal=torch.randn(rows, len(encoder.leads), samples),
        lead_mask=torch.ones(rows, len(encoder.leads), dtype=torch.bool),
        sample_mask=torch.ones(rows, samples, dtype=torch.bool),
        leads=encoder.leads,
        sampling_rate_hz=encoder.sampling_rate_hz,
        padded=False,
        row=torch.arange(rows),
        patient=torch.arange(rows) // 2,
        segment=torch.arange(rows) % 2,
    )


@pytest.mark.parametrize("name", sorted(FULL))
def test_an_objective_can_be_computed_on_its_encoder_at_full_size(name: str, monkeypatch) -> None:
    chosen = config(name)
    # Tensors on this device have shapes and no content: an encoder of 12 layers of 768 costs nothing.
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)  # which know nothing of it
    monkeypatch.setattr(torch, "autocast", lambda device, **given: nullcontext())
    with torch.device("meta"):
        encoder = build_encoder(chosen.encoder_config)
        objective = build_objective(chosen.objective, encoder)
        # The last update: whatever begins later in a run has begun.
        batch, progress = windows(chosen), Progress(step=9, total_steps=10)
        draws = objective.draw(encoder, batch, DrawKey(seed=0, step=9), progress)
        loss = objective.loss(encoder, batch, draws=draws, progress=progress)
        assert loss.value.shape == ()
        assert loss.pooled.shape == (4, encoder.dimension)


@pytest.mark.parametrize("name", sorted(FULL))
def test_two_windows_fit_into_ten_seconds(name: str) -> None:
    # The feed cuts two windows of a recording, and most published recordings have 10 s.
    assert config(name).feed.window_s <= 5.0
    assert config(small_of(name)).feed.window_s == config(name).feed.window_s


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_recipe_trains(name: str, synthetic_store: Path, tmp_path: Path) -> None:
    chosen = config(name, stores=(synthetic_store,), out=tmp_path / "run", steps=1, threads=1, device="cpu")
    chosen = replace(chosen, feed=replace(chosen.feed, pairs_per_batch=2, micro_batches=1))
    result = pretrain(chosen, progress=False)
    assert result.finished
    assert result.last["loss"] == result.last["loss"]


def test_the_table_names_every_recipe() -> None:
    table = (RECIPES / "README.md").read_text(encoding="utf-8")
    page = (RECIPES.parent / "docs" / "objectives.md").read_text(encoding="utf-8")
    for name in sorted(FULL | SMALL):
        assert f"({name}.yaml)" in table, name
        assert f"(../recipes/{name}.yaml)" in page, name
