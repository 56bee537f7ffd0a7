"""Judging identification: frozen cosine similarity, plain and whitened, of any bundle's embeddings."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from anylead.bundle import Bundle
from anylead.errors import ConfigError, InputError
from anylead.evaluation.bootstrap import PatientDraws, patient_draws
from anylead.evaluation.evaluate import Evaluation, evaluate_identification, paired_difference
from anylead.evaluation.identification import Protocol, gallery_and_probes
from anylead.evaluation.results import Difference, IdentificationResult, Subset
from anylead.evaluation.whitening import Whitening, fit_whitening
from anylead.seeding import generator
from anylead.workflows.selection import Selection, embed_selection, embed_selection_windows
from anylead.workflows.systems import FrozenConfig, Judgement, System

logger = logging.getLogger(__name__)

_SUBSETS: tuple[Subset, ...] = ("all", "same_day", "cross_session")
_METRICS = ("rank1", "eer")


@dataclass(frozen=True, kw_only=True)
class EvaluateIdentifyConfig(FrozenConfig):
    """Judging who is recognised: the gallery is a person's earliest recording, probes are later ones."""

    whiten: bool = True
    """Judge each system also after whitening by the scatter within unlabelled training recordings."""
    whitening_recordings: int = 2000
    """Training recordings used for that, at most."""


def judge_identify(
    config: EvaluateIdentifyConfig, systems: Sequence[System], training: Selection, test: Selection
) -> Judgement:
    """Judges embeddings by gallery and probes.

    Args:
        config: What to judge.
        systems: The first is compared with each of the others.
        training: Unlabelled recordings for whitening: nobody of the test split.
        test: Recordings of known persons.

    Raises:
        ConfigError: If no person has two recordings with all leads of one of the lead sets.
    """
    results: list[IdentificationResult] = []
    differences: list[Difference] = []
    left_out: dict[str, int] = {}
    draws = patient_draws(test.persons, resamples=config.resamples, seed=config.seed) if len(test) else None
    for name, leads in config.leads.items():
        chosen = test.with_leads(leads)
        left_out[f"leads {name}: not all recorded"] = len(test) - len(chosen)
        taking_part = [system for system in systems if name in system.bundles]
        if draws is None or not taking_part or not _has_probe(chosen):
            continue
        vectors = {
            system.name: _embed(config, system, system.bundles[name], chosen, leads, name)
            for system in taking_part
        }
        whole = np.all([np.isfinite(part).all(axis=1) for part in vectors.values()], axis=0)
        left_out[f"leads {name}: gaps in every window"] = int((~whole).sum())
        judged = chosen.keep(whole)
        if not _has_probe(judged):
            continue
        protocol = _protocol(judged)
        plain = {one: part[whole].astype(np.float64) for one, part in vectors.items()}
        variants = [plain]
        if config.whiten:
            maps = {
                s.name: _whitening(config, s, s.bundles[name], training, leads, name) for s in taking_part
            }
            variants.append({f"{one}, whitened": w(plain[one]) for one, w in maps.items() if w is not None})
        for variant in variants:
            found, apart = _score(variant, protocol, draws, name)
            results += found
            differences += apart
    if not results:
        raise ConfigError(
            f"evaluate identify: nobody known in the {config.split} split has two recordings with all leads "
            "of one of the sets; give a store with patient ids and several recordings of each."
        )
    return Judgement(
        results=tuple(results),
        differences=tuple(differences),
        left_out={reason: count for reason, count in left_out.items() if count},
        recordings=tuple(test.record_ids),
    )


def _score(
    vectors: Mapping[str, np.ndarray], protocol: Protocol, draws: PatientDraws, lead_set: str
) -> tuple[list[IdentificationResult], list[Difference]]:
    results: list[IdentificationResult] = []
    differences: list[Difference] = []
    for subset in _SUBSETS:
        if not len(protocol.subset(subset).probes):
            continue
        evaluations: list[Evaluation[IdentificationResult]] = [
            evaluate_identification(
                part, protocol, draws=draws, system=name, lead_set=lead_set, subset=subset
            )
            for name, part in vectors.items()
        ]
        results += [one.result for one in evaluations]
        differences += [
            paired_difference(evaluations[0], other, metric)
            for other in evaluations[1:]
            for metric in _METRICS
        ]
    return results, differences


def _protocol(selection: Selection) -> Protocol:
    dates = np.array(
        [np.datetime64("NaT") if d is None else np.datetime64(d) for d in selection.column("recorded_at")]
    )
    return gallery_and_probes(
        selection.persons, recorded_at=dates.astype("datetime64[s]"), hashes=selection.column("hash")
    )


def _has_probe(selection: Selection) -> bool:
    # A duplicate of the gallery recording is no probe.
    recordings = set(zip(selection.persons, selection.column("hash"), strict=True))
    persons = [person for person, _ in recordings]
    return len(persons) > len(set(persons))


def _embed(
    config: EvaluateIdentifyConfig,
    system: System,
    bundle: Bundle,
    selection: Selection,
    leads: tuple[str, ...],
    name: str,
) -> Float32[np.ndarray, "n E"]:
    return embed_selection(
        bundle,
        selection,
        lead_set=leads,
        readout=system.readout(bundle, config),
        batch_size=config.batch_size,
        progress=f"{system.name}, leads {name}" if config.progress else None,
    )


def _whitening(
    config: EvaluateIdentifyConfig,
    system: System,
    bundle: Bundle,
    training: Selection,
    leads: tuple[str, ...],
    name: str,
) -> Whitening | None:
    usable = training.with_leads(leads)
    if len(usable) > config.whitening_recordings:
        drawn = generator(config.seed, "whitening").permutation(len(usable))[: config.whitening_recordings]
        usable = usable.keep(np.isin(np.arange(len(usable)), drawn))
    vectors, places = embed_selection_windows(
        bundle,
        usable,
        lead_set=leads,
        readout=system.readout(bundle, config),
        batch_size=config.batch_size,
        progress=f"{system.name}, leads {name}, whitening" if config.progress else None,
    )
    if not len(vectors):
        logger.warning("leads %s: no training recording has them all; nothing is whitened", name)
        return None
    try:
        return fit_whitening(vectors.astype(np.float64), places.tolist())
    except InputError as error:
        logger.warning("leads %s: nothing is whitened: %s", name, error)
        return None
