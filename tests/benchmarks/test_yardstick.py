"""The yardstick of the speed benchmark computes what fairseq-signals computes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "interop" / "vectors" / "w2v_cmsc.npz"
INPUTS = {"source", "mask_indices", "patient_id", "segment", "out/negative_indices"}


@pytest.fixture(scope="module")
def yardstick():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import yardstick
    finally:
        sys.path.pop(0)
    return yardstick


def toy(yardstick):
    return yardstick.Yardstick(
        yardstick.YardstickConfig(
            channels=16,
            dimension=32,
            layers=2,
            heads=4,
            feedforward=64,
            entries=8,
            final_dimension=16,
            negatives=12,
        )
    )


def test_the_yardstick_gives_the_reference_numbers(yardstick):
    arrays = dict(np.load(VECTORS))
    model = toy(yardstick).eval()
    state = {
        name.removeprefix("state/"): torch.as_tensor(arrays[name]) for name in arrays if "state/" in name
    }
    model.load_state_dict(state)
    results = model(
        torch.as_tensor(arrays["source"]),
        arrays["mask_indices"],
        arrays["out/negative_indices"],
        torch.as_tensor(arrays["patient_id"]),
        torch.as_tensor(arrays["segment"]),
    )
    compared = [name for name in results if name in arrays and name not in INPUTS]
    assert {"loss/total", "out/encoder_out"} <= set(compared)
    for name in compared:
        got, expected = results[name].detach().double().numpy(), arrays[name].astype(float)
        finite = np.isfinite(expected)
        assert (np.isfinite(got) == finite).all(), name
        scale = max(1.0, np.abs(expected[finite]).max())
        assert np.abs(got[finite] - expected[finite]).max() <= 2e-5 * scale, name


def test_the_yardstick_trains(yardstick):
    torch.manual_seed(0)
    model = toy(yardstick).train()
    adam = yardstick.PlainAdam(list(model.parameters()), learning_rate=1e-3)
    batch = {
        "source": torch.randn(6, 12, 800),
        "patient": torch.arange(6) // 2,
        "segment": torch.arange(6) % 2,
    }
    rng = np.random.default_rng(0)
    losses = [yardstick.train_step(model, adam, batch, rng) for _ in range(12)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
