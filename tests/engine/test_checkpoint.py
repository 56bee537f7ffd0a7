import logging
import resource
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from anylead.encoders import ConvTransformer, ConvTransformerConfig
from anylead.engine import AdamWConfig, TrainState, build_optimizer, load_latest, save_checkpoint
from anylead.engine.checkpoint import checkpoints, differences
from anylead.errors import CheckpointError, FileError, TrainingError
from anylead.heads.base import HeadConfig
from anylead.heads.linear import LinearHead

SHAPE = ConvTransformerConfig(
    conv_channels=4, dimension=8, layers=1, heads=1, feedforward=8, position_kernel=4, position_groups=1
)
CONFIG = {"steps": 30, "optimizer": {"learning_rate": 0.1, "betas": [0.9, 0.98]}}


def start(*, seed: int = 1, config: dict | None = None, classes: tuple[str, ...] = ("a",)) -> TrainState:
    torch.manual_seed(seed)
    encoder = ConvTransformer(SHAPE)
    head = LinearHead(HeadConfig(classes=classes), encoder)
    optimizer = build_optimizer(AdamWConfig(epsilon_placement="before_bias_correction"), encoder, head)
    return TrainState(encoder=encoder, objective=head, optimizer=optimizer, seed=5, config=config or CONFIG)


def update(state: TrainState) -> None:
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    state.step += 1


def saved_at(state: TrainState, folder: Path, *steps: int) -> None:
    while state.step < max(steps):
        update(state)
        if state.step in steps:
            save_checkpoint(state, folder)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    assert all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_everything_comes_back(tmp_path) -> None:
    state = start()
    saved_at(state, tmp_path, 3)
    other = start(seed=2)
    assert load_latest(other, tmp_path)
    assert other.step == 3
    for s in (state, other):  # moments and counts too: the next update is the same
        update(s)
    assert_same_weights(state.encoder, other.encoder)
    assert_same_weights(state.objective, other.objective)


def test_an_empty_or_absent_folder_has_nothing_to_load(tmp_path) -> None:
    state = start()
    before = {name: value.clone() for name, value in state.encoder.state_dict().items()}
    assert not load_latest(state, tmp_path)
    assert not load_latest(state, tmp_path / "absent")
    assert all(torch.equal(value, before[name]) for name, value in state.encoder.state_dict().items())


def test_the_newest_two_are_kept_in_the_order_of_their_steps(tmp_path) -> None:
    saved_at(start(), tmp_path, 1, 9, 10)
    assert [path.name for path in checkpoints(tmp_path)] == [
        "checkpoint-00000009.pt",
        "checkpoint-00000010.pt",
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint" * 100),
        lambda path: torch.save([1, 2], path),
        flip_a_byte,
    ],
    ids=["cut off", "empty", "rubbish", "another file", "flipped bit"],
)
def test_a_damaged_newest_one_is_passed_over_with_a_warning(tmp_path, caplog, damage) -> None:
    state = start()
    saved_at(state, tmp_path, 3, 6)
    newest = tmp_path / "checkpoint-00000006.pt"
    damage(newest)
    other = start(seed=2)
    with caplog.at_level(logging.WARNING, logger="anylead.engine"):
        assert load_latest(other, tmp_path)
    assert other.step == 3
    assert "checkpoint-00000006.pt: " in caplog.text
    assert "it is passed over." in caplog.text
    # The damaged one may not displace good ones.
    saved_at(other, tmp_path, 4, 5)
    assert [path.stem[-1] for path in checkpoints(tmp_path)] == ["4", "5"]


def test_no_readable_one_is_an_error_and_not_a_fresh_start(tmp_path) -> None:
    saved_at(start(), tmp_path, 3)
    (tmp_path / "checkpoint-00000003.pt").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match="none of its 1 checkpoints can be read; remove them to start anew"
    ):
        load_latest(start(), tmp_path)


def test_another_configuration_is_refused_and_the_setting_named(tmp_path) -> None:
    saved_at(start(), tmp_path, 3)
    other = start(config={**CONFIG, "optimizer": {"learning_rate": 0.2, "betas": [0.9, 0.98]}})
    before = {name: value.clone() for name, value in other.encoder.state_dict().items()}
    with pytest.raises(
        CheckpointError,
        match=r"belongs to another configuration: optimizer.learning_rate was 0.1 and is now 0.2\. Use",
    ):
        load_latest(other, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in other.encoder.state_dict().items())


def test_another_seed_is_another_configuration(tmp_path) -> None:
    saved_at(start(), tmp_path, 3)
    other = start()
    other.seed = 6
    with pytest.raises(CheckpointError, match="seed was 5 and is now 6"):
        load_latest(other, tmp_path)


def test_many_differences_are_counted(tmp_path) -> None:
    saved_at(start(config={name: 1 for name in "abcde"}), tmp_path, 1)
    with pytest.raises(
        CheckpointError, match=r"a was 1 and is now 2; b was .*; c was 1 and is now 2 and 2 more"
    ):
        load_latest(start(config={name: 2 for name in "abcde"}), tmp_path)


def test_differences_of_nested_settings() -> None:
    assert differences({"a": {"b": 1, "c": 2}, "d": 0}, {"a": {"b": 1, "c": 3}, "e": 0}) == [
        "a.c was 2 and is now 3",
        "d was 0 and is now None",
        "e was None and is now 0",
    ]


def test_a_newer_format_is_refused_and_not_passed_over(tmp_path) -> None:
    saved_at(start(), tmp_path, 3, 6)
    path = tmp_path / "checkpoint-00000006.pt"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "format": 99, "anylead": "9.0"}, path)
    with pytest.raises(
        CheckpointError, match=r"has format 99, written by anylead 9.0; this version reads up to"
    ):
        load_latest(start(), tmp_path)


def test_networks_of_another_shape_are_refused(tmp_path) -> None:
    saved_at(start(), tmp_path, 3)
    with pytest.raises(
        CheckpointError, match=r"does not fit the networks of this version .*new run elsewhere"
    ):
        load_latest(start(classes=("a", "b")), tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path) -> None:
    state = start()
    with torch.no_grad():
        next(state.objective.parameters())[0] = float("nan")
    with pytest.raises(
        TrainingError, match="step 0: a weight is not finite, so no checkpoint was written; lower"
    ):
        save_checkpoint(state, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_one_and_nothing_else(tmp_path) -> None:
    state = start()
    saved_at(state, tmp_path, 3)
    update(state)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        with pytest.raises(FileError, match=r"checkpoint-00000004.pt: could not be written .*make room"):
            save_checkpoint(state, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000003.pt"]
    assert load_latest(start(), tmp_path)


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path) -> None:
    (tmp_path / ".checkpoint-00000002.pt.x1y2.partial").write_bytes(b"half")
    saved_at(start(), tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000003.pt"]
