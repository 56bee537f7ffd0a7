"""anylead quality: what is wrong with the recordings of a store."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class QualityArguments:
    """Measures every recording of a store, and draws the worst.

    What is looked for: missing, flat, saturated and clipped leads, mains hum, wander, noise, limb leads that
    do not go together, exchanged arm electrodes, copies.

    Writes quality.parquet into the store, to be joined with its index by record_id, and a page that draws the
    worst 50. No recording is changed or left out.
    """

    store: tyro.conf.Positional[Path]
    """A store made by anylead prepare."""
    out: Path | None = None
    """Folder for report.html and report.json; by default STORE-quality beside the store."""
    near_duplicates: int = 5000
    """Look for changed copies in stores of up to so many recordings; in larger ones for equal samples."""


def run(argv: list[str]) -> None:
    """Runs ``anylead quality``."""
    given, _ = parse(QualityArguments, argv, prog="anylead quality")

    from anylead.workflows.quality import QualityConfig, quality

    config = QualityConfig(
        store=given.store, out=given.out, near_duplicates=given.near_duplicates, progress=True
    )
    result = quality(config)
    print(f"{result.headline[:-1]}; the page is {config.page}.")
