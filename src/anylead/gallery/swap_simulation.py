"""What screening would catch: single exchanges simulated one at a time on a gallery as it is filed.

Each moves two recordings between two patients. Whose evidence that changes is weighed anew: the two, and the
other recordings of both patients; third ones hardly change. Then each of the two has a place among all.

Sensitivity comes from the exchanges, the rate of false alerts from the gallery as it is filed, and the
prevalence joins both by Bayes: recordings by the hundred hold no exchange to count at one in ten thousand.
Where no false alert was seen, 3 over the number of recordings stands in, the upper end of its 95 % interval.

Source: Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all right?" (rule of three).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logit
from tqdm import tqdm

from anylead.errors import GalleryError
from anylead.gallery.calibration import Calibration
from anylead.gallery.misfiling import (
    Evidence,
    gather_evidence,
    log_mean_by_group,
    template_ratios,
    wrong_odds,
)
from anylead.gallery.results import BudgetLine, Interval
from anylead.gallery.template import TemplateTable
from anylead.gallery.thresholds import rate_interval
from anylead.seeding import generator

PREVALENCES = (0.0001, 0.0005, 0.001, 0.01)
BUDGETS = (10, 20, 50)
DRAWS = 500
"""Resamples of patients."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SwapStudy:
    """What became of every simulated exchange."""

    scores: Float[np.ndarray, "swaps 2"]
    """Evidence of both recordings after the exchange, in natural log odds before any prevalence."""
    places: Int[np.ndarray, "swaps 2"]
    """Place of each among all recordings, 1 being the first looked at."""
    swap_persons: Int[np.ndarray, "swaps 2"]
    """Numbers of the two patients."""
    filed_scores: Float[np.ndarray, "recordings"]
    """Evidence of every recording as it is filed."""
    filed_persons: Int[np.ndarray, "recordings"]
    persons: int
    possible: int
    """Exchanges there are; those simulated are all or drawn."""

    def line(self, *, prevalence: float, budget: int) -> BudgetLine:
        """Returns what looking at the first so many cases would catch.

        Args:
            prevalence: Share of recordings that are exchanged.
            budget: Cases looked at; 0 stands for those beyond every recording as it is filed.
        """
        if budget:
            caught = (self.places <= budget) & (self.scores > 0.0)
            # The first so many of the gallery as it is filed are false alerts, if they are alerts.
            last = np.sort(self.filed_scores)[::-1][min(budget, len(self.filed_scores)) - 1]
            false = (self.filed_scores >= last) & (self.filed_scores > 0.0)
        else:
            caught = self.scores > self.filed_scores.max(initial=-np.inf)
            false = np.zeros(len(self.filed_scores), dtype=bool)
        return self._line(caught, false, prevalence, budget)

    def alerts(self, *, prevalence: float, probability: float = 0.5) -> BudgetLine:
        """Returns what looking at every recording of at least a posterior would catch."""
        level = logit(probability) - logit(prevalence)
        false = self.filed_scores >= level
        return self._line(self.scores >= level, false, prevalence, int(false.sum()))

    def lowest_prevalence(self) -> float | None:
        """Returns below which prevalence these recordings cannot tell whether any alert is right.

        There the bound on the rate of false alerts, at the level that no recording as filed reaches, is as
        high as the rate of right ones: every second alert may be false even if none was seen.

        Returns:
            None where no exchange reaches that level.
        """
        line = self.line(prevalence=0.5, budget=0)
        if line.sensitivity.value <= 0.0:
            return None
        bound = min(1.0, 3.0 / len(self.filed_scores))
        return bound / (line.sensitivity.value + bound)

    def sentence(self) -> str:
        """Returns in words what the gallery is too small for."""
        lowest, count = self.lowest_prevalence(), len(self.filed_scores)
        if lowest is None:
            return (
                f"No simulated exchange stands out beyond all {count} recordings as they are filed: these "
                "data show no level at which alerts are mostly right."
            )
        return (
            f"Where none of the {count} recordings as they are filed is an alert, up to "
            f"{100.0 * min(1.0, 3.0 / count):.2g} % of false alerts stay possible: below a prevalence of "
            f"{100.0 * lowest:.2g} % these data cannot tell whether most alerts are right."
        )

    def _line(self, caught: np.ndarray, false: np.ndarray, prevalence: float, budget: int) -> BudgetLine:
        count = len(self.filed_scores)
        times = self.times
        of_swaps = times[:, self.swap_persons].prod(axis=2)
        found = _interval(_share(of_swaps, caught.mean(axis=1)))
        # Counted by patient: recordings times resamples would not fit in memory for a large archive.
        filed = np.bincount(self.filed_persons, minlength=self.persons)
        wrong = np.bincount(self.filed_persons, false, minlength=self.persons)
        drawn = _share(times * filed, np.divide(wrong, filed, out=np.zeros(self.persons), where=filed > 0))
        rate = _false_rate(drawn, int(false.sum()), count)
        usual = (1.0 - prevalence) * count
        return BudgetLine(
            prevalence=prevalence,
            budget=budget,
            sensitivity=found,
            false_alerts=Interval(value=usual * rate.value, low=usual * rate.low, high=usual * rate.high),
            precision=Interval(
                value=_precision(found.value, rate.value, prevalence),
                low=_precision(found.low, rate.high, prevalence),
                high=_precision(found.high, rate.low, prevalence),
            ),
            bounded=not false.any(),
        )

    @cached_property
    def times(self) -> Float[np.ndarray, "draws1 persons"]:
        """Returns how often each patient is drawn: once each, then in every resample."""
        random = generator(0, "swap simulation")
        drawn = random.multinomial(self.persons, np.full(self.persons, 1.0 / self.persons), size=DRAWS)
        return np.concatenate([np.ones((1, self.persons)), drawn])


def simulate_swaps(
    tables: Mapping[str, TemplateTable],
    calibration: Calibration,
    *,
    prevalences: Sequence[float] = PREVALENCES,
    budgets: Sequence[int] = BUDGETS,
    most: int = 2000,
    seed: int = 0,
    evidence: Sequence[Evidence] | None = None,
) -> list[BudgetLine]:
    """Returns a line for each prevalence and budget; see `study_swaps`."""
    study = study_swaps(tables, calibration, most=most, seed=seed, evidence=evidence)
    if study is None:
        return []
    return [study.line(prevalence=p, budget=budget) for p in prevalences for budget in budgets]


def study_swaps(
    tables: Mapping[str, TemplateTable],
    calibration: Calibration,
    *,
    most: int = 2000,
    seed: int = 0,
    evidence: Sequence[Evidence] | None = None,
    progress: bool = False,
) -> SwapStudy | None:
    """Exchanges two recordings at a time and weighs the evidence.

    Recordings of patients with another one take part, within their lead set: of the others nothing can be
    said, whether they are exchanged or not.

    Args:
        tables: Name of a lead set -> its templates, largest lead set first.
        calibration: From `fit_calibration`, over these tables.
        most: Exchanges to simulate at most; of more, as many are drawn.
        seed: Of the drawing.
        evidence: From `gather_evidence` over the same, where it is there already.
        progress: Show a progress bar over the exchanges.

    Returns:
        None where no two patients have several recordings through one lead set.

    Raises:
        GalleryError: If `most` is below 1.
    """
    if most < 1:
        raise GalleryError(f"swap simulation: most is {most}; simulate at least one exchange.")
    found = gather_evidence(tables, calibration) if evidence is None else evidence
    names = sorted({name for one in found for name in one.index.names})
    number = {name: place for place, name in enumerate(names)}
    swaps, possible = _draw(found, most, seed)
    if not swaps:
        return None
    filed = [one.log_odds() for one in found]
    persons = [np.array([number[one.table.patient_ids[row]] for row in one.rows]) for one in found]
    kept = [one.has_own for one in found]
    down = -np.sort(-np.concatenate(filed))
    scores, places, pairs = [], [], []
    for which, a, b in tqdm(swaps, desc="simulate", unit=" exchanges", disable=not progress):
        one = found[which]
        rows, after = rescored(one, a, b)
        before = filed[which][np.isin(one.rows, rows)]
        both = [float(after[rows == one.rows[place]][0]) for place in (a, b)]
        scores.append(both)
        places.append([_place(score, down, before, after) for score in both])
        pairs.append([int(persons[which][a]), int(persons[which][b])])
    return SwapStudy(
        scores=np.array(scores),
        places=np.array(places),
        swap_persons=np.array(pairs),
        filed_scores=np.concatenate([one[chosen] for one, chosen in zip(filed, kept, strict=True)]),
        filed_persons=np.concatenate([one[chosen] for one, chosen in zip(persons, kept, strict=True)]),
        persons=len(names),
        possible=possible,
    )


def rescored(evidence: Evidence, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of both patients of an exchange, and their evidence after it.

    Args:
        evidence: Of the lead set, as it is filed.
        a: Place of one recording in its rows.
        b: Place of the other, of another patient.
    """
    index = evidence.index
    first, second = int(evidence.rows[a]), int(evidence.rows[b])
    persons = index.person[[first, second]]
    table_rows = np.concatenate([index.rows_of(int(person)) for person in persons])
    after = index.person[table_rows].copy()
    after[table_rows == first], after[table_rows == second] = persons[1], persons[0]
    places = np.searchsorted(evidence.rows, table_rows)
    judged = np.flatnonzero(evidence.rows[np.minimum(places, len(evidence.rows) - 1)] == table_rows)
    left, right = (one.ravel() for one in np.meshgrid(judged, np.arange(len(table_rows)), indexing="ij"))
    kept = index.same[table_rows[left]] != index.same[table_rows[right]]
    left, right = left[kept], right[kept]
    ratios = template_ratios(evidence, table_rows[left], table_rows[right])
    is_own = after[left] == after[right]
    count = len(table_rows)
    own = log_mean_by_group(ratios[:, is_own], left[is_own], count)[0][judged]
    other = log_mean_by_group(ratios[:, ~is_own], left[~is_own], count)[0][judged]
    at = places[judged]
    third = np.where(np.isin(evidence.others[at], persons), -np.inf, evidence.other_ratio[at])
    own = np.where(evidence.is_reversed[at], np.maximum(own, 0.0), own)
    ratio = np.concatenate([third, other[:, None]], axis=1)
    return table_rows[judged], wrong_odds(own, ratio, patients=len(index.names))


def _place(score: float, down: np.ndarray, before: np.ndarray, after: np.ndarray) -> int:
    """Returns the place of a score once those of both patients are replaced; equal ones come before it."""
    others = int(np.searchsorted(-down, -score, side="right")) - int((before >= score).sum())
    return others + int((after >= score).sum())


def _draw(evidence: Sequence[Evidence], most: int, seed: int) -> tuple[list[tuple[int, int, int]], int]:
    """Returns exchanges as the number of a lead set and two places in its rows, and how many there are."""
    screened = [np.flatnonzero(one.has_own) for one in evidence]
    owners = [one.index.person[one.rows[places]] for one, places in zip(evidence, screened, strict=True)]
    possible = [_pairs(one) for one in owners]
    total = sum(possible)
    if total <= most:
        swaps = [
            (which, int(places[i]), int(places[j]))
            for which, places in enumerate(screened)
            for i in range(len(places))
            for j in range(i + 1, len(places))
            if owners[which][i] != owners[which][j]
        ]
        return swaps, total
    random = generator(seed, "swaps")
    chosen: dict[tuple[int, int, int], None] = {}
    shares = np.array(possible) / total
    while len(chosen) < most:
        which = int(random.choice(len(evidence), p=shares))
        i, j = sorted(random.integers(0, len(screened[which]), 2).tolist())
        if owners[which][i] != owners[which][j]:
            chosen[(which, int(screened[which][i]), int(screened[which][j]))] = None
    return list(chosen), total


def _pairs(owners: np.ndarray) -> int:
    """Returns how many pairs of two different owners there are."""
    _, counts = np.unique(owners, return_counts=True)
    return int((len(owners) ** 2 - (counts**2).sum()) // 2)


def _false_rate(drawn: np.ndarray, events: int, count: int) -> Interval:
    """Returns the rate of false alerts: the wider of what recordings and what patients allow.

    A resample of patients may hold none of a few false alerts, which does not make the rate zero.
    """
    if not events:
        bound = min(1.0, 3.0 / count)
        return Interval(value=bound, low=0.0, high=bound)
    low, high = rate_interval(events, count)
    patients = _interval(drawn)
    return Interval(
        value=patients.value,
        low=min(low, patients.low) if patients.low > 0.0 else low,
        high=max(high, patients.high),
    )


def _precision(found: float, false: float, prevalence: float) -> float:
    """Returns which share of alerts is right, by Bayes; 0 without any."""
    right, wrong = prevalence * found, (1.0 - prevalence) * false
    return right / (right + wrong) if right > 0.0 else 0.0


def _share(weights: Float[np.ndarray, "draws n"], values: Float[np.ndarray, "n"]) -> np.ndarray:
    total = weights.sum(axis=1)
    return np.asarray(np.divide(weights @ values, total, out=np.full(len(total), np.nan), where=total > 0.0))


def _interval(drawn: np.ndarray) -> Interval:
    low, high = np.nanpercentile(drawn[1:], [2.5, 97.5])
    value = float(drawn[0])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))
