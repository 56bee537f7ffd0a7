"""anylead prepare: a data set becomes a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from anylead.cli.arguments import leads, parse
from anylead.cli.dispatch import suggestion
from anylead.config import from_plain
from anylead.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Options of the sources; one that is not given is the source's own."""

    patients: int | None = None
    """synthetic: how many patients (200)."""
    sessions: int | None = None
    """synthetic: recordings of each patient, months apart (2)."""
    duration_s: float | None = None
    """synthetic: length of a recording (10)."""
    seed: int | None = None
    """synthetic: another seed is another set of people (0)."""
    sampling_rate_hz: float | None = None
    """ptb-xl: which of its two copies to read, 500 or 100; synthetic: any rate (500)."""
    plus: Path | None = None
    """ptb-xl: folder of PTB-XL+, whose statements become the labels (none)."""
    plus_statements: Literal["scp", "12sl"] | None = None
    """ptb-xl: which of PTB-XL+'s statements, PTB-XL's with stages or the 12SL program's (scp)."""
    denoised: bool | None = None
    """chapman-csv: read the publishers' smoothed copy (no)."""
    databases: tuple[str, ...] | None = None
    """cinc2021: which of its databases to read (all)."""
    labels_csv: Path | None = None
    """files: a table of the recordings' findings (none)."""
    fs: float | None = None
    """files: sampling rate in Hz of tables and arrays without a sidecar."""
    unit: str | None = None
    """files: their unit of voltage: mV, uV, nV or V."""
    leads: tuple[str, ...] | None = None
    """files: their leads: I,II or a set (12, 8, 6, 4, 3, 2)."""


@dataclass(frozen=True, kw_only=True)
class PrepareArguments:
    """Reads the recordings of a data set, resamples them, splits the patients, and writes a store.

    The same command again does nothing where the store is finished, and continues where it was interrupted.
    Files that cannot be used are listed in rejected.csv with the reason.
    """

    data_set: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """The data set: ptb-xl, synthetic, files (a folder of recordings), mixed (several data sets), ...;
    `anylead sources` lists all."""
    path: tyro.conf.Positional[Path | None] = None
    """Its folder, or an address such as s3://bucket/folder; none for synthetic patients; for mixed a YAML
    file of its parts."""
    out: Path
    """Folder or address of the store."""
    jobs: int = 1
    """Processes; -1 takes all cores, or all of the cluster."""
    backend: Literal["loky", "ray", "dask"] = "loky"
    """Who runs them: this machine, or the cluster that RAY_ADDRESS or DASK_SCHEDULER_ADDRESS names."""
    rate_hz: float = 500.0
    """Sampling rate of the store, where no bundle is named."""
    bundle: Path | None = None
    """Prepare as this bundle's recordings are, instead of the usual way; an imported one may need it."""
    test_fraction: float = 0.1
    """Share of the patients in the test split."""
    valid_fraction: float = 0.1
    """Share of the patients in the validation split."""
    split_seed: int = 0
    """Another seed, other patients in the splits."""
    use_folds: bool = False
    """Take the splits the publishers recommend instead (PTB-XL: fold 10 is test, 9 validation)."""
    source: tyro.conf.OmitArgPrefixes[SourceOptions] = SourceOptions()
    """Options of the sources."""


def run(argv: list[str]) -> None:
    """Runs ``anylead prepare``."""
    given, _ = parse(PrepareArguments, argv, prog="anylead prepare")

    from anylead.store import SplitConfig
    from anylead.workflows.prepare import PrepareConfig, prepare

    mixed = given.data_set == "mixed"
    config = PrepareConfig(
        source=read_parts(given) if mixed else build_source(given.data_set, given.source),
        path=given.path.parent if mixed and given.path else given.path,
        out=given.out,
        preparation=build_preparation(given),
        split=SplitConfig(
            test_fraction=given.test_fraction,
            valid_fraction=given.valid_fraction,
            seed=given.split_seed,
            use_folds=given.use_folds,
        ),
        jobs=given.jobs,
        backend=given.backend,
        progress=True,
    )
    print(prepare(config).line())


def build_preparation(given: PrepareArguments) -> Any:
    """Returns the steps that were asked for.

    Raises:
        BundleError: If the bundle cannot be read.
    """
    from anylead.preparation import Preparation

    if given.bundle is None:
        return Preparation.default(rate_hz=given.rate_hz)

    from anylead.bundle import read_manifest

    return Preparation.from_plain(read_manifest(given.bundle).preparation)


def build_source(name: str, options: SourceOptions) -> Any:
    """Returns a source with the options that were given.

    Raises:
        ConfigError: If there is no such source, or it has no such option.
    """
    from anylead.sources import SOURCES

    if name not in SOURCES:
        raise ConfigError(f"there is no source {name!r}; {suggestion(name, SOURCES)}")
    values = {field: value for field, value in vars(options).items() if value is not None}
    rate = values.get("sampling_rate_hz")
    if rate is not None and rate == int(rate):
        values["sampling_rate_hz"] = int(rate)
    if "leads" in values:
        values["leads"] = leads(values["leads"])
    return from_plain(SOURCES[name], values, where=f"source {name}")


def read_parts(given: PrepareArguments) -> Any:
    """Returns the data sets that a file names.

    Raises:
        ConfigError: If there is no such file, it cannot be understood, or an option is given beside it.
    """
    from anylead.sources.mixed import Mixed

    if given.path is None:
        raise ConfigError("prepare: mixed needs a YAML file of its parts; give it as PATH.")
    if given.source != SourceOptions():
        raise ConfigError(f"prepare: options of sources stand in {given.path}, beside their part; move them.")
    return Mixed.read(given.path)
