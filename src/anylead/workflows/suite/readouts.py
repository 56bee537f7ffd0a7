"""Which layer and pooling of each encoder is read: chosen on validation recordings, before any test."""

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from anylead.encoders.base import Readout
from anylead.evaluation.budget_section import readout_section
from anylead.evaluation.readout_choice import (
    POOLINGS,
    Place,
    ReadoutChoice,
    choose_readout,
    pooling_columns,
)
from anylead.workflows.suite.contest import Contest, add_untrained
from anylead.workflows.suite.embedders import BundleEmbedder
from anylead.workflows.suite.parts import Part
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import CLEAN
from anylead.workflows.suite.task import finite_rows
from anylead.workflows.suite.untrained import Untrained, grid, untrained_embedder

_MOST_LAYERS = 4
"""Of a deep encoder, layers this many steps apart are tried."""
_PLAIN_SEEDS_IF_QUICK = 2


def cells_of(contest: Contest) -> tuple[Untrained, ...]:
    """Returns the untrained encoders that take part: none where nobody knows how to build them."""
    if contest.architecture is None:
        return ()
    seeds = contest.config.untrained_seeds
    return grid(seeds=min(seeds, _PLAIN_SEEDS_IF_QUICK) if contest.quick else seeds, plain_only=contest.quick)


def choose_readouts(contest: Contest) -> Part:
    """Chooses a read-out for every trained encoder and one for the untrained, and lets them take part.

    All get the same candidates. Where quick, or where nothing is labelled, the own read-out of the judged
    bundle, or of our encoder, is taken for all.
    """
    like, cells = contest.architecture, cells_of(contest)
    if like is None:
        return Part()
    if contest.quick or contest.task is None:
        add_untrained(contest, cells, like)
        return Part()
    fresh = untrained_embedder(like, Untrained(), seed=contest.config.seed)
    trained = _trained(contest)
    choices: dict[str, ReadoutChoice] = {}
    chosen: dict[str, BundleEmbedder] = {}
    contest.passes.run([one for e in (*trained, fresh) for one in _passes(e)])
    for embedder in (*trained, fresh):
        name = "untrained" if embedder is fresh else embedder.name
        choices[name] = _choose(contest, embedder)
        found = choices[name].chosen
        readout = Readout(layer=found.layer, pooling=found.pooling)  # type: ignore[arg-type]
        chosen[name] = embedder.reading(readout)
    contest.judged = chosen.get(contest.judged.name, contest.judged)
    contest.beside = tuple(chosen.get(one.name, one) for one in contest.beside)
    add_untrained(contest, cells, chosen["untrained"])
    return Part(sections=(readout_section(choices),), results=({"readouts": choices},))


def readout_passes(contest: Contest) -> list[Pass]:
    """Returns the passes of the choice; untrained encoders stand under the name of what they are like."""
    like = contest.architecture
    if like is None or contest.quick or contest.task is None:
        return []
    return [one for e in (*_trained(contest), replace(like, name="untrained")) for one in _passes(e)]


def _trained(contest: Contest) -> list[BundleEmbedder]:
    return [one for one in (contest.judged, *contest.beside) if isinstance(one, BundleEmbedder)]


def _layers(embedder: BundleEmbedder) -> list[int]:
    """Returns the layers that are tried, the last one first."""
    depth = embedder.bundle.encoder.layers
    count = min(depth, _MOST_LAYERS)
    return sorted({round(depth * (k + 1) / count) for k in range(count)}, reverse=True)


def _widest(embedder: BundleEmbedder, layer: int) -> BundleEmbedder:
    return embedder.reading(Readout(layer=layer, pooling="mean_std_max"))


def _passes(embedder: BundleEmbedder) -> list[Pass]:
    return [
        Pass(embedder=_widest(embedder, layer), condition=CLEAN, part=part)
        for layer in _layers(embedder)
        for part in ("train", "valid")
    ]


def _choose(contest: Contest, embedder: BundleEmbedder) -> ReadoutChoice:
    task = contest.probes.task
    labels = task.labels["valid"]
    has_valid = bool((labels.any(axis=0) & ~labels.all(axis=0)).any())
    by_layer = {
        layer: [contest.passes.vectors(_widest(embedder, layer), CLEAN, part) for part in ("train", "valid")]
        for layer in _layers(embedder)
    }
    train = finite_rows(*(found[0] for found in by_layer.values()))
    valid = finite_rows(*(found[1] for found in by_layer.values())) if has_valid else None
    candidates: dict[Place, tuple[np.ndarray, np.ndarray | None]] = {}
    for layer, (seen, held) in by_layer.items():
        for pooling in POOLINGS:
            columns = pooling_columns(pooling, embedder.bundle.encoder.dimension)
            kept = None if valid is None else held[valid][:, columns].astype(np.float64)
            candidates[layer, pooling] = (seen[train][:, columns].astype(np.float64), kept)
    with threadpool_limits(1):
        return choose_readout(
            candidates,
            task.labels["train"][train],
            None if valid is None else labels[valid],
            patients=task.parts["train"].keep(train).persons,
        )
