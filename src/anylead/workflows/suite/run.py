"""`anylead evaluate suite` and `embeddings`: passes, parts, one report."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from anylead.config import to_plain
from anylead.evaluation.multiplicity import corrected
from anylead.evaluation.predictions_file import FILE_NAME, write_predictions
from anylead.evaluation.report import Report, Section, Table, write_report
from anylead.evaluation.results import Difference
from anylead.evaluation.sections import INTERVAL_NOTE
from anylead.provenance import environment
from anylead.workflows.suite.budgets import budget_part
from anylead.workflows.suite.classification import classification_part
from anylead.workflows.suite.config import EmbeddingsConfig, SuiteConfig
from anylead.workflows.suite.contest import Contest, contest_of
from anylead.workflows.suite.embedders import BundleEmbedder
from anylead.workflows.suite.forecast import forecast, planned_passes
from anylead.workflows.suite.identity import identity_part
from anylead.workflows.suite.leads import fixed_part, subset_part
from anylead.workflows.suite.leakage import leakage_part
from anylead.workflows.suite.networks import train_networks
from anylead.workflows.suite.parts import Part, attempt
from anylead.workflows.suite.readouts import choose_readouts
from anylead.workflows.suite.robustness import robustness_part
from anylead.workflows.suite.summary import claims_section, reading_section, summary

logger = logging.getLogger(__name__)


def suite(config: SuiteConfig | EmbeddingsConfig) -> list[str]:
    """Judges a model and everything it has to be compared with, and writes one report.

    Passes over the recordings are said first, kept, and found again: an interrupted suite continues. A part
    that cannot be made is named in the report with the reason.

    Returns:
        Sentences: the summary of the report, and where it is.

    Raises:
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be read.
        InputError: If the table of embeddings cannot be used.
        ConfigError: If two systems would have the same name.
        FileError: If the disk refuses.
    """
    contest = contest_of(config)
    clock = _Clock()
    logger.info("%s", forecast(contest))
    chosen: Part = clock.time("read-out", lambda: attempt("Read-out", lambda: choose_readouts(contest)))
    start = contest.architecture
    if start is not None and not contest.quick and contest.task is not None:
        contest.networks = clock.time("training", lambda: train_networks(config, start))
    clock.time("passes", lambda: contest.passes.run(planned_passes(contest), say=logger.info))
    works: dict[str, Callable[[], Part]] = {
        "Classification": lambda: classification_part(contest),
        "Fixed lead sets": lambda: fixed_part(contest),
        "Identification": lambda: identity_part(contest),
    }
    if not contest.quick:
        works |= {
            "Label budgets": lambda: budget_part(contest),
            "Any leads": lambda: subset_part(contest),
            "Robustness": lambda: robustness_part(contest),
        }
    if config.audit:
        works["Leakage"] = lambda: leakage_part(contest)
    parts = {
        name: clock.time(name, lambda name=name, work=work: attempt(name, work))  # type: ignore[misc]
        for name, work in works.items()
    }
    found = (chosen, *parts.values())
    claims = {name: corrected(part.claims) for name, part in parts.items() if part.claims}
    _write_predictions(contest, found)
    page = write_report(_report(contest, found, claims, clock), config.out)
    return [
        *summary(contest, found, claims),
        f"{page}: {contest.passes.done} passes made, {contest.passes.found} found again",
    ]


def _write_predictions(contest: Contest, parts: Sequence[Part]) -> None:
    blocks = [block for part in parts for block in part.predictions]
    if not blocks:
        return
    with write_predictions(
        contest.config.out / FILE_NAME,
        classes=contest.task.classes if contest.task else (),
        stores=[store.manifest.fingerprint for store in contest.stores],
        provenance=_provenance(contest),
    ) as writer:
        for block in blocks:
            writer.write(block)


def _report(
    contest: Contest, parts: Sequence[Part], claims: Mapping[str, Sequence[Difference]], clock: "_Clock"
) -> Report:
    sections = [claims_section(contest, claims)] if claims else []
    sections.append(reading_section(contest))
    # Said once for the whole page.
    sections += [
        replace(section, notes=tuple(note for note in section.notes if note != INTERVAL_NOTE))
        for part in parts
        for section in part.sections
    ]
    return Report(
        title=f"{contest.judged.name}: evaluation",
        summary=tuple(summary(contest, parts, claims)),
        sections=(*sections, clock.section(contest)),
        provenance=_provenance(contest),
        results=(*(result for part in parts for result in part.results), {"claims": claims}),
    )


def _provenance(contest: Contest) -> dict[str, Any]:
    systems = (contest.judged, *contest.beside, *contest.untrained, *contest.networks.values())
    return {
        "judged": contest.judged.name,
        "config": to_plain(contest.config),
        "systems": {one.name: one.key for one in systems},
        "bundles": {one.name: one.bundle.fingerprint() for one in systems if isinstance(one, BundleEmbedder)},
        "stores": {str(store.path): store.manifest.fingerprint for store in contest.stores},
        "data": [
            {
                "source": store.manifest.source,
                "fingerprint": store.manifest.fingerprint,
                "licence": store.manifest.licence,
                "citation": store.manifest.citation,
                "patients_known": store.manifest.patients_known,
            }
            for store in contest.stores
        ],
        "seed": contest.config.seed,
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }


class _Clock:
    """Remembers how long each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        result = work()
        self.seconds[name] = time.monotonic() - start
        return result

    def section(self, contest: Contest) -> Section:
        rows = tuple((name, f"{seconds:.0f} s") for name, seconds in self.seconds.items())
        return Section(
            title="How long it took",
            notes=(
                f"{contest.passes.done} passes over recordings were made and {contest.passes.found} were "
                "found from before.",
            ),
            tables=(Table(caption="This run", columns=("Part", "Time"), rows=rows),),
        )
