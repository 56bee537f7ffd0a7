"""The identification part: every protocol, plain and whitened, for each lead set."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np

from anylead.errors import ConfigError, InputError
from anylead.evaluation.bootstrap import patient_draws
from anylead.evaluation.conditions import Condition
from anylead.evaluation.identification import cosine_similarity, gallery_and_probes, pessimistic_ranks
from anylead.evaluation.identity_section import identity_suite_section
from anylead.evaluation.identity_suite import (
    IdentityEvaluation,
    evaluate_identity_suite,
    identity_difference,
)
from anylead.evaluation.predictions import BlockKey, IdentificationBlock
from anylead.evaluation.readout_choice import choose_identity_readout
from anylead.evaluation.results import Difference
from anylead.evaluation.whitening import Whitening, fit_whitening
from anylead.workflows.selection import Selection
from anylead.workflows.suite.contest import Contest
from anylead.workflows.suite.embedders import BundleEmbedder, Embedder
from anylead.workflows.suite.parts import Part
from anylead.workflows.suite.passes import Pass
from anylead.workflows.suite.plan import (
    PERSONS,
    SCATTER,
    VALID_PERSONS,
    asked_of,
    fixed_lead_sets,
    passes_over,
)
from anylead.workflows.suite.task import finite_rows

WHITENED = "whitened"
_PLAIN = "cosine"
_WHITENED_NOTE = (
    "Whitened: by the scatter between windows of unlabelled training recordings. Plain cosine and whitened "
    "stand side by side.",
)
_FEWEST_TO_CHOOSE_BY = 10
"""Validation persons with two recordings, fewer of whom decide nothing."""


def identity_systems(contest: Contest) -> tuple[Embedder, ...]:
    """Returns who takes part: the median beat needs no learning."""
    return (contest.judged, *contest.beside, *contest.plain_untrained, contest.median_beat)


def identity_passes(contest: Contest) -> list[Pass]:
    """Returns the passes of this part: other recordings than those of classification."""
    systems, conditions = identity_systems(contest), asked_of(contest.judged, fixed_lead_sets())
    scatter = [
        Pass(embedder=one, condition=condition, part=SCATTER, gives="windows")
        for one in systems
        if _can_be_whitened(one, contest)
        for condition in conditions
    ]
    return [*passes_over(systems, conditions, (PERSONS,)), *scatter]


def identity_part(contest: Contest) -> Part:
    """Judges who is recognised.

    Raises:
        ConfigError: If nobody known has two recordings with the leads of one of the sets.
    """
    persons = contest.passes.parts[PERSONS]
    if not len(persons):
        raise ConfigError(
            "no store has patient ids that are those of persons; give one such as ecg-id or ptb-xl."
        )
    conditions = asked_of(contest.judged, fixed_lead_sets())
    if not conditions:
        raise ConfigError(
            f"{contest.judged.name} has no embedding under any lead set; give rows for "
            f"{fixed_lead_sets()[0].name} at least."
        )
    how, choice = _read_as(contest)
    draws = patient_draws(persons.persons, resamples=contest.config.resamples, seed=contest.config.seed)
    dates, hashes = _dates(persons), persons.column("hash")
    results, differences, blocks, reasons = [], [], [], []
    for condition in conditions:
        vectors = _vectors(contest, condition)
        whole = finite_rows(*vectors.values()) & persons_with(persons, condition)
        name = condition.name.removeprefix("lead-set-")
        judged: dict[str, IdentityEvaluation] = {}
        try:
            for system, values in vectors.items():
                judged[system] = evaluate_identity_suite(
                    values[whole].astype(np.float64),
                    persons.keep(whole).persons,
                    recorded_at=dates[whole],
                    hashes=[one for one, kept in zip(hashes, whole, strict=True) if kept],
                    draws=draws,
                    system=system,
                    lead_set=name,
                    seed=contest.config.seed,
                )
        except InputError as error:
            reason = str(error).removeprefix("identification: ")
            reasons.append(f"Identification, leads {name}: {reason}")
            continue
        results += [one.result for one in judged.values()]
        differences += _differences(judged, contest)
        blocks += [
            _block(key, values[whole].astype(np.float64), persons.keep(whole), condition.name)
            for key, values in vectors.items()
        ]
    if not results:
        told = reasons[0].partition(": ")[2] if reasons else "nobody known has two recordings."
        raise ConfigError(told)
    # The claim rests on the lead set with the most probes; the first one given decides between equals.
    most = max(results, key=lambda one: one.probes).lead_set
    claims = [
        one
        for one in differences
        if (one.lead_set, one.metric, one.subset) == (most, "rank1", "all") and one.a.endswith(f", {how}")
    ]
    section = identity_suite_section(
        results,
        differences,
        notes=(
            *(_WHITENED_NOTE if any(one.system.endswith(f", {WHITENED}") for one in results) else ()),
            f"The claim rests on {how}: {choice}",
        ),
        drawn=_drawn([one.system for one in results], contest),
    )
    return Part(
        sections=(section,),
        results=tuple(results),
        claims=tuple(claims),
        predictions=tuple(blocks),
        missing=tuple(reasons),
    )


def _read_as(contest: Contest) -> tuple[str, str]:
    """Returns whether the claim is read plain or whitened, and why: by Rank-1 of validation persons."""
    fixed = "fixed beforehand, as too few validation persons have two recordings to choose by."
    persons, judged = contest.passes.parts[VALID_PERSONS], contest.judged
    if not isinstance(judged, BundleEmbedder):
        return _PLAIN, "embeddings are taken as they were given."
    if all(_whitening(contest, judged, condition) is None for condition in fixed_lead_sets()):
        return _PLAIN, "no training recording has two windows, whose scatter whitening needs."
    if not len(persons):
        return WHITENED, fixed
    condition = fixed_lead_sets()[0]
    vectors = contest.passes.vectors(judged, condition, VALID_PERSONS)
    usable = finite_rows(vectors)
    whitening = _whitening(contest, judged, condition)
    if not usable.any() or whitening is None:
        return WHITENED, fixed
    known = persons.keep(usable)
    protocol = gallery_and_probes(known.persons, recorded_at=_dates(known), hashes=known.column("hash"))
    if len(set(protocol.probe_person.tolist())) < _FEWEST_TO_CHOOSE_BY:
        return WHITENED, fixed
    place = (judged.readout.layer, judged.readout.pooling)
    found = choose_identity_readout({place: (vectors[usable].astype(np.float64), whitening)}, protocol)
    tried = ", ".join(
        f"{WHITENED if one.is_whitened else _PLAIN} {one.score:.3f}"
        for one in found.tried
        if one.score is not None
    )
    how = WHITENED if found.chosen.is_whitened else _PLAIN
    return how, f"chosen by {found.metric} of {found.judged_on} ({tried})."


def persons_with(persons: Selection, condition: Condition) -> np.ndarray:
    """Returns which recordings have all leads of a lead set."""
    return np.array(
        [set(condition.leads) <= set(persons.stores[n].leads[row]) for n, row in persons.recordings]
    )


def _vectors(contest: Contest, condition: Condition) -> dict[str, np.ndarray]:
    """Returns the vectors of every system, plain and, for encoders, whitened."""
    found: dict[str, np.ndarray] = {}
    for one in identity_systems(contest):
        vectors = contest.passes.vectors(one, condition, PERSONS)
        if not vectors.shape[1] or not np.isfinite(vectors).all(axis=1).any():
            continue
        found[f"{one.name}, {_PLAIN}"] = vectors
        whitening = _whitening(contest, one, condition)
        if whitening is not None:
            usable = finite_rows(vectors)
            white = np.full(vectors.shape, np.nan)
            white[usable] = whitening(vectors[usable])
            found[f"{one.name}, {WHITENED}"] = white
    return found


def _can_be_whitened(system: Embedder, contest: Contest) -> TypeGuard[BundleEmbedder]:
    """Returns whether a system is read whitened too: nobody is where the judged one, a table, is not."""
    return isinstance(system, BundleEmbedder) and isinstance(contest.judged, BundleEmbedder)


def _whitening(contest: Contest, system: Embedder, condition: Condition) -> Whitening | None:
    if not _can_be_whitened(system, contest):
        return None
    vectors, places = contest.passes.windows(system, condition, SCATTER)
    try:
        return fit_whitening(vectors.astype(np.float64), places.tolist())
    except InputError:
        return None


def _differences(judged: Mapping[str, IdentityEvaluation], contest: Contest) -> list[Difference]:
    """Compares the judged encoder, plain and whitened, with every baseline read in the same way."""
    found = []
    for how in (_PLAIN, WHITENED):
        mine = judged.get(f"{contest.judged.name}, {how}")
        if mine is None:
            continue
        for name, other in judged.items():
            same = name.endswith(f", {how}") or name.startswith(contest.median_beat.name)
            if other is mine or not same:
                continue
            for metric in ("rank1", "eer"):
                found.append(identity_difference(mine, other, metric))
                dated = f"{metric}, cross_session"
                if dated in mine.values and dated in other.values:
                    found.append(identity_difference(mine, other, metric, subset="cross_session"))
    return found


def _block(name: str, vectors: np.ndarray, persons: Selection, condition: str) -> IdentificationBlock:
    system, protocol = name.rsplit(", ", 1)
    protocol = _PLAIN if protocol == _PLAIN else f"{_PLAIN}, {protocol}"
    chosen = gallery_and_probes(persons.persons, recorded_at=_dates(persons), hashes=persons.column("hash"))
    similarity = cosine_similarity(vectors[chosen.probes], vectors[chosen.gallery])
    rows = np.arange(len(chosen.probes))
    others = similarity.copy()
    others[rows, chosen.probe_person] = -np.inf
    sessions = np.where(
        chosen.same_day, "same_day", np.where(chosen.cross_session, "cross_session", "unknown")
    )
    ids, owners = persons.record_ids, persons.persons
    return IdentificationBlock(
        key=BlockKey(task="identification", protocol=protocol, condition=condition, system=system),
        record_ids=tuple(ids[row] for row in chosen.probes),
        patients=tuple(owners[row] for row in chosen.probes),
        ranks=pessimistic_ranks(similarity, chosen.probe_person).astype(np.int32),
        enrolled=np.full(len(rows), len(chosen.persons), dtype=np.int32),
        own_similarity=similarity[rows, chosen.probe_person].astype(np.float32),
        best_other_similarity=others.max(axis=1).astype(np.float32),
        sessions=tuple(str(one) for one in sessions),
    )


def _dates(persons: Selection) -> np.ndarray:
    """Returns when each recording was made, NaT where nobody knows."""
    dates = [np.datetime64("NaT") if d is None else np.datetime64(d) for d in persons.column("recorded_at")]
    return np.array(dates, dtype="datetime64[s]")


def _drawn(systems: Sequence[str], contest: Contest) -> list[str]:
    """Returns the systems that figures show: of the untrained encoders one is enough."""
    shown = {contest.judged.name, contest.median_beat.name, *(one.name for one in contest.beside)}
    shown |= {one.name for one in contest.untrained[:1]}
    return [name for name in dict.fromkeys(systems) if name.rsplit(", ", 1)[0] in shown]
