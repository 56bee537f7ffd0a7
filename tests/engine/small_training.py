"""Updates of a small model; as a script, behind torch.compile (see test_precision_and_compile.py)."""

import logging
import sys

import torch

from anylead.batch import Batch
from anylead.encoders import ConvTransformerConfig, build_encoder
from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit
from anylead.leads import STANDARD_12
from anylead.objectives import W2VCMSCConfig, build_objective


def make_batch(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    rows = torch.arange(4)
    return Batch(
        signal=torch.randn(4, 12, 640, generator=generator),
        lead_mask=torch.ones(4, 12, dtype=torch.bool),
        sample_mask=torch.ones(4, 640, dtype=torch.bool),
        leads=STANDARD_12,
        sampling_rate_hz=500.0,
        padded=False,
        row=rows,
        patient=rows // 2,
        segment=rows % 2,
    )


def make_batch_of(step: int) -> list[Batch]:
    return [make_batch(step)]


def trained(steps=3, *, after=lambda: None, **how):
    config = ConvTransformerConfig(
        conv_channels=16,
        dimension=32,
        layers=1,
        heads=4,
        feedforward=64,
        position_kernel=16,
        dropout=0.0,
        attention_dropout=0.0,
        input_dropout=0.0,
    )
    torch.manual_seed(0)
    encoder = build_encoder(config)
    objective = build_objective(
        W2VCMSCConfig(entries=8, final_dimension=16, negatives=10, feature_dropout=0.0), encoder
    )
    optimizer = build_optimizer(AdamWConfig(learning_rate=1e-3), encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)
    losses = []
    for result in fit(state, make_batch_of, total_steps=steps, schedule=Constant(), **how):
        losses.append(result.floats())
        after()
    return state, losses


def main() -> None:
    """Compiles with a backend that runs the graph as it was captured; generating code takes a minute."""
    logging.basicConfig(format="%(message)s")
    graphs, plain = [], torch.compile

    def backend(graph, inputs):
        if sys.argv[1] == "broken":
            raise ValueError("no compiler was found")
        graphs.append(graph)
        return graph.forward

    torch.compile = lambda module, **_: plain(module, backend=backend, dynamic=False)
    captured: list[int] = []
    state, losses = trained(4, after=lambda: captured.append(len(graphs)), compiled=True)
    reference, expected = trained(4)
    if sys.argv[1] == "works":
        assert captured[-1], "nothing was compiled"
        assert captured[1] == captured[-1], "every step is compiled anew"
    assert losses == expected
    for a, b in zip(state.encoder.parameters(), reference.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


if __name__ == "__main__":
    main()
