"""What a leakage audit found, and how a report tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from anylead.evaluation.report import Section, Table

Role = Literal["pre-training", "training", "validation", "test", "left out"]
ROLES: tuple[Role, ...] = ("pre-training", "training", "validation", "test", "left out")
"""A recording is left out where its person is in a more protected split of another store."""

_JUDGED = ("validation", "test")
_UNSURE = ("partly", "unknown")
_SHOWN = 50
"""Pairs in the page's table; all are in the JSON."""
_KINDS = {
    "exact": "all samples equal",
    "excerpt": "samples equal where they overlap",
    "near": "same seconds, other samples",
}


@dataclass(frozen=True, kw_only=True)
class AuditedRecording:
    """One of a pair."""

    source: str
    """Data set."""
    store: str
    """Name of the store's folder."""
    record_id: str
    patient_id: str
    roles: tuple[Role, ...]
    """What it is used for."""

    def __str__(self) -> str:
        return f"{self.store}/{self.record_id}"


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """Two recordings of the same seconds, and the evidence."""

    a: AuditedRecording
    b: AuditedRecording
    kind: Literal["exact", "excerpt", "near"]
    """``exact``: all samples equal; ``excerpt``: equal where they overlap; ``near``: changed otherwise."""
    correlation: float
    """Lower quartile over the leads; 1 for exact duplicates without a heart beat."""
    correlations: Mapping[str, float]
    """Of each lead that was compared."""
    residual: float | None
    """Correlation of what the recordings' own other beats do not explain: about 0 for other seconds of one
    heart. None where there is too little to tell."""
    lag_s: float
    """What stands at t in b stands at t + lag_s in a."""
    overlap_s: float
    """Time that was compared."""
    same_patient: bool
    """Whether they carry one patient id."""
    leak: bool
    """Whether one is judged on, in test or validation, and the other used for something that comes before."""


@dataclass(frozen=True, kw_only=True)
class RoleOverlap:
    """What two roles share."""

    earlier: Role
    later: Role
    """The one that is judged on: validation or test."""
    recordings: int
    """Recordings of the later role with an exact duplicate, or themselves, in the earlier one."""
    near_duplicates: int
    """Further recordings of the later role that share seconds with one of the earlier."""
    patients: int
    """Patient ids in both."""
    persons: int
    """Persons in both: by id, by an exact duplicate under two ids, and by any chain of the two."""

    @property
    def absent(self) -> bool:
        """Whether nothing is shared."""
        return not (self.recordings or self.near_duplicates or self.patients or self.persons)


@dataclass(frozen=True, kw_only=True)
class RoleCount:
    """How much has one role."""

    recordings: int
    patients: int


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """Who and what is in two places."""

    roles: Mapping[Role, RoleCount]
    overlaps: tuple[RoleOverlap, ...]
    """Every earlier role against validation and test."""
    pairs: tuple[DuplicatePair, ...]
    """All duplicates, leaks first; within one role too."""
    searched: bool
    """Whether near duplicates were looked for."""
    not_searched: int
    """Recordings in which there is nothing to look for: shorter than 2.5 s, or without heart beats."""
    pretraining: Literal["bundle", "given", "partly", "unknown"]
    """How it is known what pre-training used: said by the ``bundle``, ``given`` by the caller, ``partly`` (a
    store that the bundle names is not here), or ``unknown``."""
    pretraining_stores: tuple[str, ...]
    """Stores whose training recordings count as pre-training."""
    pretraining_missing: tuple[str, ...]
    """Stores that the bundle names and that are not here."""
    patients_unknown: tuple[str, ...]
    """Stores whose patient ids are those of recordings, not of persons."""

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        shared = [overlap for overlap in self.overlaps if not overlap.absent]
        unsure = "; what pre-training used is not fully known" if self.pretraining in _UNSURE else ""
        if shared:
            where = ", ".join(f"{overlap.earlier} and {overlap.later}" for overlap in shared)
            return f"Leakage: overlap between {where}{unsure}."
        judged = " and ".join(role for role in self.roles if role in _JUDGED)
        what = "no exact and no near duplicate" if self.searched else "no exact duplicate"
        return f"Leakage: none found; {judged} share no patient, {what}{unsure}."

    def lines(self) -> list[str]:
        """Returns what was found as sentences, for people."""
        lines = [_overlap_sentence(overlap, searched=self.searched) for overlap in self.overlaps]
        lines.append(_pairs_sentence(self.pairs, searched=self.searched))
        if self.pretraining == "unknown":
            lines.append("What pre-training used is unknown: overlap with it cannot be excluded.")
        if self.pretraining_missing:
            lines.append(
                f"Pre-training also used {', '.join(self.pretraining_missing)}, which is not here: overlap "
                "with it cannot be excluded."
            )
        return lines


def audit_section(result: AuditResult, *, title: str = "Leakage audit") -> Section:
    """Returns the audit as a part of a report: who has which role, what roles share, every pair.

    Args:
        result: What was found.
        title: Of the section.
    """
    notes = [*result.lines(), *_notes(result)]
    tables = [_role_table(result), _overlap_table(result)]
    if result.pairs:
        tables.append(_pair_table(result.pairs))
    return Section(title=title, notes=tuple(notes), tables=tuple(tables))


def _overlap_sentence(overlap: RoleOverlap, *, searched: bool) -> str:
    start = f"{overlap.earlier.capitalize()} and {overlap.later}"
    if overlap.absent:
        kinds = "no exact and no near duplicate" if searched else "no exact duplicate"
        return f"{start} share no patient, {kinds}."
    near = f", {_number(overlap.near_duplicates, 'near duplicate')}" if searched else ""
    return (
        f"{start} overlap: {_number(overlap.persons, 'person')} ({_number(overlap.patients, 'patient id')}), "
        f"{_number(overlap.recordings, 'exact duplicate')}{near}."
    )


def _pairs_sentence(pairs: Sequence[DuplicatePair], *, searched: bool) -> str:
    kinds = tuple(_KINDS) if searched else ("exact",)
    told = ", ".join(f"{sum(pair.kind == kind for pair in pairs)} {kind}" for kind in kinds)
    end = "" if searched else "; near duplicates were not looked for"
    return f"Pairs of duplicate recordings among all: {told}{end}."


def _notes(result: AuditResult) -> list[str]:
    notes = [
        "Persons are known by patient id and by identical recordings. Recordings of a person who is in a "
        "more protected split of another store are left out of training and pre-training, and counted so."
    ]
    if result.searched:
        notes.append(
            "A near duplicate holds the same seconds after a change of gain, offset, sampling rate, cut, "
            "leads or noise. Its evidence is the correlation over the overlap (2-25 Hz, lower quartile over "
            "leads) and the residual: the correlation of what a recording's own other beats do not explain, "
            "which is about 0 for other seconds of the same heart."
        )
        if result.not_searched:
            notes.append(
                f"{_number(result.not_searched, 'recording')} shorter than 2.5 s or without heart beats: "
                "compared by their samples only."
            )
    if result.patients_unknown:
        notes.append(
            f"No patient ids of persons in {', '.join(result.patients_unknown)}: a person recorded twice "
            "there is seen only where a recording is a duplicate."
        )
    return notes


def _role_table(result: AuditResult) -> Table:
    return Table(
        caption="What is used for what",
        columns=("Role", "Recordings", "Patients"),
        rows=tuple(
            (role.capitalize(), str(count.recordings), str(count.patients))
            for role, count in result.roles.items()
        ),
    )


def _overlap_table(result: AuditResult) -> Table:
    return Table(
        caption="Shared by two roles",
        columns=("Roles", "Patient ids", "Persons", "Exact duplicates", "Near duplicates"),
        rows=tuple(
            (
                f"{overlap.earlier.capitalize()} and {overlap.later}",
                _count(overlap.patients),
                _count(overlap.persons),
                _count(overlap.recordings),
                _count(overlap.near_duplicates) if result.searched else "not searched",
            )
            for overlap in result.overlaps
        ),
    )


def _number(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"


def _count(number: int) -> str:
    return str(number) if number else "none"


def _pair_table(pairs: Sequence[DuplicatePair]) -> Table:
    shown = pairs[:_SHOWN]
    more = len(pairs) - len(shown)
    return Table(
        caption="Duplicate recordings" + (f", {more} more in report.json" if more else ""),
        columns=("Pair", "Used for", "Patient ids", "Kind", "Evidence"),
        rows=tuple(
            (
                f"{pair.a} and {pair.b}",
                _used_for(pair),
                "same" if pair.same_patient else "two",
                _KINDS[pair.kind],
                _evidence(pair),
            )
            for pair in shown
        ),
    )


def _used_for(pair: DuplicatePair) -> str:
    one, other = (" and ".join(recording.roles) for recording in (pair.a, pair.b))
    if pair.leak:
        return f"leak: {one} / {other}"
    return f"both {one}" if one == other else f"{one} / {other}"


def _evidence(pair: DuplicatePair) -> str:
    if not pair.correlations:
        return "equal samples without a heart beat"
    residual = "undefined" if pair.residual is None else f"{pair.residual:.2f}"
    lag = f", lag {pair.lag_s:+.2f} s" if abs(pair.lag_s) >= 0.005 else ""
    leads = _number(len(pair.correlations), "lead")
    return f"correlation {pair.correlation:.3f}, residual {residual}, {leads}, {pair.overlap_s:.1f} s{lag}"
