import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from anylead.bundle import load
from anylead.cli import dispatch, main
from anylead.config import read_yaml, to_plain
from anylead.encoders import ConvTransformerConfig, LeadTimeTransformerConfig, S4Config
from anylead.engine import AdamWConfig, WarmupCosine, read_run_log, save_checkpoint
from anylead.engine.checkpoint import checkpoints
from anylead.errors import CheckpointError, ConfigError, FileError, TrainingError
from anylead.feed import PairFeed, PairFeedConfig
from anylead.objectives import OBJECTIVES, W2VCMSCConfig
from anylead.preparation import Preparation
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, write_store
from anylead.workflows.pretrain import PretrainConfig, pretrain, read_pretrain_config
from small_objectives import CAUSAL, ON_LEAD_TOKENS
from small_objectives import SMALL as OBJECTIVE_SIZES

RECIPES = Path(__file__).parents[2] / "recipes"

SMALL = ConvTransformerConfig(
    conv_channels=8,
    dimension=16,
    layers=1,
    heads=2,
    feedforward=16,
    position_kernel=4,
    position_groups=2,
    sampling_rate_hz=100.0,
)

GRID_ENCODER = LeadTimeTransformerConfig(
    patch_samples=50, dimension=16, layers=1, heads=2, feedforward=16, sampling_rate_hz=100.0
)
CAUSAL_ENCODER = S4Config(dimension=16, layers=1, state=4, stride=20, sampling_rate_hz=100.0, causal=True)


def prepared(folder: Path, *, patients: int = 12, rate_hz: float = 100.0) -> Path:
    write_store(
        Synthetic(patients=patients, sessions=1),
        None,
        folder,
        preparation=Preparation.default(rate_hz=rate_hz),
        split=SplitConfig(),
    )
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("pretrain") / "store")


@pytest.fixture
def config(store, tmp_path) -> PretrainConfig:
    return small_run(store, tmp_path / "run")


def small_run(store: Path, out: Path, **changes) -> PretrainConfig:
    settings = PretrainConfig(
        stores=(store,),
        out=out,
        steps=12,
        encoder=SMALL,
        objective=W2VCMSCConfig(span=2, negatives=4, entries=8, final_dimension=8),
        feed=PairFeedConfig(pairs_per_batch=3, micro_batches=2, crop="random"),
        optimizer=AdamWConfig(learning_rate=1e-3, epsilon_placement="before_bias_correction"),
        schedule=WarmupCosine(),
        log_every=4,
        threads=1,
        device="cpu",
    )
    return replace(settings, **changes)


def lines(run: Path) -> list[dict]:
    """The log without what depends on the clock."""
    return [{k: v for k, v in line.items() if k != "segments_per_s"} for line in read_run_log(run)]


def content(run: Path) -> dict:
    """The last checkpoint, flat, tensors as bytes."""
    flat: dict[str, object] = {}

    def put(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                put(f"{name}.{key}", item)
        elif isinstance(value, list | tuple):
            put(name, dict(enumerate(value)))
        elif isinstance(value, torch.Tensor):
            flat[name] = (value.dtype, tuple(value.shape), value.numpy().tobytes())
        else:
            flat[name] = value

    put("", torch.load(checkpoints(run / "checkpoints")[-1], weights_only=True))
    return flat


def assert_equal_runs(a: Path, b: Path) -> None:
    assert lines(a) == lines(b)
    assert content(a) == content(b)
    weights = [(run / "bundle" / "model.safetensors").read_bytes() for run in (a, b)]
    assert weights[0] == weights[1]


def stop_during(step: int, monkeypatch, number: int = signal.SIGTERM) -> None:
    """Sends this process a signal when the batches of a step are made."""
    plain: Callable = PairFeed.batches

    def batches(self: PairFeed, asked: int) -> list:
        if asked == step:
            os.kill(os.getpid(), number)
        return plain(self, asked)

    monkeypatch.setattr(PairFeed, "batches", batches)


def test_a_run_leaves_a_bundle_and_says_what_it_did(config, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="anylead"):
        result = pretrain(config, progress=False)
    assert result.finished
    assert (result.step, result.total_steps) == (12, 12)
    assert sorted(path.name for path in config.out.iterdir()) == [
        "bundle", "checkpoints", "config.yaml", "environment.json", "fed.json", "metrics.jsonl",
    ]  # fmt: skip
    bundle = load(result.bundle)
    signal_mv = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    assert bundle.embed(signal_mv, fs=100.0, leads=["I", "II"]).shape == (1, SMALL.dimension)
    assert bundle.manifest.window_s == 5.0
    assert bundle.manifest.provenance["pretraining"]["steps"] == 12
    assert bundle.manifest.provenance["stores"][0]["source"] == "synthetic"
    saved = torch.load(checkpoints(config.out / "checkpoints")[-1], weights_only=True)
    assert all(torch.equal(v, saved["encoder"][n]) for n, v in bundle.encoder.state_dict().items())

    log = read_run_log(config.out)
    assert [line["step"] for line in log] == list(range(1, 13))
    for name in ("loss", "contrast", "contrast_accuracy", "cmsc", "codes_in_use", "learning_rate"):
        assert all(np.isfinite(line[name]) for line in log)
    assert log[-1]["segments_per_s"] > 0
    assert result.last == log[-1]
    # 12 patients: one in the test and one in the validation split; one pair in each of the other recordings.
    assert result.fed.pairs == result.fed.recordings == 10
    assert json.loads((config.out / "fed.json").read_text())["pairs"] == 10
    assert "10 pairs of 10 recordings are fed." in caplog.text
    assert json.loads((config.out / "environment.json").read_text())["threads"] == 1


def test_the_same_run_twice_is_the_same_run_and_another_seed_is_not(config, tmp_path) -> None:
    pretrain(config, progress=False)
    pretrain(replace(config, out=tmp_path / "again"), progress=False)
    assert_equal_runs(config.out, tmp_path / "again")
    pretrain(replace(config, out=tmp_path / "other", seed=1), progress=False)
    assert lines(config.out)[0]["loss"] != lines(tmp_path / "other")[0]["loss"]


def test_a_finished_run_is_left_as_it_is(config) -> None:
    pretrain(config, progress=False)
    before = (config.out / "metrics.jsonl").read_bytes(), content(config.out)
    result = pretrain(config, progress=False)
    assert result.finished
    assert result.last["step"] == 12
    assert ((config.out / "metrics.jsonl").read_bytes(), content(config.out)) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_goes_on_bit_equal(config, tmp_path, monkeypatch, number) -> None:
    pretrain(replace(config, out=tmp_path / "straight"), progress=False)
    with monkeypatch.context() as patch:
        stop_during(6, patch, number)
        result = pretrain(config, progress=False)
    assert not result.finished
    assert result.bundle is None
    assert 1 <= result.step <= 7
    assert [path.name for path in checkpoints(config.out / "checkpoints")] == [
        f"checkpoint-{result.step:08d}.pt"
    ]
    assert [line["step"] for line in lines(config.out)] == list(range(1, result.step + 1))
    # What may change in between: how often it logs and saves, and where the store is.
    assert pretrain(replace(config, log_every=1, checkpoint_minutes=0.0), progress=False).finished
    assert_equal_runs(config.out, tmp_path / "straight")


def test_a_damaged_last_checkpoint_costs_only_the_steps_since_the_one_before(
    config, tmp_path, caplog
) -> None:
    often = replace(config, checkpoint_minutes=0.0)
    pretrain(often, progress=False)
    pretrain(replace(often, out=tmp_path / "straight"), progress=False)
    last = checkpoints(config.out / "checkpoints")[-1]
    last.write_bytes(last.read_bytes()[:5000])
    with caplog.at_level(logging.INFO, logger="anylead"):
        pretrain(often, progress=False)
    assert "checkpoint-00000012.pt: cannot be read" in caplog.text
    assert "goes on after step 11 of 12" in caplog.text
    assert_equal_runs(config.out, tmp_path / "straight")


def test_a_full_disk_is_told_and_the_run_goes_on_from_the_checkpoint_before(
    config, tmp_path, monkeypatch
) -> None:
    often = replace(config, checkpoint_minutes=0.0)
    pretrain(replace(often, out=tmp_path / "straight"), progress=False)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def full_at(state, folder):
        if state.step == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        return save_checkpoint(state, folder)

    monkeypatch.setattr("anylead.workflows.pretrain.save_checkpoint", full_at)
    try:
        with pytest.raises(FileError, match=r"checkpoint-00000006.pt: could not be written .*make room"):
            pretrain(often, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoints(config.out / "checkpoints")[-1].name == "checkpoint-00000005.pt"
    monkeypatch.undo()
    pretrain(often, progress=False)
    assert_equal_runs(config.out, tmp_path / "straight")


def test_a_run_ends_where_it_is_asked_to(config) -> None:
    answers = iter([False, False, True])
    result = pretrain(config, progress=False, stop=lambda: next(answers))
    assert (result.step, result.finished, result.by_user) == (3, False, False)
    assert checkpoints(config.out / "checkpoints")[-1].name == "checkpoint-00000003.pt"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_has_worked_when_the_system_stops_it_and_not_when_the_user_does(
    config, monkeypatch, capsys, number, code
) -> None:
    recipe = config.out.with_suffix(".yaml")
    plain = {k: v for k, v in to_plain(config).items() if k not in ("stores", "out")}
    recipe.write_text(yaml.safe_dump(plain))
    stop_during(6, monkeypatch, number)
    monkeypatch.setattr(dispatch, "_log_to_stderr", lambda: None)
    store, out = str(config.stores[0]), str(config.out)
    assert main(["pretrain", "--recipe", str(recipe), "--store", store, "--out", out]) == code
    stopped = len(read_run_log(config.out))
    assert 1 <= stopped <= 7
    assert f"stopped after step {stopped} of 12; the same command continues" in capsys.readouterr().out


def test_epochs_become_steps(config) -> None:
    # Ten pairs, six a step.
    result = pretrain(replace(config, steps=None, epochs=3.0), progress=False)
    assert result.total_steps == 5


def test_a_run_goes_on_where_the_store_has_moved_but_not_on_another_store(config, tmp_path) -> None:
    pretrain(config, progress=False)
    moved = tmp_path / "moved"
    subprocess.run(["cp", "-r", config.stores[0], moved], check=True)
    assert pretrain(replace(config, stores=(moved,)), progress=False).finished
    other = prepared(tmp_path / "other", patients=11)
    with pytest.raises(
        CheckpointError, match=r"belongs to another configuration: stores was \['\w+'\] and is now"
    ):
        pretrain(replace(config, stores=(other,)), progress=False)


def test_a_run_of_another_configuration_is_refused(config) -> None:
    pretrain(config, progress=False)
    before = (config.out / "config.yaml").read_bytes()
    other = replace(
        config, optimizer=AdamWConfig(learning_rate=2e-3, epsilon_placement="before_bias_correction")
    )
    with pytest.raises(
        ConfigError,
        match=r"run of another configuration: optimizer.learning_rate was 0.001 and is now 0.002\. Use",
    ):
        pretrain(other, progress=False)
    assert (config.out / "config.yaml").read_bytes() == before


def test_a_named_size_and_the_same_spelled_out_are_one_configuration(config) -> None:
    config.out.mkdir()
    plain = to_plain(config) | {"encoder": "mini"}
    (config.out / "config.yaml").write_text(yaml.safe_dump(plain))
    spelled_out = replace(config, encoder=ConvTransformerConfig.named("tiny"))
    with pytest.raises(ConfigError, match=r"encoder.conv_channels was 256 and is now 128; .* and 1 more"):
        pretrain(spelled_out, progress=False)
    with pytest.raises(
        ConfigError, match="prepare the stores at that rate"
    ):  # refused later, for another reason
        pretrain(replace(config, encoder="mini"), progress=False)


def test_a_folder_with_other_files_is_refused_but_not_one_a_kill_left(config) -> None:
    config.out.mkdir()
    (config.out / ".config.yaml.x.partial").write_text("")
    (config.out / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="run: holds other files and no run; name a new or empty folder"):
        pretrain(config, progress=False)
    (config.out / "thesis.tex").unlink()
    assert pretrain(replace(config, steps=1), progress=False).finished


def test_a_file_in_place_of_the_folder_is_refused(config) -> None:
    config.out.write_text("")
    with pytest.raises(ConfigError, match="run: is a file; name a folder for the run"):
        pretrain(config, progress=False)


def test_stores_of_another_rate_are_refused(config) -> None:
    with pytest.raises(
        ConfigError, match="the stores have 100 Hz and the encoder is built for 500 Hz; prepare"
    ):
        pretrain(replace(config, encoder="tiny"), progress=False)


def test_a_diverged_run_is_told_and_leaves_no_checkpoint_of_it(config) -> None:
    wild = replace(
        config, optimizer=AdamWConfig(learning_rate=1e30), schedule=WarmupCosine(warmup_fraction=0.0)
    )
    with pytest.raises(TrainingError, match=r"step \d+: the loss is not finite"):
        pretrain(wild, progress=False)
    assert checkpoints(config.out / "checkpoints") == []


def test_cuda_where_there_is_none_is_refused(config, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device is cuda and torch finds none here; use cpu or auto"):
        pretrain(replace(config, device="cuda"), progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stores": ()}, "no store was given; name at least one"),
        ({"steps": 0}, "steps is 0; give a number of at least 1"),
        ({"workers": 0}, "workers is 0; give a number of at least 1"),
        ({"workers": 2}, "workers is 2 and is for backend ray; with torchrun, start torchrun --nproc-per-no"),
        ({"log_every": 0}, "log_every is 0; give a number of at least 1"),
        ({"epochs": 0.0}, "epochs is 0 and checkpoint_minutes 5; epochs must be above 0"),
        (
            {"checkpoint_minutes": -1.0},
            "checkpoint_minutes -1; epochs must be above 0 and checkpoint_minutes not",
        ),
    ],
)
def test_impossible_settings_are_refused(config, changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(config, **changes)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_is_a_configuration(recipe) -> None:
    config = read_pretrain_config({**read_yaml(recipe), "stores": ["s"], "out": "r"}, where=recipe.name)
    assert read_pretrain_config(yaml.safe_load(yaml.safe_dump(to_plain(config)))) == config


def test_the_papers_recipe_is_the_papers() -> None:
    config = read_pretrain_config({**read_yaml(RECIPES / "oh2022.yaml"), "stores": ["s"], "out": "r"})
    assert config.encoder == ConvTransformerConfig.named("base")
    assert config.objective == W2VCMSCConfig()  # whose defaults are the paper's
    assert config.feed.pairs_per_batch * config.feed.micro_batches == 512
    assert config.optimizer == AdamWConfig(
        learning_rate=5e-5,
        betas=(0.9, 0.98),
        epsilon=1e-6,
        weight_decay=0.01,
        epsilon_placement="before_bias_correction",
    )
    assert config.schedule.kind == "constant"
    assert (config.steps, config.epochs, config.clip_norm, config.seed) == (None, 200.0, None, 1)


def test_an_encoder_in_a_recipe_may_be_of_another_kind() -> None:
    def read(encoder):
        return read_pretrain_config({"stores": ["s"], "out": "o", "encoder": encoder}).encoder_config

    tiny = LeadTimeTransformerConfig.named("tiny")
    assert read("lead_time_transformer:tiny") == tiny
    changed = read({"kind": "lead_time_transformer", "size": "tiny", "attention": "cross_pattern"})
    assert changed == replace(tiny, attention="cross_pattern")
    assert read({"kind": "s4"}) == S4Config.named("tiny")
    # As the flags --encoder NAME:SIZE --encoder.attention cross_pattern come in.
    assert read({"size": "lead_time_transformer:tiny", "attention": "cross_pattern"}) == changed
    assert read(to_plain(changed)) == changed, "as a run wrote it"
    with pytest.raises(ConfigError, match=r"pretrain\.encoder: unknown name conv_layers; S4Config has leads"):
        read({"kind": "s4", "conv_layers": 3})


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_trains_from_a_recipe_and_goes_on_bit_equal(store, tmp_path, name) -> None:
    """Teachers and whatever else an objective keeps are in the checkpoint."""
    encoder = GRID_ENCODER if name in ON_LEAD_TOKENS else CAUSAL_ENCODER if name in CAUSAL else SMALL
    recipe = {
        "encoder": to_plain(encoder),
        "objective": to_plain(OBJECTIVE_SIZES[name]),
        "feed": {"pairs_per_batch": 4, "second": "same" if name in ("simclr", "byol") else "neighbour"},
        "augmentation": {"kind": "dipole_views"} if name == "threekg" else {"kind": "noises"},
        "optimizer": {"learning_rate": 1e-3},
        "steps": 4,
        "checkpoint_minutes": 0.0,
        "log_every": 1,
        "device": "cpu",
        "threads": 1,
    }
    runs = []
    for folder in ("whole", "stopped"):
        config = read_pretrain_config({**recipe, "stores": [str(store)], "out": str(tmp_path / folder)})
        pretrain(config, progress=False)
        runs.append(config.out)
    # As if it had been killed after its third checkpoint; two are kept.
    checkpoints(runs[1] / "checkpoints")[-1].unlink()
    shutil.rmtree(runs[1] / "bundle")
    pretrain(config, progress=False)
    first, second = content(runs[0]), content(runs[1])
    assert first == second
    log = read_run_log(runs[0])
    assert all(line["effective_rank"] >= 1.0 for line in log)
    assert load(runs[0] / "bundle").encoder.dimension == 16


def test_an_encoder_in_a_recipe_may_change_a_size() -> None:
    base = {"stores": ["s"], "out": "r"}
    changed = read_pretrain_config({**base, "encoder": {"size": "tiny", "layers": 5}})
    assert changed.encoder == replace(ConvTransformerConfig.named("tiny"), layers=5)
    assert read_pretrain_config({**base, "encoder": {"layers": 5}}).encoder == replace(
        ConvTransformerConfig.named("mini"), layers=5
    )
    assert read_pretrain_config({**base, "encoder": "tiny"}).encoder_config == ConvTransformerConfig.named(
        "tiny"
    )
    with pytest.raises(ConfigError, match="encoder: got size 'huge'; there are base, small"):
        read_pretrain_config({**base, "encoder": {"size": "huge"}})
    with pytest.raises(ConfigError, match="unknown name layer; ConvTransformerConfig has"):
        read_pretrain_config({**base, "encoder": {"size": "tiny", "layer": 5}})


SCRIPT = """
import sys, yaml
from anylead.workflows.pretrain import pretrain, read_pretrain_config
pretrain(read_pretrain_config(yaml.safe_load(sys.stdin)), progress=False)
"""


def process(config: PretrainConfig) -> subprocess.Popen:
    started = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, text=True)
    assert started.stdin
    started.stdin.write(yaml.safe_dump(to_plain(config)))
    started.stdin.close()
    return started


@pytest.mark.slow
def test_a_run_killed_at_random_moments_comes_to_the_same_weights(store, tmp_path) -> None:
    # A checkpoint about every 50 ms of a run of seconds, so that kills also fall into writing one.
    config = small_run(store, tmp_path / "killed", steps=200, checkpoint_minutes=0.05 / 60)
    straight = process(replace(config, out=tmp_path / "straight", checkpoint_minutes=5.0))
    kills: list[tuple[int, float]] = []
    for goal in (10, 60, 110):
        running = process(config)
        deadline = time.monotonic() + 600
        while len(read_run_log(config.out)) < goal:
            assert running.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        delay = random.uniform(0.0, 0.2)
        time.sleep(delay)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, "the run ended before it was killed"
        kills.append((len(read_run_log(config.out)), delay))
    final = process(config)
    assert final.wait(timeout=900) == 0
    assert straight.wait(timeout=900) == 0
    assert 10 <= kills[0][0] < 200, kills
    assert_equal_runs(config.out, tmp_path / "straight")


def test_keeps_bundles_on_the_way_and_comes_to_the_same_end(store, tmp_path):
    plain = pretrain(small_run(store, tmp_path / "plain"), progress=False)
    config = small_run(store, tmp_path / "kept", bundle_at=(0.25, 0.5, 1.0))
    kept = pretrain(config, progress=False)
    folders = sorted((tmp_path / "kept" / "bundles").iterdir(), key=lambda path: int(path.name[5:]))
    assert [path.name for path in folders] == ["step-3", "step-6", "step-12"]
    weights = [load(path).encoder.state_dict() for path in folders]
    last = load(kept.bundle).encoder.state_dict()
    straight = load(plain.bundle).encoder.state_dict()
    assert all(torch.equal(last[name], straight[name]) for name in last)
    assert all(torch.equal(last[name], weights[2][name]) for name in last)
    assert not all(torch.equal(weights[0][name], weights[1][name]) for name in last)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_refuses_to_keep_a_bundle_outside_the_run(store, tmp_path, share):
    with pytest.raises(ConfigError, match=r"bundle_at is 0?.*; give shares of the run above 0, at most 1"):
        small_run(store, tmp_path, bundle_at=(share,))
