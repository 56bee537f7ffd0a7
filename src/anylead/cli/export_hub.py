"""anylead export hub: a folder for the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from anylead.cli.arguments import parse


@dataclass(frozen=True, kw_only=True)
class ExportHubArguments:
    """Writes a folder for the Hugging Face Hub: weights, configuration, preparation and a model card.

    The card tells the data, the licences, the intended use, and the numbers of a report that `anylead
    evaluate suite` made of the bundle, with intervals, baselines and the any-lead curve. Nothing is pushed
    unless --push names a repository.
    """

    bundle: tyro.conf.Positional[Path]
    """Folder of a bundle, or of its run."""
    out: Path
    """Folder to write: a new or empty one, or one that holds a bundle, which is replaced."""
    report: Path | None = None
    """Folder of the report about this bundle; without it, the numbers that the bundle carries, if any."""
    licence: str | None = None
    """Licence of the weights as the Hub names it, such as cc-by-4.0 or mit."""
    push: str | None = None
    """Repository on the Hub to push to, OWNER/NAME."""
    private: bool = False
    """Make the repository a private one, where it does not exist yet."""


def run(argv: list[str]) -> None:
    """Runs ``anylead export hub``."""
    given, _ = parse(ExportHubArguments, argv, prog="anylead export hub")

    from anylead.workflows.export_hub import ExportHubConfig, export_hub

    done = export_hub(
        ExportHubConfig(
            bundle=given.bundle,
            out=given.out,
            report=given.report,
            licence=given.licence,
            push=given.push,
            private=given.private,
        )
    )
    print("\n".join([f"{done.out}: {', '.join(done.files)}", *done.notes, *([done.url] if done.url else [])]))
