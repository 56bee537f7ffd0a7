"""How fast is a training step, of the rate at which this machine multiplies matrices?

    python benchmarks/step.py --out benchmarks/results/step.json [--only mini] [--steps 3] [--threads 2]

An older version is measured by the same file: with its `src` in front on PYTHONPATH and --systems float32.

For each size (tiny, mini, base) and precision: segments a second, the operations counted (`counted_flops`),
their share of the matrix-product rate measured around each step (2048 x 2048, best of five, in float32), peak
memory and where the time goes by stage. The yardstick (benchmarks/yardstick.py) is the same step as the
reference implementation computes it. Every case runs in a process of its own, so that its peak memory is its
own; cases alternate in rounds, so that the machine's noise meets all of them.

Recipe's dropouts, random lead masking, draws, both losses, AdamW: the whole update. Noise as signal: the time
of a step does not depend on what it says.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from anylead.batch import Batch
from anylead.encoders import ConvTransformer, ConvTransformerConfig, build_encoder
from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit
from anylead.feed import RandomLeadMasking
from anylead.feed.collate import collate
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey
from anylead.objectives import W2VCMSC, W2VCMSCConfig, build_objective
from anylead.provenance import environment, write_json

try:
    from anylead.engine import keep_freed_memory
except ImportError:  # an older version

    def keep_freed_memory() -> None:
        """Nothing: what is measured had no such thing."""


SAMPLES = 2500
SEGMENTS = {"tiny": 128, "mini": 64, "base": 32}
SYSTEMS = ("float32", "bfloat16", "yardstick")
YARDSTICK_SEGMENTS = {"tiny": 128, "mini": 64, "base": 16}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to time."""

    size: str
    system: str
    """``float32`` or ``bfloat16`` for anylead's step, ``yardstick`` for the reference's."""

    @property
    def segments(self) -> int:
        return (YARDSTICK_SEGMENTS if self.system == "yardstick" else SEGMENTS)[self.size]


def counted_flops(size: str, samples: int = SAMPLES) -> float:
    """Operations of one segment's forward and backward pass, a multiplication and an addition apart.

    Dense products as METHOD §3 writes them, however they are computed (the positional convolution as a
    convolution), times three: forward, gradient of the input, gradient of the weights. Norms, activations,
    dropout and the optimizer do not count.
    """
    encoder, objective = ConvTransformerConfig.named(size), W2VCMSCConfig()
    forward, frames, width = 0.0, samples, len(encoder.leads)
    for _ in range(encoder.conv_layers):
        frames //= 2
        forward += 2.0 * frames * 2 * width * encoder.conv_channels
        width = encoder.conv_channels
    d = encoder.dimension
    if width != d:
        forward += 2.0 * frames * width * d
    forward += 2.0 * frames * d * (d // encoder.position_groups) * encoder.position_kernel
    layer = 2.0 * frames * (4 * d * d + 2 * d * encoder.feedforward) + 4.0 * frames * frames * d
    forward += encoder.layers * layer
    hidden, q = round(objective.hidden_share * frames), objective.final_dimension
    forward += 2.0 * hidden * (width * objective.groups * objective.entries + q * q + d * q)
    forward += 2.0 * hidden * hidden * q
    return 3.0 * forward


def matrix_rate(dtype: torch.dtype, size: int = 2048, repeats: int = 5) -> float:
    """Operations a second of a square matrix product, best of some."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        spent.append(time.perf_counter() - start)
    return 2.0 * size**3 / min(spent)


def noise_batch(segments: int) -> Batch:
    rng = np.random.default_rng(0)
    rows = [
        ((0.3 * rng.standard_normal((12, SAMPLES))).astype(np.float32), STANDARD_12) for _ in range(segments)
    ]
    numbers = np.arange(segments)
    batch = collate(
        rows, leads=STANDARD_12, sampling_rate_hz=500.0, patients=numbers // 2, segment=numbers % 2
    )
    return RandomLeadMasking().apply(batch, DrawKey(seed=0, step=0, purpose="benchmark"))


def anylead_step(case: Case) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Returns what makes one update, and what does it with its stages named to the profiler."""
    batch = noise_batch(case.segments)
    encoder = build_encoder(ConvTransformerConfig.named(case.size))
    objective = build_objective(W2VCMSCConfig(), encoder)
    assert isinstance(encoder, ConvTransformer)
    assert isinstance(objective, W2VCMSC)
    optimizer = build_optimizer(AdamWConfig(), encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)
    updates = fit(
        state,
        lambda step: [batch],
        total_steps=10_000,
        schedule=Constant(),
        # Versions before there was a choice know no such argument.
        **({} if case.system == "float32" else {"precision": case.system}),  # type: ignore
    )
    return lambda: next(updates).floats(), lambda: staged(
        encoder, objective, optimizer, lambda: next(updates)
    )


def yardstick_step(case: Case) -> tuple[Callable[[], Any], None]:
    from yardstick import PlainAdam, Yardstick, YardstickConfig, train_step

    config = ConvTransformerConfig.named(case.size)
    model = Yardstick(
        YardstickConfig(
            channels=config.conv_channels,
            dimension=config.dimension,
            layers=config.layers,
            heads=config.heads,
            feedforward=config.feedforward,
        )
    ).train()
    adam = PlainAdam(list(model.parameters()))
    batch = noise_batch(case.segments)
    inputs = {"source": batch.signal, "patient": batch.patient, "segment": batch.segment}
    rng = np.random.default_rng(0)
    return lambda: train_step(model, adam, inputs, rng), None


def staged(
    encoder: ConvTransformer, objective: W2VCMSC, optimizer: Any, step: Callable[[], Any]
) -> dict[str, float]:
    """Returns the share of the time of one step by stage; a backward pass counts to its forward's stage."""
    places = {
        "draws": [(objective, "draw")],
        "channels": [(encoder, "signal_of")],
        "conv stem": [(encoder.stem, "forward")],
        "positional convolution": [(encoder.position, "forward")],
        "transformer": [(block, "forward") for block in encoder.blocks],
        "quantiser": [(objective.quantizer, "forward")],
        "loss": [(objective, "loss_of")],
        "optimizer": [(optimizer, "step")],
    }
    originals = [(owner, method) for stages in places.values() for owner, method in stages]
    for stage, owners in places.items():
        for owner, method in owners:
            original = getattr(owner, method)

            def wrapped(*args: Any, _original: Any = original, _stage: str = stage, **kwargs: Any) -> Any:
                with record_function(f"stage/{_stage}"):
                    return _original(*args, **kwargs)

            setattr(owner, method, wrapped)
    try:
        with profile(activities=[ProfilerActivity.CPU]) as recorded:
            start = time.perf_counter()
            step()
            wall = time.perf_counter() - start
    finally:
        for owner, method in originals:
            delattr(owner, method)
    return shares_by_stage(recorded.events(), wall)


def shares_by_stage(events: Any, wall_s: float) -> dict[str, float]:
    """Attributes forward time by the enclosing range, backward time by the sequence number of its forward."""
    seconds: dict[str, float] = defaultdict(float)
    stage_of_sequence: dict[int, str] = {}

    def stage_of(event: Any) -> str | None:
        while event is not None:
            if event.name.startswith("stage/"):
                return str(event.name.removeprefix("stage/"))
            event = event.cpu_parent
        return None

    for event in events:
        if event.name.startswith("stage/"):
            seconds[event.name.removeprefix("stage/")] += event.cpu_time_total * 1e-6
        elif event.sequence_nr >= 0 and not event.name.startswith("autograd::"):
            stage = stage_of(event)
            if stage is not None:
                stage_of_sequence.setdefault(event.sequence_nr, stage)
    for event in events:
        if event.name.startswith("autograd::engine::evaluate_function") and event.cpu_parent is None:
            seconds[stage_of_sequence.get(event.sequence_nr, "other")] += event.cpu_time_total * 1e-6
    shares = {stage: round(spent / wall_s, 4) for stage, spent in seconds.items()}
    rest = 1.0 - sum(share for stage, share in shares.items() if stage != "other")
    return dict(sorted((shares | {"other": round(rest, 4)}).items(), key=lambda item: -item[1]))


def work(case: Case, steps: int, threads: int) -> dict[str, Any]:
    """Times one case in this process."""
    torch.set_num_threads(threads)
    if case.system != "yardstick":
        keep_freed_memory()
    step, in_stages = yardstick_step(case) if case.system == "yardstick" else anylead_step(case)
    torch.mm(torch.randn(2048, 2048), torch.randn(2048, 2048))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    rows = []
    for _ in range(steps):
        rate = matrix_rate(torch.float32)
        start = time.perf_counter()
        step()
        spent = time.perf_counter() - start
        rates = [rate, matrix_rate(torch.float32)]
        rows.append({"seconds": spent, "matrix_rate": statistics.mean(rates)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result: dict[str, Any] = {
        "rows": rows,
        "bfloat16_matrix_rate": matrix_rate(torch.bfloat16),
        "step_memory_gb": round((peak - before) / 2**20, 3),
    }
    if in_stages is not None:
        result["stages"] = in_stages()
    return result


def in_a_process(case: Case, steps: int, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", case.size, case.system]
    command += ["--steps", str(steps), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def summary(case: Case, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [row for one in rounds for row in one["rows"]]
    flops = counted_flops(case.size)
    rates = [case.segments / row["seconds"] for row in rows]
    shares = [flops * rate / row["matrix_rate"] for rate, row in zip(rates, rows, strict=True)]
    return {
        "size": case.size,
        "system": case.system,
        "segments": case.segments,
        "segments_per_s": round(statistics.median(rates), 2),
        "every_segments_per_s": [round(rate, 2) for rate in rates],
        "gflop_a_segment": round(flops / 1e9, 2),
        "share_of_float32_matrix_rate": round(statistics.median(shares), 3),
        "float32_matrix_gflops": round(statistics.median(row["matrix_rate"] for row in rows) / 1e9, 1),
        "bfloat16_matrix_gflops": round(
            statistics.median(one["bfloat16_matrix_rate"] for one in rounds) / 1e9, 1
        ),
        "step_memory_gb": max(one["step_memory_gb"] for one in rounds),
        "stages": rounds[-1].get("stages"),
    }


def ratios(found: list[dict[str, Any]]) -> dict[str, float]:
    """What the aims are about."""
    by = {(one["size"], one["system"]): one for one in found}
    told: dict[str, float] = {}
    for size in SEGMENTS:
        ours = {name: by[size, name] for name in ("float32", "bfloat16") if (size, name) in by}
        yardstick = by.get((size, "yardstick"))
        for name, one in ours.items():
            if yardstick is not None:
                told[f"{size}, {name} to yardstick"] = round(
                    one["segments_per_s"] / yardstick["segments_per_s"], 2
                )
                told[f"{size}, memory a segment of {name} to yardstick"] = round(
                    one["step_memory_gb"]
                    / one["segments"]
                    / (yardstick["step_memory_gb"] / yardstick["segments"]),
                    3,
                )
        if len(ours) == 2:
            told[f"{size}, bfloat16 to float32"] = round(
                ours["bfloat16"]["segments_per_s"] / ours["float32"]["segments_per_s"], 2
            )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(SEGMENTS), choices=list(SEGMENTS))
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(
            json.dumps(
                work(Case(size=options.case[0], system=options.case[1]), options.steps, options.threads)
            )
        )
        return
    cases = [Case(size=size, system=system) for size in options.only for system in options.systems]
    rounds: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            rounds[case].append(in_a_process(case, options.steps, options.threads))
            print(json.dumps(summary(case, rounds[case]) | {"stages": None}), file=sys.stderr, flush=True)
    found = [summary(case, rounds[case]) for case in cases]
    result = {
        "ratios": ratios(found),
        "cases": found,
        "threads": options.threads,
        "environment": environment(),
    }
    print(json.dumps(result["ratios"], indent=1))
    if options.out is not None:
        write_json(options.out, {"command": f"python benchmarks/step.py {' '.join(sys.argv[1:])}", **result})


if __name__ == "__main__":
    main()
