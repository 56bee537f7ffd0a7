"""`anylead evaluate diff`: which of two reports is better, where, and with what certainty."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from anylead.config import to_plain
from anylead.errors import ConfigError, FileError, InputError
from anylead.evaluation.comparison import Blocks, Pair, PairedPart, compare_predictions
from anylead.evaluation.comparison_section import comparison_sections, comparison_sentences
from anylead.evaluation.predictions_file import FILE_NAME, Predictions, read_predictions
from anylead.evaluation.report import Report, plain_report, render_html
from anylead.evaluation.report_comparison import Comparison, Side, published_pairs
from anylead.provenance import atomic_path, environment, write_json

logger = logging.getLogger(__name__)

REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class DiffConfig:
    """Which reports to compare.

    Raises:
        ConfigError: If there are too few resamples, or a report is compared with itself.
    """

    a: Path
    """Folder of the first report: `report.json` and, to compare pair by pair, `predictions.parquet`."""
    b: Path
    """Folder of the second."""
    out: Path | None = None
    """Folder for `diff.html` and `diff.json`; None writes nothing."""
    resamples: int = 1000
    """Of the patients."""
    seed: int = 0
    """Of the resamples."""
    progress: bool = False
    """Show a progress bar on standard error."""

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ConfigError(f"evaluate diff: resamples is {self.resamples}; give at least 100.")
        if self.a.resolve() == self.b.resolve():
            raise ConfigError(f"evaluate diff: both reports are {self.a}; give the folders of two.")


def diff(config: DiffConfig) -> Comparison:
    """Compares two reports on the recordings both judged.

    Systems are matched by name, and the judged system of one report with that of the other. Where nothing
    can be paired, the published intervals stand side by side, and the comparison says why.

    Raises:
        FileError: If a folder holds no report, a file cannot be read, or the page cannot be written.
    """
    reports = [_report(folder) for folder in (config.a, config.b)]
    files = [_predictions(folder) for folder in (config.a, config.b)]
    sides = [
        Side(folder=name, judged=_judged(report))
        for name, report in zip(_folder_names(config.a, config.b), reports, strict=True)
    ]
    results = [[one for one in report["results"] if isinstance(one, Mapping)] for report in reports]
    pairs, main = _pairs(sides, [_systems(file, own) for file, own in zip(files, results, strict=True)])
    paired, notes = _paired(config, files, pairs)
    notes += [
        f"{side.folder} does not say which system it is about, so systems are compared by name."
        for side in sides
        if side.judged is None
    ]
    comparison = Comparison(
        a=sides[0],
        b=sides[1],
        main=main,
        paired=paired,
        published=tuple(published_pairs(results[0], results[1], main, paired)),
        notes=tuple(notes),
        resamples=config.resamples,
        seed=config.seed,
    )
    comparison = replace(comparison, summary=comparison_sentences(comparison))
    if config.out is not None:
        _write(comparison, config, reports)
    return comparison


def _paired(
    config: DiffConfig, files: Sequence[Predictions | None], pairs: Sequence[Pair]
) -> tuple[PairedPart, list[str]]:
    """Returns what can be paired and, where nothing can, why."""
    a, b = files
    absent = [str(folder) for folder, file in zip((config.a, config.b), files, strict=True) if file is None]
    if a is None or b is None:
        return PairedPart(), [f"There is no {FILE_NAME} in {' and '.join(absent)}, so nothing is paired."]

    def wrap(blocks: Sequence[Blocks]) -> Iterable[Blocks]:
        return tqdm(blocks, desc="comparing", unit="block", disable=not config.progress)

    try:
        part = compare_predictions(a, b, pairs, resamples=config.resamples, seed=config.seed, wrap=wrap)
    except InputError as error:
        return PairedPart(), [f"Nothing is paired, because {error}"]
    notes = []
    for letter, own, other in (("A", a, b), ("B", b, a)):
        there = {(key.task, key.protocol, key.condition) for key in other.keys}
        alone = dict.fromkeys(
            f"{k.task} / {k.protocol} / {k.condition}"
            for k in own.keys
            if (k.task, k.protocol, k.condition) not in there
        )
        if alone:
            named = list(alone)
            more = f" and {len(named) - 3} more" if len(named) > 3 else ""
            notes.append(f"Only {letter} has {', '.join(named[:3])}{more}.")
    return part, notes


def _pairs(sides: Sequence[Side], systems: Sequence[Sequence[str]]) -> tuple[list[Pair], tuple[Pair, ...]]:
    """Returns the pairs, the main ones first: the judged systems, or all of one name where none is known."""
    same = [Pair(a=name, b=name) for name in systems[0] if name in systems[1]]
    left, right = (side.judged for side in sides)
    if left is None or right is None:
        return same, tuple(same)
    main = Pair(a=left, b=right)
    return [main, *(pair for pair in same if pair != main)], (main,)


def _systems(file: Predictions | None, results: Sequence[Mapping[str, Any]]) -> list[str]:
    named = [key.system for key in file.keys] if file is not None else []
    return list(
        dict.fromkeys([*named, *(one["system"] for one in results if isinstance(one.get("system"), str))])
    )


def _report(folder: Path) -> dict[str, Any]:
    path = folder / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path}: the report cannot be read ({str(error).splitlines()[0]}); "
            "give the folder that anylead evaluate wrote."
        ) from error
    if not isinstance(report, dict) or not isinstance(report.get("results"), list):
        raise FileError(f"{path}: holds no results; give the folder that anylead evaluate wrote.")
    return report


def _judged(report: Mapping[str, Any]) -> str | None:
    provenance = report.get("provenance")
    judged = provenance.get("judged") if isinstance(provenance, Mapping) else None
    return judged if isinstance(judged, str) else None


def _predictions(folder: Path) -> Predictions | None:
    path = folder / FILE_NAME
    return read_predictions(path) if path.exists() else None


def _folder_names(a: Path, b: Path) -> tuple[str, str]:
    names = a.resolve().name, b.resolve().name
    return names if names[0] != names[1] else (str(a), str(b))


def _write(comparison: Comparison, config: DiffConfig, reports: Sequence[Mapping[str, Any]]) -> None:
    assert config.out is not None
    page = Report(
        title=f"{comparison.a.folder} against {comparison.b.folder}",
        summary=comparison.summary,
        sections=comparison_sections(comparison),
        provenance={
            "config": to_plain(config),
            "environment": environment(),
            "a": reports[0].get("provenance"),
            "b": reports[1].get("provenance"),
        },
        results=(comparison,),
    )
    write_json(config.out / "diff.json", plain_report(page))
    with atomic_path(config.out / "diff.html") as temporary:
        temporary.write_text(render_html(page), encoding="utf-8")
