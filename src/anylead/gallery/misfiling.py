"""Evidence that recordings are filed under the wrong patient.

A recording that is where it belongs is explained by its own patient's other recordings; one that is not, by
another patient of the gallery or by somebody who is not in it, each half the time, and of the gallery each
patient as likely. The log odds of the two are the evidence; the prevalence makes odds of it.

Of the other patients those of the `LOOKED_AT` most similar templates are weighed; what the rest would add to
the mean likelihood ratio, which is one on average for strangers, is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from anylead.gallery.calibration import Calibration
from anylead.gallery.neighbours import strangers_alike
from anylead.gallery.pairs import days_between, hash_codes, pair_similarity, shorter_duration
from anylead.gallery.template import TemplateTable

LOOKED_AT = 10
"""Most similar templates of others, whose patients are weighed."""
_HALF = float(np.log(0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class PatientIndex:
    """Which rows of a table are whose."""

    names: tuple[str, ...]
    person: Int[np.ndarray, "templates"]
    order: Int[np.ndarray, "templates"]
    """Rows, sorted by patient."""
    starts: Int[np.ndarray, "patients"]
    counts: Int[np.ndarray, "patients"]
    same: Int[np.ndarray, "templates"]
    """Equal where the samples are."""

    @classmethod
    def of(cls, table: TemplateTable) -> "PatientIndex":
        """Returns the index of a table."""
        names, person = np.unique(np.array(table.patient_ids, dtype=str), return_inverse=True)
        counts = np.bincount(person, minlength=len(names))
        hashes = table.hashes or [""] * len(person)
        return cls(
            names=tuple(str(one) for one in names),
            person=person.astype(np.int64),
            order=np.argsort(person, kind="stable"),
            starts=np.cumsum(counts) - counts,
            counts=counts,
            same=hash_codes(hashes),
        )

    def rows_of(self, person: int) -> np.ndarray:
        """Returns the rows of one patient."""
        return np.asarray(self.order[self.starts[person] : self.starts[person] + self.counts[person]])

    def expand(
        self, rows: Int[np.ndarray, "pairs"], persons: Int[np.ndarray, "pairs"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns for each row and patient that patient's templates: the place of the pair, and the row.

        The row itself and recordings with the same samples are left out.
        """
        counts = self.counts[persons]
        place = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        found = self.order[self.starts[persons][place] + within]
        kept = (found != rows[place]) & (self.same[found] != self.same[rows[place]])
        return place[kept], found[kept]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What speaks for and against each recording that is compared through one lead set."""

    lead_set: str
    table: TemplateTable
    index: PatientIndex
    calibration: Calibration
    rows: Int[np.ndarray, "screened"]
    """Of the table: recordings whose first lead set with others of their patient it is."""
    alike: Int[np.ndarray, "screened alike"]
    """Rows of the most similar templates of other patients, -1 where there are no more."""
    alike_cosine: Float[np.ndarray, "screened alike"]
    others: Int[np.ndarray, "screened others"]
    """Their patients, each once, -1 where there are no more."""
    other_ratio: Float[np.ndarray, "screened others"]
    """Log of the mean likelihood ratio over each one's templates, -inf where there is no more."""
    own_ratio: Float[np.ndarray, "screened"]
    """The same of the own patient's other templates; 0 where there is none."""
    has_own: Bool[np.ndarray, "screened"]
    is_reversed: Bool[np.ndarray, "screened"]
    """Flagged for exchanged arm electrodes."""

    def log_odds(self) -> Float[np.ndarray, "screened"]:
        """Returns the evidence for a wrong patient, in natural log odds before any prevalence.

        A misfit to the own patient is no evidence where the arm electrodes look exchanged.
        """
        own = np.where(self.is_reversed, np.maximum(self.own_ratio, 0.0), self.own_ratio)
        return wrong_odds(own, self.other_ratio, patients=len(self.index.names))

    def log_odds_draws(self, places: Int[np.ndarray, "chosen"]) -> Float[np.ndarray, "draws1 chosen"]:
        """Returns the evidence of some of its rows for each draw of the calibration, bounded by its size.

        Args:
            places: In `rows`.
        """
        rows = self.rows[places]
        own, _ = patient_ratios(self, rows, self.index.person[rows], draws=True)
        own = np.where(self.is_reversed[places], np.maximum(own, 0.0), own)
        patients = self.others[places]
        flat = np.flatnonzero(patients.ravel() >= 0)
        ratios = np.full((len(own), patients.size), -np.inf)
        ratios[:, flat], _ = patient_ratios(
            self, np.repeat(rows, patients.shape[1])[flat], patients.ravel()[flat], draws=True
        )
        shaped = ratios.reshape(len(own), *patients.shape)
        return wrong_odds(own, shaped, patients=len(self.index.names))


def wrong_odds(
    own: Float[np.ndarray, "*rows"], others: Float[np.ndarray, "*rows others"], *, patients: int
) -> Float[np.ndarray, "*rows"]:
    """Returns the log odds that a recording is of somebody else, before any prevalence.

    Args:
        own: Log-likelihood ratio of the own patient.
        others: Those of other patients; -inf for none.
        patients: In the gallery.
    """
    enrolled = logsumexp(others, axis=-1) - np.log(max(patients - 1, 1))
    return np.asarray(_HALF + np.logaddexp(0.0, enrolled) - own)


def patient_ratios(
    evidence: "Evidence",
    rows: Int[np.ndarray, "pairs"],
    persons: Int[np.ndarray, "pairs"],
    *,
    draws: bool = False,
) -> tuple[np.ndarray, Bool[np.ndarray, "pairs"]]:
    """Returns the log of the mean likelihood ratio of rows and patients, and whether any template was there.

    Args:
        evidence: Its table, index and calibration are used.
        rows: Of the table.
        persons: Numbers of patients.
        draws: Whether to return a row for each draw, bounded, in place of the unbounded value.
    """
    place, found = evidence.index.expand(rows, persons)
    ratios = template_ratios(evidence, rows[place], found, draws=draws)
    fused = log_mean_by_group(ratios, place, len(rows))
    there = np.bincount(place, minlength=len(rows)) > 0
    return (fused if draws else fused[0]), there


def template_ratios(
    evidence: "Evidence", first: np.ndarray, second: np.ndarray, *, draws: bool = False
) -> Float[np.ndarray, "draws1 pairs"]:
    """Returns log-likelihood ratios of pairs of rows."""
    table = evidence.table
    return evidence.calibration.log_likelihood_ratio_draws(
        pair_similarity(table.vectors, first, second),
        lead_set=evidence.lead_set,
        duration_s=shorter_duration(table, first, second),
        days_apart=days_between(table, first, second),
        bounded=draws,
        value_only=not draws,
    )


def log_mean_by_group(
    values: Float[np.ndarray, "draws values"], group: Int[np.ndarray, "values"], groups: int
) -> Float[np.ndarray, "draws groups"]:
    """Returns the logarithm of the mean exponential of each group; 0 for an empty one."""
    found = np.zeros((len(values), groups))
    count = np.bincount(group, minlength=groups)
    some = count > 0
    for row, given in enumerate(values):
        highest = np.full(groups, -np.inf)
        np.maximum.at(highest, group, given)
        total = np.bincount(group, np.exp(given - highest[group]), minlength=groups)
        found[row, some] = highest[some] + np.log(total[some] / count[some])
    return found


def gather_evidence(
    tables: Mapping[str, TemplateTable], calibration: Calibration, *, progress: bool = False
) -> list[Evidence]:
    """Compares every recording with its own patient's others and with everybody else.

    Each recording is compared through the first calibrated lead set in which its patient has another one,
    and where there is none through the first that it has.

    Args:
        tables: Name of a lead set -> its templates, largest lead set first.
        calibration: Of them.
        progress: Show a progress bar for each lead set.
    """
    usable = [name for name in tables if calibration.has(name)]
    indices = {name: PatientIndex.of(tables[name]) for name in usable}
    found = []
    for name, rows in _through(tables, indices).items():
        table, index = tables[name], indices[name]
        alike, cosine = strangers_alike(
            table.vectors, index.person, queries=rows, most=LOOKED_AT, same=index.same, progress=progress
        )
        others = _distinct(np.where(alike >= 0, index.person[alike], -1))
        blank = Evidence(
            lead_set=name,
            table=table,
            index=index,
            calibration=calibration,
            rows=rows,
            alike=alike,
            alike_cosine=cosine,
            others=others,
            other_ratio=np.full(others.shape, -np.inf),
            own_ratio=np.zeros(len(rows)),
            has_own=np.zeros(len(rows), dtype=bool),
            is_reversed=np.array([_is_reversed(table, int(row)) for row in rows], dtype=bool),
        )
        flat = np.flatnonzero(others.ravel() >= 0)
        blank.other_ratio.ravel()[flat] = patient_ratios(
            blank, np.repeat(rows, others.shape[1])[flat], others.ravel()[flat]
        )[0]
        blank.own_ratio[:], blank.has_own[:] = patient_ratios(blank, rows, index.person[rows])
        found.append(blank)
    return found


def _through(
    tables: Mapping[str, TemplateTable], indices: Mapping[str, PatientIndex]
) -> dict[str, np.ndarray]:
    """Returns the rows that are compared through each lead set."""
    chosen: dict[str, tuple[str, int]] = {}
    has_others: set[str] = set()
    for name, index in indices.items():
        several = _several(index)
        for row, record in enumerate(tables[name].record_ids):
            if several[row] and record not in has_others:
                chosen[record] = (name, row)
                has_others.add(record)
            chosen.setdefault(record, (name, row))
    rows: dict[str, list[int]] = {}
    for name, row in chosen.values():
        rows.setdefault(name, []).append(row)
    return {name: np.array(sorted(rows[name]), dtype=np.int64) for name in indices if name in rows}


def _several(index: PatientIndex) -> Bool[np.ndarray, "templates"]:
    """Returns which rows have another recording of their patient with other samples."""
    rows = np.arange(len(index.person))
    place, _ = index.expand(rows, index.person)
    return np.asarray(np.bincount(place, minlength=len(rows)) > 0)


def _distinct(persons: Int[np.ndarray, "rows found"]) -> np.ndarray:
    """Returns each number of a row once; -1 in the place of a further one."""
    earlier = np.tril(np.ones((persons.shape[1], persons.shape[1]), dtype=bool), -1)
    repeated = ((persons[:, :, None] == persons[:, None, :]) & earlier).any(axis=2)
    return np.asarray(np.where(repeated, -1, persons))


def _is_reversed(table: TemplateTable, row: int) -> bool:
    flags: Sequence[str] = table.flags[row] if table.flags else ()
    return any(flag.partition(":")[0] == "reversed" for flag in flags)
