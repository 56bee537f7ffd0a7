"""anylead info: what something is."""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from anylead.cli.arguments import leads, parse


@dataclass(frozen=True, kw_only=True)
class InfoArguments:
    """Says what a recording, a store, a run or a bundle is."""

    path: tyro.conf.Positional[Path]
    """A recording, or the folder of a store, a run or a bundle."""
    fs: float | None = None
    """Sampling rate in Hz, of a table or an array that does not say it."""
    unit: str | None = None
    """Unit of voltage, likewise: mV, uV, nV or V."""
    leads: tuple[str, ...] = ()
    """Leads, likewise."""
    json: bool = False
    """Print everything, as JSON."""


def run(argv: list[str]) -> None:
    """Runs ``anylead info``."""
    given, _ = parse(InfoArguments, argv, prog="anylead info")

    from anylead.workflows.info import info, lines

    facts = info(given.path, fs=given.fs, unit=given.unit, leads=leads(given.leads) or None)
    print(json.dumps(facts, indent=1, default=str) if given.json else "\n".join(lines(facts)))
