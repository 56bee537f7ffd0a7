"""anylead view: one recording on ECG paper."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from anylead.cli.arguments import leads, parse


@dataclass(frozen=True, kw_only=True)
class ViewArguments:
    """Draws a recording on ECG paper, 25 mm/s and 10 mm/mV.

    A lead that was not recorded is an empty row that says so; missing samples are gaps.
    """

    path: tyro.conf.Positional[Path]
    """A recording (a WFDB header, its signal file, or their common name), or a store together with --row."""
    out: Path | None = None
    """SVG or PNG to write; by default RECORD.svg in this folder."""
    start: float = 0.0
    """First second shown."""
    seconds: float = 10.0
    """Seconds shown, at most 60."""
    leads: tuple[str, ...] = ()
    """Leads in the order to draw them: I,II or a set (12, 8, 6, 4, 3, 2); by default those recorded."""
    row: int | None = None
    """Row of the store to draw."""


def run(argv: list[str]) -> None:
    """Runs ``anylead view``."""
    given, _ = parse(ViewArguments, argv, prog="anylead view")

    from anylead.workflows.view import ViewConfig, view

    config = ViewConfig(
        out=given.out, start_s=given.start, seconds=given.seconds, leads=leads(given.leads), row=given.row
    )
    print(view(given.path, config))
