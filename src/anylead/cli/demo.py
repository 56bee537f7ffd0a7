"""anylead demo: synthetic patients end to end."""

from dataclasses import dataclass
from pathlib import Path

from anylead.cli.arguments import parse, plain


@dataclass(frozen=True, kw_only=True)
class DemoArguments:
    """Prepares, pre-trains, fine-tunes and evaluates both tasks on synthetic patients, and writes a report.

    Run again, it re-uses what is there; interrupted, it continues.
    """

    out: Path = Path("demo")
    """Folder of everything; the report is report.html in it."""
    patients: int = 1200
    """Synthetic patients, two recordings each."""
    seed: int = 0
    """Seed of everything."""
    steps: int = 300
    """Updates of pre-training."""
    finetune_steps: int = 60
    """Updates of each fine-tuning."""
    encoder: str = "tiny"
    """Size of the encoder: base, small, mini or tiny."""
    resamples: int = 1000
    """Resamples of the patients, for the intervals."""
    jobs: int = 2
    """Processes that prepare."""


def run(argv: list[str]) -> None:
    """Runs ``anylead demo``."""
    given, _ = parse(DemoArguments, argv, prog="anylead demo")

    from anylead.workflows.demo import DemoConfig, demo

    print(demo(DemoConfig(**plain(given))))
