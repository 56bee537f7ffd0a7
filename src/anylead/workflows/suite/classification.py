"""The classification part: every read-out and every baseline at the leads as recorded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from anylead.evaluation.benchmark_section import benchmark_section
from anylead.evaluation.evaluate import paired_difference
from anylead.evaluation.knn import fit_neighbours
from anylead.evaluation.report import Table
from anylead.evaluation.results import ClassificationResult
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.embedders import BundleEmbedder, Embedder
from anylead.workflows.suite.networks import network_answers, recipes
from anylead.workflows.suite.parts import Answers, Part
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import CLEAN, FITTED, passes_over
from anylead.workflows.suite.scoring import block, score
from anylead.workflows.suite.task import Task, finite_rows

METRICS = ("macro_auroc", "macro_auprc")
_SEED_OF_MODEL = re.compile(r"(?P<model>.+)(-seed-|:)\d+$")
"""Names of bundles that are one model, pre-trained from several seeds: ``mine-seed-0`` or ``mine:0``."""


def classification_part(contest: Contest) -> Part:
    """Judges every system on the test recordings that all of them answer.

    Raises:
        ConfigError: If nothing can be classified.
    """
    task = contest.probes.task
    given = [contest.probes.answers(one, CLEAN, CLEAN) for one in _probed(contest)]
    given += [_nearest(contest, one) for one in contest.main]
    chosen = recipes(contest.config)
    given += [
        network_answers(contest.passes, network, task, CLEAN, chosen[name].protocol)
        for name, network in contest.networks.items()
    ]
    scored = score(given, task, lead_set="as recorded")
    results = {name: one.evaluation.result for name, one in scored.items()}
    mine = scored[f"{contest.judged.name}, probe"]
    baselines = [name for name in scored if name not in _pretrained(contest)]
    differences = [
        paired_difference(mine.evaluation, scored[name].evaluation, metric)
        for name in scored
        if name != mine.answers.name
        for metric in METRICS
    ]
    claims = [one for one in differences if one.metric == METRICS[0] and one.b in baselines]
    section = benchmark_section(list(results.values()), drawn=_drawn(contest), notes=_skipped(task))
    seeds = (*_model_seed_table(contest, results), *_seed_table(contest, results))
    return Part(
        sections=(replace(section, tables=(*section.tables, *seeds)),),
        results=tuple(results.values()),
        claims=tuple(claims),
        predictions=tuple(block(one.answers, task, "clean") for one in scored.values()),
    )


def classification_passes(contest: Contest) -> list[Pass]:
    """Returns the passes over recordings as they are."""
    return passes_over(_probed(contest), (CLEAN,), FITTED)


def _probed(contest: Contest) -> tuple[Embedder, ...]:
    return (contest.judged, *contest.beside, *contest.untrained, contest.handmade)


def _pretrained(contest: Contest) -> set[str]:
    """Returns rows that are no baseline: what begins with pre-trained weights."""
    models = [contest.judged.name, *(one.name for one in contest.beside)]
    rows = {f"{name}, {how}" for name in models for how in ("probe", "k-NN")}
    return rows | {
        network.name
        for name, network in contest.networks.items()
        if recipes(contest.config)[name].is_pretrained
    }


def _nearest(contest: Contest, embedder: Embedder) -> Answers:
    """Asks the nearest training recordings; how many is chosen on validation recordings."""
    task = contest.probes.task
    vectors = {part: contest.passes.vectors(embedder, CLEAN, part) for part in ("train", "valid", "test")}
    usable = {part: finite_rows(values) for part, values in vectors.items()}
    valid = None
    if task.labels["valid"][usable["valid"]].any():
        valid = (vectors["valid"][usable["valid"]].astype(np.float64), task.labels["valid"][usable["valid"]])
    fitted = fit_neighbours(
        vectors["train"][usable["train"]].astype(np.float64),
        task.labels["train"][usable["train"]],
        patients=task.parts["train"].keep(usable["train"]).persons,
        valid=valid,
    )
    said: Mapping[str, np.ndarray] = {
        part: np.full((len(vectors[part]), len(task.classes)), np.nan) for part in ("valid", "test")
    }
    for part, values in said.items():
        if usable[part].any():
            values[usable[part]] = fitted.scores(vectors[part][usable[part]].astype(np.float64))
    return Answers(system=embedder.name, protocol="k-NN", test=said["test"], valid=said["valid"])


def _drawn(contest: Contest) -> list[str]:
    """Returns the rows a reader wants to see first: one of each kind."""
    kinds = [f"{one.name}, probe" for one in contest.main]
    return kinds + [network.name for network in contest.networks.values()]


def _skipped(task: Task) -> tuple[str, ...]:
    if not task.skipped:
        return ()
    return (
        f"Not judged, having fewer than {task.minimum_positives} positive training recordings or one outcome "
        f"only in the test: {', '.join(task.skipped)}.",
    )


def _model_seed_table(contest: Contest, results: Mapping[str, ClassificationResult]) -> tuple[Table, ...]:
    """Returns how far the pre-training seeds of one model are apart, where names tell that they are such."""
    by_model: dict[str, list[float]] = {}
    for one in (contest.judged, *contest.beside):
        named = _SEED_OF_MODEL.match(one.name)
        for how in ("probe", "k-NN") if named else ():
            value = results[f"{one.name}, {how}"].macro_auroc.value
            if named and value is not None:
                by_model.setdefault(f"{named['model']}, {how}", []).append(value)
    several = {name: values for name, values in by_model.items() if len(values) > 1}
    return _spread(several, caption="Macro AUROC of models: variation between seeds", what="Model")


def _seed_table(contest: Contest, results: Mapping[str, ClassificationResult]) -> tuple[Table, ...]:
    """Returns how far the seeds of untrained encoders are apart: a variation that no bootstrap shows."""
    by_kind: dict[str, list[float]] = {}
    plain = "as the judged encoder" if isinstance(contest.judged, BundleEmbedder) else "prepared as the store"
    for cell, embedder in zip(contest.cells, contest.untrained, strict=True):
        value = results[f"{embedder.name}, probe"].macro_auroc.value
        if value is not None:
            by_kind.setdefault(cell.kind or plain, []).append(value)
    caption = "Macro AUROC of untrained encoders: variation between seeds"
    return _spread(by_kind, caption=caption, what="Untrained encoder", folded=True)


def _spread(
    values: Mapping[str, Sequence[float]], *, caption: str, what: str, folded: bool = False
) -> tuple[Table, ...]:
    rows = tuple(
        (name, f"{np.mean(found):.3f}", f"{min(found):.3f} to {max(found):.3f}", str(len(found)))
        for name, found in values.items()
    )
    columns = (what, "Mean over seeds", "Lowest to highest seed", "Seeds")
    return (Table(caption=caption, columns=columns, rows=rows, folded=folded),) if rows else ()
