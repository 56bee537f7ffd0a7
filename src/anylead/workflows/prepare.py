"""`anylead prepare`: a data set becomes a store."""

from dataclasses import dataclass, field
from pathlib import Path

from anylead.errors import ConfigError
from anylead.preparation import Preparation
from anylead.sources.base import Source
from anylead.sources.synthetic import Synthetic
from anylead.store import PrepareSummary, SplitConfig, write_store
from anylead.store.addresses import absolute, locate
from anylead.store.backends import Backend


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What to prepare, and where to."""

    source: Source
    """The data set with its options."""
    path: Path | None = None
    """Its folder, or an address that fsspec knows (s3://bucket/folder); none for the synthetic source."""
    out: Path
    """Folder or address of the store."""
    preparation: Preparation = field(default_factory=Preparation.default)
    """Steps from the recording as published to the one an encoder sees."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """How persons are dealt to training, validation and test."""
    jobs: int = 1
    """Processes; -1 takes all cores, or all of the cluster."""
    backend: Backend = "loky"
    """Who runs them: loky on this machine; ray and dask on the cluster that RAY_ADDRESS or
    DASK_SCHEDULER_ADDRESS names, or on one made here for this call."""
    progress: bool = False
    """Show a progress bar on standard error."""


def prepare(config: PrepareConfig) -> PrepareSummary:
    """Prepares a store, continues one that was interrupted, or finds that it is there already.

    Raises:
        ConfigError: If the folder of the data set is not given or is none, or the number of jobs is 0.
        StoreError: If `out` holds something else, nothing was found, or everything was rejected.
        FileError: If the disk refuses.
    """
    if config.jobs == 0:
        raise ConfigError("prepare: jobs is 0; give the number of processes, or -1 for all cores.")
    if config.path is None and not isinstance(config.source, Synthetic):
        raise ConfigError(
            f"prepare: the source {config.source.name} needs the folder of the data set; give it as PATH "
            f"(it is published at {config.source.url})."
        )
    place = None if config.path is None else locate(config.path)
    if isinstance(place, Path) and not place.exists():
        raise ConfigError(f"prepare: {config.path} does not exist; give the folder of {config.source.name}.")
    if isinstance(place, Path) and not place.is_dir():
        packed = f", or of one in a zip its address zip://FOLDER::{place}" if place.suffix == ".zip" else ""
        raise ConfigError(f"prepare: {place} is a file; give the folder of {config.source.name}{packed}.")
    path, out = config.path, config.out
    if config.backend != "loky":
        # The current folder of a cluster's process is another.
        path, out = None if path is None else absolute(path), absolute(out)
    return write_store(
        config.source,
        path,
        out,
        preparation=config.preparation,
        split=config.split,
        jobs=config.jobs,
        backend=config.backend,
        progress=config.progress,
    )
