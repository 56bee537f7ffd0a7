"""What is judged, and where the judgement is written."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from anylead.bundle import Bundle, load
from anylead.bundle.folder import CONFIG_NAME
from anylead.config import to_plain
from anylead.encoders import build_encoder
from anylead.encoders.base import Readout
from anylead.errors import ConfigError
from anylead.evaluation.report import Report, Section, write_report
from anylead.evaluation.results import ClassificationResult, Difference, IdentificationResult
from anylead.leads import lead_set
from anylead.nn.pooling import Pooling
from anylead.provenance import environment, write_json
from anylead.seeding import derive_seed
from anylead.store import Split, Store
from anylead.workflows.selection import unknown_patients

logger = logging.getLogger(__name__)

RESULTS_FORMAT = 1
"""Of results.json."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What every evaluation needs to know.

    Raises:
        ConfigError: If there is no bundle, no store or no lead set, or the names are not one a bundle.
    """

    bundles: tuple[Path, ...]
    """The first is compared with each of the others. A fine-tuning run may be named by its folder."""
    stores: tuple[Path, ...]
    """Where the recordings are, used together."""
    out: Path
    """Folder of `results.json` and the report."""
    names: tuple[str, ...] = ()
    """What to call the bundles; their folders' names where empty."""
    lead_sets: tuple[str, ...] = ("12", "6", "4", "3", "2", "I", "II")
    """Each is judged on the recordings that have all of its leads."""
    split: Split = "test"
    """Whom to judge on."""
    resamples: int = 1000
    """Of the patients, for the intervals."""
    seed: int = 0
    batch_size: int = 64
    """Windows at a time."""
    progress: bool = False
    """Show progress bars on standard error."""

    def __post_init__(self) -> None:
        for what, given in (("bundle", self.bundles), ("store", self.stores), ("lead set", self.lead_sets)):
            if not given:
                raise ConfigError(f"evaluate: got no {what}; give at least one.")
        if self.names and len(self.names) != len(self.bundles):
            raise ConfigError(
                f"evaluate: got {len(self.names)} names for {len(self.bundles)} bundles; name each, or none."
            )

    @property
    def leads(self) -> dict[str, tuple[str, ...]]:
        """Names of the lead sets to their leads."""
        return {name: lead_set(name) for name in self.lead_sets}


@dataclass(frozen=True, kw_only=True)
class FrozenConfig(EvaluateConfig):
    """What an evaluation of frozen embeddings needs besides."""

    layer: int | None = None
    """Layer read of every system; None is each bundle's own."""
    pooling: Pooling | None = None
    """Pooling over time of every system; None is each bundle's own."""
    untrained: int = 1
    """Baselines: the first bundle's encoder with fresh weights, this many times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """One thing that is judged."""

    name: str
    bundles: Mapping[str, Bundle]
    """Lead set to the bundle that serves it: one and the same, unless one was trained for each."""

    def readout(self, bundle: Bundle, config: FrozenConfig) -> Readout:
        """Returns what is read of it."""
        own = bundle.manifest.readout
        layer = own.layer if config.layer is None else config.layer
        return replace(own, layer=layer, pooling=config.pooling or own.pooling)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What an evaluation found."""

    results: tuple[ClassificationResult | IdentificationResult, ...]
    differences: tuple[Difference, ...]
    """The first system minus each of the others, on the same resamples of the patients."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason to recordings that were not judged."""
    notes: tuple[str, ...] = ()
    """What else a reader has to know."""
    recordings: tuple[str, ...] = ()
    """Whom it was judged on, as source/record."""


def load_systems(config: EvaluateConfig) -> list[System]:
    """Reads the bundles.

    Raises:
        BundleError: If one cannot be read.
        ConfigError: If two would have the same name, or a run has no bundle for any of the lead sets.
    """
    names = config.names or tuple(run_name(path) for path in config.bundles)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"evaluate: two bundles are called {twice[0]}; tell them apart with names.")
    return [
        System(name=name, bundles=_bundles(path, config.lead_sets))
        for name, path in zip(names, config.bundles, strict=True)
    ]


def untrained_systems(config: FrozenConfig, like: System) -> list[System]:
    """Returns baselines: the configuration, preparation and read-out of a system, with fresh weights."""
    model = next(iter(like.bundles.values()))
    systems = []
    for number in range(config.untrained):
        torch.manual_seed(derive_seed(config.seed, "untrained", number))
        encoder_config: Any = model.encoder.config
        bundle = Bundle.assemble(
            build_encoder(encoder_config),
            preparation=model.preparation,
            readout=model.manifest.readout,
            window_s=model.manifest.window_s,
        ).eval()
        name = "untrained" if config.untrained == 1 else f"untrained {number}"
        systems.append(System(name=name, bundles=dict.fromkeys(config.lead_sets, bundle)))
    return systems


def write_judgement(
    judgement: Judgement,
    config: EvaluateConfig,
    *,
    title: str,
    summary: Sequence[str],
    sections: Sequence[Section],
    systems: Sequence[System],
    stores: Sequence[Store],
) -> Path:
    """Writes `results.json`, `report.json` and `report.html`; returns the page.

    Raises:
        FileError: If the disk refuses.
    """
    provenance = {
        "config": to_plain(config),
        "bundles": {
            system.name: {name: bundle.fingerprint() for name, bundle in system.bundles.items()}
            for system in systems
        },
        "stores": {str(store.path): store.manifest.fingerprint for store in stores},
        "environment": environment(),
    }
    write_json(
        config.out / "results.json",
        {"format": RESULTS_FORMAT, **to_plain(judgement), "provenance": provenance},
    )
    report = Report(
        title=title,
        summary=(*summary, *unknown_patients(stores)),
        sections=tuple(sections),
        provenance=provenance,
        results=judgement.results,
    )
    return write_report(report, config.out)


def run_name(path: Path) -> str:
    """Returns what to call a bundle: the name of its run's folder."""
    resolved = path.resolve()
    return resolved.parent.name if resolved.name == "bundle" else resolved.name


def bundle_folder(path: Path) -> Path:
    """Returns the folder of the bundle where a path may be that of its run."""
    return path if (path / CONFIG_NAME).is_file() or not (path / "bundle").is_dir() else path / "bundle"


def _bundles(path: Path, lead_sets: Sequence[str]) -> dict[str, Bundle]:
    for folder in (path, path / "bundle"):
        if (folder / CONFIG_NAME).is_file():
            return dict.fromkeys(lead_sets, load(folder))
    found = {name: path / f"bundle-{name}" for name in lead_sets}
    existing = {name: folder for name, folder in found.items() if folder.is_dir()}
    if path.is_dir() and any(path.glob("bundle-*")) and not existing:
        raise ConfigError(
            f"{path}: this run has no bundle for any of the lead sets {', '.join(lead_sets)}; "
            "evaluate those it was trained for."
        )
    if existing:
        return {name: load(folder) for name, folder in existing.items()}
    return dict.fromkeys(lead_sets, load(path))
