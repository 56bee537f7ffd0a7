"""Who takes part: the judged encoder, others beside it, untrained ones, features, somebody's table."""

from dataclasses import dataclass, field

import numpy as np

from anylead.bundle import load
from anylead.errors import ConfigError, StoreError
from anylead.evaluation.conditions import standard_conditions
from anylead.evaluation.embedding_table import read_embedding_table
from anylead.seeding import generator
from anylead.store import Split, Store
from anylead.workflows.selection import Selection
from anylead.workflows.suite.config import EmbeddingsConfig, ProtocolConfig, SuiteConfig
from anylead.workflows.suite.embedders import BundleEmbedder, Embedder, FeatureEmbedder, TableEmbedder
from anylead.workflows.suite.passes import Passes
from anylead.workflows.suite.plan import PERSONS, SCATTER, VALID_PERSONS, lead_subsets, single_leads
from anylead.workflows.suite.probing import Probes
from anylead.workflows.suite.task import Task, classification_task
from anylead.workflows.suite.untrained import Untrained, own_embedder, untrained_embedder
from anylead.workflows.systems import bundle_folder, run_name

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_SCATTER_RECORDINGS, _SCATTER_IF_QUICK = 500, 200
"""Training recordings on which whitening is fitted, at most."""


@dataclass(kw_only=True, eq=False)
class Contest:
    """Everything the parts of the suite share."""

    config: ProtocolConfig
    stores: tuple[Store, ...]
    passes: Passes
    judged: Embedder
    beside: tuple[Embedder, ...] = ()
    """Further models, judged in the same way."""
    ours: BundleEmbedder | None = None
    """An encoder of ours, where a table is judged; None too where the store has no one sampling rate."""
    untrained: tuple[BundleEmbedder, ...] = ()
    """The first one also stands for them where one must be enough."""
    cells: tuple[Untrained, ...] = ()
    """What each of them is."""
    handmade: FeatureEmbedder
    median_beat: FeatureEmbedder
    networks: dict[str, BundleEmbedder] = field(default_factory=dict)
    """Trained with labels; empty where quick."""
    task: Task | None = None
    """None where nothing can be classified; `missing` says why, and every part that needs it repeats it."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was given."""
    missing: list[str] = field(default_factory=list)

    @property
    def quick(self) -> bool:
        """Whether only the short protocol is run."""
        return self.config.quick

    @property
    def architecture(self) -> BundleEmbedder | None:
        """What untrained encoders are built like: the judged encoder, or ours where that is a table."""
        return self.judged if isinstance(self.judged, BundleEmbedder) else self.ours

    @property
    def probes(self) -> Probes:
        """Fits probes.

        Raises:
            ConfigError: If nothing can be classified.
        """
        if self.task is None:
            raise ConfigError(self.missing[0] if self.missing else "there is nothing to classify.")
        if self._probes is None:
            self._probes = Probes(passes=self.passes, task=self.task)
        return self._probes

    _probes: Probes | None = None

    @property
    def plain_untrained(self) -> tuple[BundleEmbedder, ...]:
        """Untrained encoders with the bundle's own preparation and the usual initial weights."""
        return tuple(self.untrained[place] for place, cell in enumerate(self.cells) if cell.is_plain)

    @property
    def main(self) -> tuple[Embedder, ...]:
        """Those that are looked at under every condition: judged, beside it, one untrained, hand-made."""
        return (self.judged, *self.beside, *self.untrained[:1], self.handmade)


def contest_of(config: SuiteConfig | EmbeddingsConfig) -> Contest:
    """Reads everything that takes part.

    Raises:
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be read.
        InputError: If the table of embeddings cannot be used.
        ConfigError: If two systems would have the same name.
    """
    stores = tuple(Store.open(path) for path in config.stores)
    splits: dict[str, Selection] = {split: Selection.of(stores, split) for split in SPLITS}
    parts = dict(splits)
    task, missing = None, []
    try:
        task = classification_task(splits, config)
        parts = dict(task.parts)
    except ConfigError as error:
        missing.append(str(error))
    parts[PERSONS] = splits["test"].of_known_persons()
    parts[VALID_PERSONS] = splits["valid"].of_known_persons()
    most = _SCATTER_IF_QUICK if config.quick else _SCATTER_RECORDINGS
    parts[SCATTER] = _drawn(splits["train"], most, seed=config.seed)
    passes = Passes(folder=config.out / "passes", parts=parts, progress=config.progress)
    features = {
        kind: FeatureEmbedder(name=name, seed=config.seed, kind=kind)
        for kind, name in (("hand-made", "hand-made features"), ("median beat", "median beat"))
    }
    judged, beside, notes = _models(config, stores)
    ours = None
    if isinstance(config, EmbeddingsConfig):
        try:
            ours = own_embedder(
                config.untrained_encoder, stores, seed=config.seed, batch_size=config.batch_size
            )
        except StoreError as error:
            notes.append(f"No network can be among the baselines: {error}")
    return Contest(
        config=config,
        stores=stores,
        passes=passes,
        judged=judged,
        beside=beside,
        ours=ours,
        handmade=features["hand-made"],
        median_beat=features["median beat"],
        task=task,
        notes=notes,
        missing=missing,
    )


def add_untrained(contest: Contest, cells: tuple[Untrained, ...], like: BundleEmbedder) -> None:
    """Adds untrained encoders with the read-out of one of them."""
    contest.cells = cells
    contest.untrained = tuple(untrained_embedder(like, cell, seed=contest.config.seed) for cell in cells)


def _models(
    config: SuiteConfig | EmbeddingsConfig, stores: tuple[Store, ...]
) -> tuple[Embedder, tuple[Embedder, ...], list[str]]:
    if isinstance(config, EmbeddingsConfig):
        everyone = {split: Selection.of(stores, split) for split in SPLITS}
        known = [one.name for one in (*standard_conditions(), *lead_subsets(), *single_leads())]
        table = read_embedding_table(config.embeddings).of_store(
            [name for part in everyone.values() for name in part.record_ids],
            [split for split, part in everyone.items() for _ in range(len(part))],
            conditions=list(dict.fromkeys(known)),
        )
        name = config.name or config.embeddings.stem
        return TableEmbedder(name=name, seed=config.seed, table=table), (), list(table.notes)
    bundles = [load(bundle_folder(path)) for path in config.bundles]
    names = config.names or tuple(run_name(path) for path in config.bundles)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"evaluate suite: two bundles are called {twice}; tell them apart with --names.")
    first, *others = [
        BundleEmbedder(
            name=name,
            seed=config.seed,
            bundle=bundle,
            readout=bundle.manifest.readout,
            batch_size=config.batch_size,
        )
        for name, bundle in zip(names, bundles, strict=True)
    ]
    return first, tuple(others), []


def _drawn(selection: Selection, most: int, *, seed: int) -> Selection:
    if len(selection) <= most:
        return selection
    drawn = generator(seed, "whitening").permutation(len(selection))[:most]
    return selection.keep(np.isin(np.arange(len(selection)), drawn))
