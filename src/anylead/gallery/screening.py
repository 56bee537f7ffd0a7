"""Which recordings may be filed under the wrong patient, the most worth a look first.

A case is worth the probability that looking at it finds a wrongly filed recording that no earlier case has
shown. Recordings with the same samples under two patients come first: one of the two is wrong for certain,
or one person has two numbers. Then come the others by their posterior; two recordings that may have been
exchanged are one case, at the place of the more suspect, as one look settles both.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from anylead.errors import ConfigError
from anylead.gallery.calibration import Calibration
from anylead.gallery.misfiling import Evidence, gather_evidence
from anylead.gallery.pairs import days_between, pair_similarity
from anylead.gallery.results import Case, Interval, Match, Worklist
from anylead.gallery.template import TemplateTable

NEARLY_THE_SAME = 1.0 - 1e-5
"""Cosine from which on two recordings of two patients are taken to be one."""


def screen(
    tables: Mapping[str, TemplateTable],
    calibration: Calibration,
    *,
    prevalence: float = 0.0005,
    budget: int = 50,
    evidence: Sequence[Evidence] | None = None,
) -> Worklist:
    """Compares every recording with its own patient's others and with everybody else.

    Only recordings whose evidence speaks for a wrong patient are cases.

    Args:
        tables: Name of a lead set -> its templates, largest lead set first.
        calibration: From `fit_calibration`, over these tables.
        prevalence: Share of recordings that are filed under the wrong patient, between 0 and 1.
        budget: Cases to return at most.
        evidence: From `gather_evidence` over the same, where it is there already.

    Raises:
        ConfigError: If the prevalence is not between 0 and 1, or the budget is below 1.
    """
    if not 0.0 < prevalence < 1.0 or budget < 1:
        raise ConfigError(
            f"screening: got a prevalence of {prevalence:g} and a budget of {budget}; give a share between "
            "0 and 1 and at least one case."
        )
    found = gather_evidence(tables, calibration) if evidence is None else evidence
    screened = sum(int(one.has_own.sum()) for one in found)
    recordings = len({record for table in tables.values() for record in table.record_ids})
    cases = _duplicates(tables, found)
    shown = {frozenset((case.record_id, str(case.partner))) for case in cases}
    suspects = _suspects(found, prevalence, budget, shown)
    cases = [*cases, *suspects][:budget]
    return Worklist(
        cases=cases,
        screened=screened,
        not_screened=recordings - screened,
        prevalence=prevalence,
        expected_false_alerts=_false_alerts(cases),
        notes=calibration.notes,
    )


def _suspects(
    evidence: Sequence[Evidence], prevalence: float, budget: int, shown: set[frozenset[str]]
) -> list[Case]:
    """Returns the first cases that are no duplicates."""
    scored = [(float(score), one, at) for one in evidence for at, score in enumerate(one.log_odds())]
    cases: list[Case] = []
    done: set[str] = set()
    for score, one, at in sorted(scored, key=lambda entry: -entry[0]):
        record = one.table.record_ids[int(one.rows[at])]
        if len(cases) >= budget:
            break
        if score <= 0.0 and not _is_misfit(one, at):
            continue
        partner = swap_partner(one, at)
        pair = frozenset((record, str(partner)))
        if record in done or pair in shown:
            continue
        done |= {record} if partner is None else {record, partner}
        cases.append(_case(one, at, partner, prevalence))
    return cases


def swap_partner(evidence: Evidence, place: int) -> str | None:
    """Returns the recording that this one may have been exchanged with.

    Both fit the other's patient better than their own, each more than any third one.

    Args:
        evidence: Of a lead set.
        place: Of the recording, in its rows.
    """
    best = evidence.other_ratio.argmax(axis=1)
    fits = evidence.others[np.arange(len(best)), best]
    ratio = evidence.other_ratio[np.arange(len(best)), best]
    person = evidence.index.person[evidence.rows]
    if fits[place] < 0 or ratio[place] <= evidence.own_ratio[place]:
        return None
    mutual = (person == fits[place]) & (fits == person[place]) & (ratio > evidence.own_ratio)
    if not mutual.any():
        return None
    found = np.flatnonzero(mutual)
    strongest = found[np.argmax((ratio - evidence.own_ratio)[found])]
    return evidence.table.record_ids[int(evidence.rows[strongest])]


def _case(evidence: Evidence, place: int, partner: str | None, prevalence: float) -> Case:
    row = int(evidence.rows[place])
    record = evidence.table.record_ids[row]
    odds = evidence.log_odds_draws(np.array([place]))[:, 0]
    misfit = _is_misfit(evidence, place)
    return Case(
        case_id=case_id(record, partner),
        kind="reversed leads" if misfit else "wrong patient",
        record_id=record,
        patient_id=evidence.table.patient_ids[row],
        lead_set=evidence.lead_set,
        probability=_interval(expit(logit(prevalence) + odds)),
        own=_own(evidence, row),
        other=_other(evidence, place),
        partner=partner,
        evidence=tuple(_sentences(evidence, place, partner, misfit)),
    )


def _is_misfit(evidence: Evidence, place: int) -> bool:
    """Returns whether a recording fits badly and exchanged electrodes explain it."""
    return bool(evidence.is_reversed[place] and evidence.own_ratio[place] < 0.0)


def case_id(record: str, partner: str | None) -> str:
    """Returns an id that is the same whichever of the two recordings leads."""
    text = "\x1f".join(sorted([record, partner or ""]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _own(evidence: Evidence, row: int) -> Match | None:
    """Returns the most similar other recording of the own patient."""
    _, rows = evidence.index.expand(np.array([row]), evidence.index.person[[row]])
    if not len(rows):
        return None
    cosine = pair_similarity(evidence.table.vectors, np.full(len(rows), row), rows)
    return _match(evidence.table, row, int(rows[cosine.argmax()]), float(cosine.max()))


def _other(evidence: Evidence, place: int) -> Match | None:
    """Returns the most similar recording of the patient who fits best."""
    best = int(evidence.others[place, evidence.other_ratio[place].argmax()])
    if best < 0:
        return None
    row = int(evidence.rows[place])
    _, rows = evidence.index.expand(np.array([row]), np.array([best]))
    cosine = pair_similarity(evidence.table.vectors, np.full(len(rows), row), rows)
    return _match(evidence.table, row, int(rows[cosine.argmax()]), float(cosine.max()))


def _match(table: TemplateTable, row: int, other: int, cosine: float) -> Match:
    apart = float(days_between(table, np.array([row]), np.array([other]))[0])
    known = len(table.recorded_at) and not np.isnat(table.recorded_at[other])
    return Match(
        patient_id=table.patient_ids[other],
        record_id=table.record_ids[other],
        similarity=cosine,
        probability=None,
        recorded_at=table.recorded_at[other].astype("datetime64[s]").item() if known else None,
        days_apart=None if np.isnan(apart) else apart,
    )


def _sentences(evidence: Evidence, place: int, partner: str | None, misfit: bool) -> list[str]:
    row = int(evidence.rows[place])
    told = []
    if evidence.has_own[place]:
        count = len(evidence.index.expand(np.array([row]), evidence.index.person[[row]])[1])
        told.append(_likely("Its own patient", count, float(evidence.own_ratio[place])))
    else:
        told.append("Its own patient has no other recording to compare it with.")
    best = int(evidence.other_ratio[place].argmax())
    if evidence.others[place, best] >= 0:
        count = int(evidence.index.counts[evidence.others[place, best]])
        told.append(_likely("The best other patient", count, float(evidence.other_ratio[place, best])))
    if partner is not None:
        told.append(f"Recording {partner} fits this patient better than its own: the two may be exchanged.")
    if misfit:
        told.append("The arm electrodes look exchanged, which alone explains a poor fit.")
    flags = evidence.table.flags[row] if evidence.table.flags else ()
    if flags:
        told.append(f"Quality: {', '.join(flags)}.")
    return told


def _likely(who: str, count: int, ratio: float) -> str:
    """Returns a sentence on how well somebody explains the recording, next to a stranger."""
    times = float(np.exp(np.clip(abs(ratio), 0.0, np.log(1000.0))))
    more = "more" if ratio >= 0.0 else "less"
    much = "1000 times or more" if times >= 999.5 else f"{times:.3g} times"
    of = f"{count} recording{'' if count == 1 else 's'}"
    return f"{who} ({of}) explains it {much} {more} likely than a stranger would."


def _duplicates(tables: Mapping[str, TemplateTable], evidence: Sequence[Evidence]) -> list[Case]:
    """Returns a case for each two recordings under two patients that are the same or nearly so."""
    cases: dict[frozenset[str], Case] = {}
    where = {
        one.table.record_ids[row]: (one, place)
        for one in evidence
        for place, row in enumerate(one.rows.tolist())
    }
    for name, table in tables.items():
        for first, second, why in [*_same_samples(table), *_nearly_the_same(name, evidence)]:
            pair = frozenset((table.record_ids[first], table.record_ids[second]))
            if pair not in cases:
                cases[pair] = _duplicate(name, table, first, second, why, where)
    return list(cases.values())


def _same_samples(table: TemplateTable) -> list[tuple[int, int, str]]:
    seen: dict[str, int] = {}
    found = []
    for row, one in enumerate(table.hashes):
        first = seen.setdefault(one, row) if one else row
        if table.patient_ids[first] != table.patient_ids[row]:
            found.append((first, row, "Both recordings have the same samples."))
    return found


def _nearly_the_same(name: str, evidence: Sequence[Evidence]) -> list[tuple[int, int, str]]:
    found = []
    for one in evidence:
        for place in (
            np.flatnonzero(one.alike_cosine[:, 0] >= NEARLY_THE_SAME) if one.lead_set == name else ()
        ):
            why = f"Both recordings are alike to {one.alike_cosine[place, 0]:.6f}: one may repeat the other."
            found.append((int(one.rows[place]), int(one.alike[place, 0]), why))
    return found


def _duplicate(
    lead_set: str,
    table: TemplateTable,
    first: int,
    second: int,
    why: str,
    where: Mapping[str, tuple[Evidence, int]],
) -> Case:
    """Returns the case, led by the recording that fits its patient less."""
    places = [where.get(table.record_ids[row]) for row in (first, second)]
    probability = None
    known = [one for one in places if one is not None]
    # Without others of either patient nothing says which of the two is filed wrongly.
    if len(known) == 2 and any(one.has_own[place] for one, place in known):
        odds = [one[0].log_odds_draws(np.array([one[1]]))[:, 0] for one in known]
        apart = odds[0] - odds[1]
        if apart[0] < 0.0:
            first, second, apart = second, first, -apart
        probability = _interval(expit(apart))
    cosine = float(pair_similarity(table.vectors, np.array([first]), np.array([second]))[0])
    record, partner = table.record_ids[first], table.record_ids[second]
    place = where.get(record)
    return Case(
        case_id=case_id(record, partner),
        kind="duplicate",
        record_id=record,
        patient_id=table.patient_ids[first],
        lead_set=lead_set,
        probability=probability,
        own=None if place is None else _own(place[0], int(place[0].rows[place[1]])),
        other=_match(table, first, second, cosine),
        partner=partner,
        evidence=(why, "One of the two patients is wrong, or both are one person."),
    )


def _false_alerts(cases: Sequence[Case]) -> Interval | None:
    """Returns how many cases, duplicates aside, are expected to be filed rightly."""
    known = [one.probability for one in cases if one.kind != "duplicate" and one.probability is not None]
    if not known:
        return None
    return Interval(
        value=sum(1.0 - one.value for one in known),
        low=sum(1.0 - one.high for one in known),
        high=sum(1.0 - one.low for one in known),
    )


def _interval(drawn: Float[np.ndarray, "draws1"]) -> Interval:
    low, high = np.percentile(drawn[1:], [2.5, 97.5])
    value = float(drawn[0])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))
