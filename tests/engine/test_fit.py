from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from anylead.batch import Batch
from anylead.encoders import ConvTransformer, ConvTransformerConfig, Encoder
from anylead.engine import AdamWConfig, Constant, TrainState, WarmupCosine, build_optimizer, fit
from anylead.errors import ConfigError, InputError, TrainingError
from anylead.heads.base import HeadConfig
from anylead.heads.linear import LinearHead
from anylead.nn.keyed_random import DrawKey, uniform
from anylead.objectives import W2VCMSC, Loss, Objective, Progress, W2VCMSCConfig

LEADS = ("I", "II")
SMALL = ConvTransformerConfig(
    leads=LEADS,
    conv_channels=8,
    dimension=16,
    layers=1,
    heads=2,
    feedforward=16,
    position_kernel=4,
    position_groups=2,
)
SMALL_OBJECTIVE = W2VCMSCConfig(span=2, negatives=4, entries=8, final_dimension=8)


def batch(rows: Sequence[int], *, seed: int = 0, samples: int = 320) -> Batch:
    """Pairs of segments of made-up signal; what a row holds depends on its number only."""
    number = torch.tensor(rows)
    signal = uniform(DrawKey(seed=seed, step=0, purpose="signal"), number, len(LEADS), samples) - 0.5
    return Batch(
        signal=signal,
        lead_mask=torch.ones(len(rows), len(LEADS), dtype=torch.bool),
        sample_mask=torch.ones(len(rows), samples, dtype=torch.bool),
        leads=LEADS,
        sampling_rate_hz=500.0,
        padded=False,
        row=number,
        patient=number // 2,
        segment=number % 2,
    )


class PulledMean(Objective):
    """Sums, over segments, the squared distance of the pooled vector from a learned point."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.ones(encoder.dimension))
        self.seen: list[tuple[str, int]] = []

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Tensor:
        self.seen.append(("draw", progress.step))
        return uniform(key.of("noise"), batch.row, encoder.dimension)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: Tensor, progress: Progress) -> Loss:
        value = (encoder(batch).pooled + 0.1 * draws - self.point).square().sum()
        return Loss(value=value, count=float(len(batch)), terms={"mean_square": value.detach() / len(batch)})

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        self.seen.append(("after", progress.step))


def start(*, dropout: float = 0.0, config: AdamWConfig | None = None, kind: type = PulledMean) -> TrainState:
    torch.manual_seed(1)
    shape = replace(SMALL, dropout=dropout, attention_dropout=dropout, input_dropout=dropout)
    encoder = ConvTransformer(shape)
    objective = PulledMean(encoder) if kind is PulledMean else W2VCMSC(SMALL_OBJECTIVE, encoder)
    optimizer = build_optimizer(config or AdamWConfig(learning_rate=1e-2), encoder, objective)
    return TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=7)


def weights(state: TrainState) -> dict[str, Tensor]:
    parts = {"encoder": state.encoder, "objective": state.objective}
    return {f"{p}.{n}": v for p, m in parts.items() for n, v in m.state_dict().items()}


def feed(step: int) -> list[Batch]:
    return [batch(range(8 * step, 8 * step + 4), seed=3), batch(range(8 * step + 4, 8 * step + 8), seed=3)]


def test_gradient_accumulation_of_two_is_one_double_batch() -> None:
    def whole(step: int) -> list[Batch]:
        return [batch(range(8 * step, 8 * step + 8), seed=3)]

    # A large epsilon, for Adam turns the rounding error of a tiny gradient into a full step.
    config = AdamWConfig(learning_rate=1e-2, epsilon=1e-2)
    two, one = start(config=config), start(config=config)
    a = list(fit(two, feed, total_steps=3, schedule=Constant()))
    b = list(fit(one, whole, total_steps=3, schedule=Constant()))
    for x, y in zip(a, b, strict=True):
        assert x.floats() == pytest.approx(y.floats(), rel=1e-6)
        assert x.segments == y.segments == 8
    for name, value in weights(two).items():
        torch.testing.assert_close(value, weights(one)[name], rtol=1e-5, atol=1e-6)


def test_the_gradient_is_the_sum_of_losses_over_the_sum_of_counts() -> None:
    state = start()
    slow = start()
    uneven = [batch([0, 1], seed=3), batch([2, 3, 4, 5, 6, 7], seed=3)]
    key, progress = DrawKey(seed=7, step=0), Progress(step=0, total_steps=1)
    total = sum(
        slow.objective.loss(
            slow.encoder, b, draws=slow.objective.draw(slow.encoder, b, key, progress), progress=progress
        ).value
        for b in uneven
    )
    (total / 8).backward()
    slow.optimizer.step()
    (result,) = fit(state, lambda step: uneven, total_steps=1, schedule=Constant())
    assert result.floats()["loss"] == pytest.approx(total.item() / 8, rel=1e-6)
    assert result.floats()["mean_square"] == pytest.approx(total.item() / 8, rel=1e-6)
    torch.testing.assert_close(state.objective.point, slow.objective.point, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [PulledMean, W2VCMSC])
def test_a_run_continued_from_its_state_is_bit_equal(kind) -> None:
    whole, first = start(dropout=0.3, kind=kind), start(dropout=0.3, kind=kind)
    straight = [r.floats() for r in fit(whole, feed, total_steps=5, schedule=WarmupCosine())]
    before = []
    for result in fit(first, feed, total_steps=5, schedule=WarmupCosine()):
        before.append(result.floats())
        if result.step == 2:
            break
    second = start(dropout=0.3, kind=kind)
    torch.manual_seed(12345)  # whatever the new process has drawn so far
    second.encoder.load_state_dict(first.encoder.state_dict())
    second.objective.load_state_dict(first.objective.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.step = first.step
    after = [r.floats() for r in fit(second, feed, total_steps=5, schedule=WarmupCosine())]
    assert before + after == straight
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(whole).items())


def test_dropout_differs_between_steps_and_micro_batches() -> None:
    same = batch(range(4), seed=3)
    state = start(dropout=0.5, config=AdamWConfig(learning_rate=1e-12))
    values = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        values.append(output.detach().clone())

    state.encoder.input_dropout.register_forward_hook(note)
    list(fit(state, lambda step: [same, same], total_steps=2, schedule=Constant()))
    assert len(values) == 4
    for i in range(4):
        for j in range(i):
            assert not torch.equal(values[i], values[j])


def test_the_schedule_sets_the_rate_and_progress_counts_updates() -> None:
    state = start(config=AdamWConfig(learning_rate=0.5))
    schedule = WarmupCosine(warmup_fraction=0.5)
    results = list(fit(state, feed, total_steps=4, schedule=schedule))
    assert [r.learning_rate for r in results] == pytest.approx([0.25, 0.5, 0.5, 0.25])
    assert [r.step for r in results] == [1, 2, 3, 4]
    assert state.step == 4
    expected = [
        (what, step) for step in range(4) for what in (("draw", step), ("draw", step), ("after", step + 1))
    ]
    assert state.objective.seen == [what for what, _ in expected]


def test_clipping_bounds_the_gradient() -> None:
    moved = []
    for clip_norm in (None, 1e-8):
        state = start(config=AdamWConfig(learning_rate=0.1, weight_decay=0.0, epsilon=1e-3))
        before = state.objective.point.detach().clone()
        list(fit(state, feed, total_steps=1, schedule=Constant(), clip_norm=clip_norm))
        moved.append((state.objective.point - before).abs().max().item())
    assert moved[0] > 0.05
    assert moved[1] < 1e-5


def test_frozen_parameters_stay_and_a_frozen_encoder_drops_nothing_out() -> None:
    torch.manual_seed(0)
    encoder = ConvTransformer(replace(SMALL, dropout=0.5, input_dropout=0.5)).requires_grad_(False)
    head = LinearHead(HeadConfig(classes=("a", "b")), encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = TrainState(
        encoder=encoder,
        objective=head,
        optimizer=build_optimizer(AdamWConfig(learning_rate=0.05), head),
        seed=0,
    )
    labelled = replace(batch(range(4), seed=3), target=torch.eye(2).repeat(2, 1))
    losses = [
        r.floats()["loss"] for r in fit(state, lambda s: [labelled], total_steps=20, schedule=Constant())
    ]
    assert losses[-1] < 0.9 * losses[0]
    assert not encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_evaluating_between_updates_changes_nothing() -> None:
    plain, watched = start(dropout=0.3), start(dropout=0.3)
    list(fit(plain, feed, total_steps=3, schedule=Constant()))
    for _ in fit(watched, feed, total_steps=3, schedule=Constant()):
        watched.encoder.eval()
        with torch.no_grad():
            watched.encoder(batch(range(2)))
        torch.rand(3)
    assert all(torch.equal(value, weights(watched)[name]) for name, value in weights(plain).items())


def test_a_finished_run_does_nothing() -> None:
    state = start()
    state.step = 3
    assert list(fit(state, feed, total_steps=3, schedule=Constant())) == []


@pytest.mark.parametrize("placement", ["before_bias_correction"])
def test_no_value_is_read_back_from_the_device_in_a_step(placement) -> None:
    # Under FakeTensorMode a tensor has no value, so that `.item()` raises. (On a CPU torch's own AdamW
    # reads its step count, which lives on the CPU on every device.)
    with FakeTensorMode(allow_non_fake_inputs=True):
        state = start(dropout=0.1, config=AdamWConfig(epsilon_placement=placement), kind=W2VCMSC)
        results = list(fit(state, feed, total_steps=2, schedule=WarmupCosine(), clip_norm=1.0))
    assert [r.step for r in results] == [1, 2]


def test_a_loss_that_is_not_finite_is_told_when_it_is_read() -> None:
    state = start(config=AdamWConfig(learning_rate=1e30))
    results = list(fit(state, feed, total_steps=3, schedule=Constant()))
    with pytest.raises(
        TrainingError, match=r"step \d: the loss is not finite \(loss (nan|inf), mean_square .*lower"
    ):
        [r.floats() for r in results]


def test_nothing_to_train_is_refused_before_the_first_step() -> None:
    state = start()
    for module in (state.encoder, state.objective):
        module.requires_grad_(False)
    with pytest.raises(
        ConfigError, match="fit: every parameter is frozen; unfreeze the encoder or train a head"
    ):
        fit(state, feed, total_steps=1, schedule=Constant())


def test_a_step_without_a_batch_is_refused() -> None:
    state = start()
    with pytest.raises(InputError, match="step 0: the feed gave no batch; give at least one per step"):
        next(iter(fit(state, lambda step: [], total_steps=1, schedule=Constant())))
