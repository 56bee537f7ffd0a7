"""How everything in a comparison is judged: a probe for each lead set, and who is recognised."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from anylead.bundle import Bundle
from anylead.encoders.base import Readout
from anylead.errors import InputError
from anylead.evaluation.bootstrap import PatientDraws, patient_draws
from anylead.evaluation.conditions import Condition, condition, lead_subset
from anylead.evaluation.evaluate import evaluate_identification
from anylead.evaluation.identification import Protocol, gallery_and_probes
from anylead.evaluation.readout_choice import ReadoutTrial, choose_readout
from anylead.evaluation.results import Subset
from anylead.evaluation.whitening import fit_whitening
from anylead.leads import lead_set
from anylead.nn.pooling import Pooling
from anylead.seeding import generator
from anylead.store import Store
from anylead.workflows.compare.grid import CompareConfig
from anylead.workflows.selection import Selection
from anylead.workflows.suite.config import LEAD_SETS as NAMED_SETS
from anylead.workflows.suite.config import ProtocolConfig
from anylead.workflows.suite.embedders import BundleEmbedder, Embedder, FeatureEmbedder
from anylead.workflows.suite.networks import network_answers
from anylead.workflows.suite.parts import Answers
from anylead.workflows.suite.passes import Passes
from anylead.workflows.suite.plan import CLEAN, PERSONS, SCATTER
from anylead.workflows.suite.probing import Probes
from anylead.workflows.suite.scoring import macro_auroc_values
from anylead.workflows.suite.task import Task, classification_task, finite_rows

_SCATTER_RECORDINGS = 300
"""Training recordings on which whitening is fitted, at most."""
_MOST_LAYERS = 3
"""Of a deeper encoder, layers this many steps apart are tried."""
_POOLING: Pooling = "mean_std_max"
_WINDOWS = 64
"""At a time."""

Values = Float[np.ndarray, "draws1"]
"""From all patients, then from each resample."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one run is worth."""

    auroc: Mapping[str, Values]
    """Lead set to macro AUROC."""
    rank1: Values | None = None
    """Rank-1 of probes of another day where there are dates, of all probes otherwise; None without
    persons."""
    readout: ReadoutTrial | None = None
    """What was read, and how well on validation recordings; None where nothing was chosen."""


@dataclass(kw_only=True, eq=False)
class Judge:
    """The recordings, and the resamples that all runs share."""

    config: CompareConfig
    stores: tuple[Store, ...]
    task: Task
    persons: Selection
    scatter: Selection
    person_draws: PatientDraws | None = None
    identity: Protocol | None = None
    subset: Subset = "all"
    labelled: dict[str, Selection] = field(default_factory=dict)

    @classmethod
    def of(cls, config: CompareConfig, stores: tuple[Store, ...]) -> "Judge":
        """Chooses classes, recordings and resamples.

        Raises:
            ConfigError: If no class can be judged.
        """
        protocol = ProtocolConfig(
            stores=config.stores,
            out=config.out,
            minimum_positives=config.minimum_positives,
            resamples=config.resamples,
            seed=config.seed,
        )
        splits = {split: Selection.of(stores, split) for split in ("train", "valid", "test")}
        persons = splits["test"].of_known_persons()
        scatter = splits["train"]
        if len(scatter) > _SCATTER_RECORDINGS:
            drawn = generator(config.seed, "whitening").permutation(len(scatter))[:_SCATTER_RECORDINGS]
            scatter = scatter.keep(np.isin(np.arange(len(scatter)), drawn))
        judge = cls(
            config=config,
            stores=stores,
            task=classification_task(splits, protocol),
            persons=persons,
            scatter=scatter,
        )
        judge._plan_identification()
        return judge

    def _plan_identification(self) -> None:
        if not len(self.persons):
            return
        owners = self.persons.persons
        recorded = self.persons.column("recorded_at")
        dates = [np.datetime64("NaT") if date is None else np.datetime64(date) for date in recorded]
        try:
            self.identity = gallery_and_probes(
                owners,
                recorded_at=np.array(dates, dtype="datetime64[s]"),
                hashes=self.persons.column("hash"),
            )
        except InputError:
            return  # nobody has two recordings
        self.subset = "cross_session" if self.identity.cross_session.any() else "all"
        self.person_draws = patient_draws(owners, resamples=self.config.resamples, seed=self.config.seed)

    def encoder(self, bundle: Bundle, scratch: Path) -> Scores:
        """Judges a frozen encoder at the layer that a probe reads best on validation recordings.

        Args:
            bundle: Holds it.
            scratch: Folder for embeddings, which may be removed afterwards.
        """
        passes = self._passes(scratch)
        chosen = self._choose(bundle, passes)
        embedder = _reading(bundle, chosen.layer)
        return Scores(
            auroc=self._probed(embedder, passes, self.config.lead_sets),
            rank1=self._recognised(embedder, passes, whiten=True),
            readout=chosen,
        )

    def first_lead_set(self, bundle: Bundle, layer: int | None, scratch: Path) -> Values:
        """Returns the macro AUROC at the first lead set only, read at a layer chosen before."""
        embedder, first = _reading(bundle, layer), self.config.lead_sets[:1]
        return self._probed(embedder, self._passes(scratch), first)[first[0]]

    def features(self, scratch: Path) -> Scores:
        """Judges hand-made features, and the median beat for recognising persons."""
        passes = self._passes(scratch)
        seed = self.config.seed
        handmade = FeatureEmbedder(name="hand-made features", seed=seed, kind="hand-made")
        beat = FeatureEmbedder(name="median beat", seed=seed, kind="median beat")
        return Scores(
            auroc=self._probed(handmade, passes, self.config.lead_sets),
            rank1=self._recognised(beat, passes, whiten=False),
        )

    def network(self, bundle: Bundle, scratch: Path) -> Scores:
        """Judges a classifier's own outputs."""
        passes = self._passes(scratch)
        embedder = _reading(bundle, None)
        auroc = {
            name: self._auroc(
                network_answers(passes, embedder, self.task, lead_condition(name), "supervised")
            )
            for name in self.config.lead_sets
        }
        return Scores(auroc=auroc)

    def _passes(self, scratch: Path) -> Passes:
        parts = {**self.task.parts, PERSONS: self.persons, SCATTER: self.scatter}
        return Passes(folder=scratch, parts=parts)

    def _choose(self, bundle: Bundle, passes: Passes) -> ReadoutTrial:
        first = lead_condition(self.config.lead_sets[0])
        candidates: dict[tuple[int | None, str], tuple[np.ndarray, np.ndarray | None]] = {}
        task = self.task
        found = {
            layer: [passes.vectors(_reading(bundle, layer), first, part) for part in ("train", "valid")]
            for layer in _layers(bundle.encoder.layers)
        }
        train = finite_rows(*(one[0] for one in found.values()))
        valid = finite_rows(*(one[1] for one in found.values()))
        labels = task.labels["valid"][valid]
        usable = bool((labels.any(axis=0) & ~labels.all(axis=0)).any())
        for layer, (seen, held) in found.items():
            kept = held[valid].astype(np.float64) if usable else None
            candidates[layer, _POOLING] = (seen[train].astype(np.float64), kept)
        with threadpool_limits(1):
            return choose_readout(
                candidates,
                task.labels["train"][train],
                labels if usable else None,
                patients=task.parts["train"].keep(train).persons,
            ).chosen

    def _probed(self, embedder: Embedder, passes: Passes, sets: tuple[str, ...]) -> dict[str, Values]:
        probes = Probes(passes=passes, task=self.task)
        conditions = {name: lead_condition(name) for name in sets}
        return {name: self._auroc(probes.answers(embedder, one, one)) for name, one in conditions.items()}

    def _auroc(self, answers: Answers) -> Values:
        return macro_auroc_values([answers], self.task)[0]

    def _recognised(self, embedder: Embedder, passes: Passes, *, whiten: bool) -> Values | None:
        if self.identity is None or self.person_draws is None:
            return None
        vectors = passes.vectors(embedder, CLEAN, PERSONS).astype(np.float64)
        if whiten and isinstance(embedder, BundleEmbedder):
            windows, places = passes.windows(embedder, CLEAN, SCATTER)
            vectors = fit_whitening(windows.astype(np.float64), places.tolist())(vectors)
        return np.asarray(
            evaluate_identification(
                vectors,
                self.identity,
                draws=self.person_draws,
                system=embedder.name,
                lead_set="as recorded",
                subset=self.subset,
            ).values["rank1"]
        )


def lead_condition(name: str) -> Condition:
    """Returns the condition of a lead set, one of the protocol's or any other."""
    return condition(f"lead-set-{name}") if name in NAMED_SETS else lead_subset(lead_set(name))


def _layers(depth: int) -> list[int]:
    """Returns the layers that are tried, the last one first."""
    count = min(depth, _MOST_LAYERS)
    return sorted({round(depth * (k + 1) / count) for k in range(count)}, reverse=True)


def _reading(bundle: Bundle, layer: int | None) -> BundleEmbedder:
    return BundleEmbedder(
        name="encoder",
        bundle=bundle,
        readout=Readout(layer=layer, pooling=_POOLING),
        batch_size=_WINDOWS,
    )
