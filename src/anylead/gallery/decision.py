"""From similarities to answers: who a recording may be of, with what probability, and where that ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int64

from anylead.errors import ConfigError, GalleryError
from anylead.gallery.calibration import Calibration
from anylead.gallery.fusion import identification_posterior, mean_likelihood_ratio, verification_posterior
from anylead.gallery.results import Identification, Interval, Match, Verification
from anylead.gallery.search import PatientOrder, Vectors, best_per_patient, similarities
from anylead.gallery.template import Enrolment, LeadSet, TemplateTable
from anylead.gallery.thresholds import Threshold

LOOKED_AT = 500
"""Patients whose probability is worked out, the most similar; all others stay as likely as before."""
_NEITHER = "Without a calibration a similarity is no probability, and nothing is decided by it."


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolled:
    """All templates of one lead set in memory, ready to be searched."""

    table: TemplateTable
    """Its vectors may be left out: `vectors` are those that are searched."""
    vectors: Vectors
    order: PatientOrder


def identify(
    probe: Enrolment,
    lead_set: str,
    enrolled: Enrolled,
    calibration: Calibration | None,
    *,
    top: int,
    known_prior: float,
    false_acceptance: float,
) -> Identification:
    """Says who a recording may be of; see `anylead.gallery.gallery.Gallery.identify`.

    The verdict is ``known`` where the most similar patient reaches the threshold and is more likely than not,
    ``nobody here`` where no patient reaches it or nobody is more likely than not, and otherwise, or without a
    calibration, ``undecided``.

    Raises:
        ConfigError: If fewer than one patient is asked for, or the rate or the prior is none.
    """
    if top < 1:
        raise ConfigError(f"identify: {top} patients were asked for; ask for at least one.")
    _require_share(false_acceptance, "false acceptance rate")
    _require_share(known_prior, "prior")
    similarity = similarities(probe.templates[lead_set], enrolled.vectors)
    best, rows = best_per_patient(similarity, enrolled.order)
    ranked = np.argsort(-best, kind="stable")[: max(top, LOOKED_AT)]
    matches = [_match(probe, enrolled, similarity, int(rows[place])) for place in ranked[:top]]
    notes = [*_same_recording(probe, enrolled.table), *_quality_notes(probe)]
    if not len(ranked):
        notes.append(f"Nobody is enrolled through lead set {lead_set}.")
    if calibration is None or not calibration.has(lead_set) or not len(ranked):
        return Identification(
            record_id=probe.record_id,
            lead_set=lead_set,
            matches=matches,
            nobody=None,
            verdict="undecided",
            threshold=None,
            notes=[*notes, _NEITHER] if len(ranked) else notes,
        )
    ratios = _log_ratios(probe, lead_set, enrolled, similarity, ranked, calibration)
    posterior, nobody = identification_posterior(
        ratios, known_prior=known_prior, enrolled=len(enrolled.order.patients)
    )
    likely = [_interval(column) for column in posterior.T]
    # The most similar of many strangers is more similar than one, so this is not the threshold of `verify`.
    threshold = calibration.threshold(lead_set, false_acceptance, open_set=True)
    return Identification(
        record_id=probe.record_id,
        lead_set=lead_set,
        matches=[_with(match, one) for match, one in zip(matches, likely, strict=False)],
        nobody=_interval(nobody),
        verdict=_verdict(matches[0], likely[0], _interval(nobody), threshold),
        threshold=None if threshold is None else threshold.value,
        notes=[*notes, *_calibration_notes(calibration, lead_set, threshold, false_acceptance)],
    )


def verify(
    probe: Enrolment,
    patient_id: str,
    lead_set: str,
    enrolled: Enrolled,
    calibration: Calibration | None,
    *,
    prior: float,
    false_acceptance: float,
) -> Verification:
    """Says whether a recording is of a patient; see `anylead.gallery.gallery.Gallery.verify`.

    Enrolled recordings with the same samples are left out: that one is filed under a patient proves nothing.

    Raises:
        ConfigError: If the rate or the prior is none.
        GalleryError: If nothing is left to compare with.
    """
    _require_share(false_acceptance, "false acceptance rate")
    _require_share(prior, "prior")
    similarity = similarities(probe.templates[lead_set], enrolled.vectors)
    same = np.array([bool(one) and one == probe.hash for one in enrolled.table.hashes], dtype=bool)
    if len(same):
        similarity = np.where(same, np.float32(-np.inf), similarity)
    best, rows = best_per_patient(similarity, enrolled.order)
    place = enrolled.order.patients.index(patient_id)
    if best[place] == -np.inf:
        raise GalleryError(
            f"patient {patient_id}: the only recording enrolled is this one, so that there is nothing to "
            "compare it with; enrol another."
        )
    others = np.delete(np.arange(len(best)), place)
    own = _match(probe, enrolled, similarity, int(rows[place]))
    other = None
    if len(others) and best[others].max() > -np.inf:
        other = _match(probe, enrolled, similarity, int(rows[others[best[others].argmax()]]))
    notes = [*_same_recording(probe, enrolled.table), *_quality_notes(probe)]
    probability, threshold, accepted = None, None, None
    if calibration is not None and calibration.has(lead_set):
        ratios = _log_ratios(probe, lead_set, enrolled, similarity, np.array([place]), calibration)
        probability = _interval(verification_posterior(ratios[:, 0], prior=prior))
        threshold = calibration.threshold(lead_set, false_acceptance)
        accepted = None if threshold is None else own.similarity >= threshold.value
        notes += _calibration_notes(calibration, lead_set, threshold, false_acceptance)
        if accepted is False and probability.value > 0.5:
            notes.append(
                "It is less alike than is asked for; what makes the patient probable is the prior, "
                f"{prior:g}, not the recording."
            )
    else:
        notes.append(_NEITHER)
    return Verification(
        record_id=probe.record_id,
        patient_id=patient_id,
        lead_set=lead_set,
        similarity=own.similarity,
        probability=probability,
        accepted=accepted,
        threshold=None if threshold is None else threshold.value,
        own=_with(own, probability),
        best_other=other,
        notes=notes,
    )


def genuine_persons(calibration: Calibration | None, lead_sets: Sequence[LeadSet]) -> dict[str, int]:
    """Returns how many persons stand behind the calibration of each lead set that has one."""
    if calibration is None:
        return {}
    return {
        one.name: calibration.lead_sets[one.name].genuine_persons
        for one in lead_sets
        if calibration.has(one.name)
    }


def _require_share(value: float, what: str) -> None:
    if not 0.0 < value < 1.0:
        raise ConfigError(f"{what}: got {value:g}; give a number between 0 and 1.")


def _match(
    probe: Enrolment, enrolled: Enrolled, similarity: Float32[np.ndarray, "templates"], row: int
) -> Match:
    table = enrolled.table
    when = table.recorded_at[row] if len(table.recorded_at) else np.datetime64("NaT")
    days = float(_days(probe, table, np.array([row]))[0])
    recorded_at: datetime | None = None if np.isnat(when) else when.astype("datetime64[s]").item()
    return Match(
        patient_id=table.patient_ids[row],
        record_id=table.record_ids[row],
        similarity=min(float(similarity[row]), 1.0),  # rounding can exceed it
        probability=None,
        recorded_at=recorded_at,
        days_apart=None if np.isnan(days) else days,
    )


def _with(match: Match, probability: Interval | None) -> Match:
    return Match(
        patient_id=match.patient_id,
        record_id=match.record_id,
        similarity=match.similarity,
        probability=probability,
        recorded_at=match.recorded_at,
        days_apart=match.days_apart,
    )


def _days(probe: Enrolment, table: TemplateTable, rows: Int64[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    if probe.recorded_at is None or not len(table.recorded_at):
        return np.full(len(rows), np.nan)
    # Times are local and carry no zone.
    mine = np.datetime64(probe.recorded_at.replace(tzinfo=None), "s")
    apart = table.recorded_at[rows].astype("datetime64[s]") - mine
    seconds = np.abs(apart.astype(np.int64).astype(np.float64))
    return np.where(np.isnat(apart), np.nan, seconds / 86_400.0)


def _durations(
    probe: Enrolment, table: TemplateTable, rows: Int64[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    if not probe.duration_s or not len(table.duration_s):
        return np.full(len(rows), np.nan)
    theirs = np.asarray(table.duration_s, dtype=np.float64)[rows]
    return np.where(theirs > 0.0, np.minimum(theirs, probe.duration_s), np.nan)


def _log_ratios(
    probe: Enrolment,
    lead_set: str,
    enrolled: Enrolled,
    similarity: Float32[np.ndarray, "templates"],
    places: Int64[np.ndarray, "patients"],
    calibration: Calibration,
) -> Float[np.ndarray, "draws patients"]:
    """Returns one log-likelihood ratio a patient, of all templates together, for each draw."""
    rows = [enrolled.order.rows_of(int(place)) for place in places]
    rows = [one[similarity[one] > -np.inf] for one in rows]
    flat = np.concatenate(rows)
    draws = calibration.log_likelihood_ratio_draws(
        similarity[flat].astype(np.float64),
        lead_set=lead_set,
        duration_s=_durations(probe, enrolled.table, flat),
        days_apart=_days(probe, enrolled.table, flat),
    )
    ends = np.cumsum([len(one) for one in rows])
    return np.stack([mean_likelihood_ratio(part) for part in np.split(draws, ends[:-1], axis=1)], axis=1)


def _interval(draws: Float[np.ndarray, "draws"]) -> Interval:
    """Returns the first, which is of all persons, with the percentiles of the resamples after it."""
    low, high = np.percentile(draws[1:] if len(draws) > 1 else draws, [2.5, 97.5])
    return Interval(value=float(draws[0]), low=float(low), high=float(high))


def _verdict(
    best: Match, likely: Interval, nobody: Interval, threshold: Threshold | None
) -> Literal["known", "nobody here", "undecided"]:
    if threshold is None:
        return "undecided"
    if best.similarity < threshold.value or nobody.value > 0.5:
        return "nobody here"
    return "known" if likely.value > 0.5 else "undecided"


def _same_recording(probe: Enrolment, table: TemplateTable) -> list[str]:
    same = [row for row, one in enumerate(table.hashes) if one and one == probe.hash]
    return [
        f"The very same samples are enrolled as {table.record_ids[row]} of patient {table.patient_ids[row]}."
        for row in same[:3]
    ]


def _quality_notes(probe: Enrolment) -> list[str]:
    notes = []
    if "reversed" in probe.flags:
        notes.append("The arm electrodes seem exchanged, which makes a recording unlike its own patient.")
    faults = [flag for flag in probe.flags if flag != "reversed"]
    if faults:
        more = f" and {len(faults) - 6} more" if len(faults) > 6 else ""
        notes.append(f"Noticed in the recording: {', '.join(faults[:6])}{more}.")
    return notes


def _calibration_notes(
    calibration: Calibration, lead_set: str, threshold: Threshold | None, false_acceptance: float
) -> list[str]:
    notes = [note for note in calibration.notes if note.startswith(f"Lead set {lead_set}:")]
    if threshold is None:
        notes.append(f"No threshold is kept for a false acceptance rate of {false_acceptance:g}.")
    elif threshold.note:
        notes.append(threshold.note)
    return notes
