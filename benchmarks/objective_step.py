"""How fast is a step of every objective, of the rate at which its encoder alone computes?

    python benchmarks/objective_step.py --out benchmarks/results/objective_step.json [--only cmsc jepa_time]

For each objective, with its default settings and an encoder of 4 layers and width 256 that it accepts
(`ENCODERS`, in this order): the operations of an update through `engine.fit`, forward and backward, of the
student, of teachers, of decoders and generators (`counted_flops`); the seconds of the whole update, draws and
optimizer included; the same of a plain forward and backward pass of the encoder on the same batch; and how
the two rates, operations a second, compare. The two take turns, round by round, in one process, so that the
machine's noise meets both; the ratio is the median over rounds.

An objective that hides tokens must not pay for them. For each that has a hidden share: the operations of the
student's layers in a forward pass, as a share of those with next to nothing hidden, and the same of the whole
update, on a smaller batch; above 1 where what is hidden is all that a head works on. `left_out` says whether
the encoder is spared hidden tokens at all; where it is not, something stands in their place, as the method
has it.

Half-way through a run: objectives that learn in stages have come to the encoder by then. Recipe's dropouts,
random lead masking; noise as signal: the time of a step does not depend on what it says.
Results of other objectives that are in the file already are kept.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from step import noise_batch

from anylead.batch import Batch
from anylead.encoders import AnyEncoderConfig, Encoder, build_encoder, named_encoder
from anylead.engine import AdamWConfig, Constant, TrainState, build_optimizer, fit, keep_freed_memory
from anylead.engine.flops import counted_flops
from anylead.errors import ConfigError
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Progress
from anylead.objectives import OBJECTIVES, AnyObjectiveConfig, Objective, W2VCMSCConfig, build_objective
from anylead.provenance import environment, write_json

AIM = 0.6
"""Smallest ratio of the rates that is aimed at."""
ENCODERS = {
    "mini": ("conv_transformer:mini", "lead_time_transformer:mini", "s4:small"),
    "tiny": ("conv_transformer:tiny", "lead_time_transformer:tiny", "s4:tiny"),
}
"""For objectives on fused tokens, on tokens of single leads, and on contexts of the past only."""
OTHER_SETTINGS: dict[str, AnyObjectiveConfig] = {
    "w2v_cmsc, hidden frames left out": W2VCMSCConfig(predictor_layers=1)
}
NAMES = (*OBJECTIVES, *OTHER_SETTINGS)
NEXT_TO_NOTHING = 0.04
"""Hidden share: one time of 25, six of 156."""
HALFWAY = Progress(step=5_000, total_steps=10_000)
SMALL_BATCH = 4
"""Segments on which operations are compared; they are proportional to segments but for contrasts of rows."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An objective on an encoder."""

    name: str
    config: AnyObjectiveConfig
    encoder_name: str

    @property
    def encoder(self) -> AnyEncoderConfig:
        config = named_encoder(self.encoder_name)
        return replace(config, causal=True) if self.encoder_name.startswith("s4") else config  # type: ignore


def cases(size: str, names: Sequence[str]) -> list[Case]:
    """Objectives with the first encoder that each accepts, by default settings or others worth a look."""
    configs = {name: config() for name, (config, _) in OBJECTIVES.items()} | OTHER_SETTINGS
    return [case_of(name, configs[name], ENCODERS[size]) for name in names]


def case_of(name: str, config: AnyObjectiveConfig, encoders: tuple[str, ...]) -> Case:
    for encoder_name in encoders:
        case = Case(name=name, config=config, encoder_name=encoder_name)
        try:
            built(case)
        except ConfigError:
            continue
        return case
    raise ValueError(f"{name}: it accepts none of {', '.join(encoders)}; give the benchmark one it accepts")


def built(case: Case) -> tuple[Encoder, Objective]:
    torch.manual_seed(0)
    encoder = build_encoder(case.encoder)
    return encoder, build_objective(case.config, encoder)


def update_of(case: Case, batch: Batch) -> Callable[[], Any]:
    """Returns what makes one update."""
    encoder, objective = built(case)
    optimizer = build_optimizer(AdamWConfig(), encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0, step=HALFWAY.step)
    updates = fit(state, lambda step: [batch], total_steps=HALFWAY.total_steps, schedule=Constant())
    return lambda: next(updates).floats()


def plain_of(case: Case, batch: Batch) -> Callable[[], Any]:
    """Returns a forward and backward pass of the encoder alone, as it trains."""
    encoder = built(case)[0].train()
    tokens = encoder(batch).tokens.detach()
    gradient = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0))

    def run() -> None:
        encoder(batch).tokens.backward(gradient)
        encoder.zero_grad(set_to_none=True)

    return run


def seconds_of(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class Work:
    """Something to time, and the operations it does; counting them is the warm-up."""

    run: Callable[[], Any]
    flops: float

    @classmethod
    def counted(cls, run: Callable[[], Any]) -> "Work":
        return cls(run=run, flops=counted_flops(run))


def measured(case: Case, batch: Batch, rounds: int, plain: Work) -> dict[str, Any]:
    """Times updates and plain passes in turn and compares their rates."""
    works = {"plain": plain, "update": Work.counted(update_of(case, batch))}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(seconds_of(work.run))
    rates = {name: [work.flops / spent for spent in seconds[name]] for name, work in works.items()}
    ratios = [mine / other for mine, other in zip(rates["update"], rates["plain"], strict=True)]
    found: dict[str, Any] = {"encoder": case.encoder_name, "segments": len(batch)}
    for name, work in works.items():
        found |= {
            f"{name}_gflop": round(work.flops / 1e9, 3),
            f"{name}_s": round(statistics.median(seconds[name]), 4),
            f"{name}_gflop_per_s": round(statistics.median(rates[name]) / 1e9, 2),
        }
    return found | {
        "ratio_of_rates": round(statistics.median(ratios), 3),
        "every_ratio": [round(ratio, 3) for ratio in ratios],
        "hidden": hiding(case) if hides_tokens(case.config) else None,
    }


def hides_tokens(config: AnyObjectiveConfig) -> bool:
    """Whether it conceals tokens; adversarial_masking dims the signal instead."""
    return config.kind != "adversarial_masking" and any(f.name == "hidden_share" for f in fields(config))


def hiding(case: Case) -> dict[str, Any]:
    """What is paid with the usual share hidden, of what is paid with next to nothing hidden."""
    batch = noise_batch(SMALL_BATCH)
    usual = case.config.hidden_share  # type: ignore[union-attr]
    bare = replace(case, config=replace(case.config, hidden_share=NEXT_TO_NOTHING))  # type: ignore
    student, left_out = student_flops(case, batch)
    whole = counted_flops(update_of(case, batch))
    return {
        "hidden_share": round(usual, 3),
        "left_out": left_out,
        "student_layers_paid": round(student / student_flops(bare, batch)[0], 3),
        "update_paid": round(whole / counted_flops(update_of(bare, batch)), 3),
    }


def student_flops(case: Case, batch: Batch) -> tuple[float, bool]:
    """Returns the operations of the student's context network in one loss, and if it is spared any token."""
    encoder, objective = built(case)
    plain, found, spared = encoder.contextualize, [], []

    def contextualize(*args: Any, **kwargs: Any) -> Any:
        outputs: list[Any] = []
        found.append(counted_flops(lambda: outputs.append(plain(*args, **kwargs))))
        spared.append(kwargs.get("shown") is not None)
        return outputs[0]

    # On the object: a teacher is a copy made before.
    encoder.contextualize = contextualize  # type: ignore[method-assign]
    with torch.no_grad():
        draws = objective.draw(encoder, batch, DrawKey(seed=0, step=HALFWAY.step), HALFWAY)
        objective.loss(encoder, batch, draws=draws, progress=HALFWAY)
    return sum(found), any(spared)


def kept(path: Path | None) -> dict[str, Any]:
    """Returns the cases that a file holds already."""
    if path is None or not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())["cases"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--size", default="mini", choices=list(ENCODERS))
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    batch = noise_batch(2 * options.pairs)
    found = kept(options.out)
    plain: dict[str, Work] = {}
    for case in cases(options.size, options.only):
        if case.encoder_name not in plain:
            plain[case.encoder_name] = Work.counted(plain_of(case, batch))
        found[case.name] = measured(case, batch, options.rounds, plain[case.encoder_name])
        print(json.dumps({case.name: found[case.name]}), file=sys.stderr, flush=True)
        result = {
            "command": f"python benchmarks/objective_step.py {' '.join(sys.argv[1:])}",
            "aim": AIM,
            "below_aim": [name for name, one in found.items() if one["ratio_of_rates"] < AIM],
            "cases": found,
            "rounds": options.rounds,
            "threads": options.threads,
            "environment": environment(),
        }
        if options.out is not None:
            write_json(options.out, result)
    print(json.dumps({name: one["ratio_of_rates"] for name, one in found.items()}, indent=1))


if __name__ == "__main__":
    main()
