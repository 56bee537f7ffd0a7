"""anylead pretrain: stores to an encoder, without labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from anylead.cli.arguments import merge, parse, plain
from anylead.cli.dispatch import INTERRUPTED, OK


@dataclass(frozen=True, kw_only=True)
class PretrainArguments:
    """Learns an encoder from the training recordings of stores, without labels.

    Run again with the same settings, it continues after the newest checkpoint; the result is the same, bit
    for bit, as if it had never stopped. The run's folder gets bundle/ at the end.

    Everything a recipe may hold can be given with dots: --encoder.layers 4, --objective.gumbel-start 2,
    --feed.pairs-per-batch 32, --optimizer.learning-rate 1e-4. A flag wins over the recipe.
    """

    stores: Annotated[tuple[Path, ...], tyro.conf.arg(name="store", aliases=("--stores",))] = ()
    """Stores made by `anylead prepare` with the same steps."""
    store_weights: tuple[float, ...] = ()
    """Proportions in which the stores' pairs are fed, one a store, such as 2 1; without, all pairs are
    shuffled together."""
    store_leads: tuple[str, ...] = ()
    """Leads that the recordings of each store show, one set a store, such as all I,II; without, all."""
    out: Path
    """Folder of the run."""
    recipe: Path | None = None
    """YAML file of settings; config.yaml of a run is one."""
    seed: int = 0
    """Seed of weights, order, masks and draws."""
    steps: int | None = None
    """Optimizer updates; without, --epochs decides."""
    epochs: float = 20.0
    """Passes over all pairs."""
    encoder: str | None = None
    """Size of the paper's encoder (base, small, mini, tiny), or another encoder and its size, such as s4:tiny
    or lead_time_transformer; without, that of the recipe, or mini."""
    clip_norm: float | None = None
    """Largest norm of the gradient; without, as in the paper, gradients are not clipped."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products: bfloat16 takes half the time where the processor has it."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Fuse the steps of the loss with torch.compile; auto does on a GPU."""
    share: Literal["micro_batches", "pairs"] = "micro_batches"
    """What processes started by torchrun share out: whole micro-batches, or the pairs of each."""
    checkpoint_minutes: float = 5.0
    """Time between checkpoints."""
    bundle_at: tuple[float, ...] = ()
    """Shares of the run after which a bundle is kept besides, such as 0.25 0.5."""
    log_every: int = 10
    """Steps between writes to metrics.jsonl."""
    tensorboard: bool = False
    """Write for TensorBoard too."""
    threads: int | None = None
    """CPU threads; runs are bit-equal for equal numbers of them."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is CUDA where there is one."""
    backend: Literal["torchrun", "ray"] = "torchrun"
    """What starts several processes: torchrun, in front of this command, or Ray (the extra anylead[ray])."""
    workers: int = 1
    """Processes that Ray starts, on the cluster that RAY_ADDRESS names or on this machine."""


def run(argv: list[str]) -> int:
    """Runs ``anylead pretrain``.

    A run that the system stopped (SIGTERM) has done what it was asked for; one that the user stopped has not,
    for what follows in a script needs its bundle.
    """
    given, nested = parse(PretrainArguments, argv, prog="anylead pretrain")

    from anylead.workflows.pretrain import pretrain, read_pretrain_config

    result = pretrain(read_pretrain_config(settings(given, nested)))
    code = INTERRUPTED if result.by_user else OK
    if not result.is_main:
        return code
    if result.finished:
        print(f"{result.bundle}: trained for {result.step} steps")
        return OK
    stopped = f"stopped after step {result.step} of {result.total_steps}"
    print(f"{result.run}: {stopped}; the same command continues")
    return code


def settings(given: PretrainArguments, nested: dict[str, Any]) -> dict[str, Any]:
    """Returns flags and nested settings as one mapping, by the names of the workflow's configuration."""
    values = plain(given)
    size = values.pop("encoder")
    if size is not None:
        encoder = nested.get("encoder")
        values["encoder"] = {"size": size, **encoder} if isinstance(encoder, dict) else size
        nested = {name: value for name, value in nested.items() if name != "encoder"}
    return merge(values, nested)
