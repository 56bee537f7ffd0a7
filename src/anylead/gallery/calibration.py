"""From a similarity to a log-likelihood ratio: how much better one person explains it than two.

A logistic regression tells pairs of one person from pairs of two, both kinds and within them all persons
weighing the same, from the similarity and, where they vary, the length of the shorter recording, the days
between both, and the lead set. What the same regression says without the similarity is taken off: that two
recordings are of one day tells of the habits of a hospital and not of a heart, and whoever asks brings
the prior. A lead set gets a regression of its own from `FEWEST_OWN` persons with two recordings on,
otherwise one of all lead sets together in which the lead set is a covariate.

Persons are drawn with replacement for the interval of every number made of it. What is reported of its
quality is of persons whom the regression had not seen.

Source: Brümmer and du Preez 2006, "Application-independent evaluation of speaker detection".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from anylead.errors import GalleryError
from anylead.gallery.neighbours import strangers_alike
from anylead.gallery.pairs import Pairs, gather_pairs, hash_codes
from anylead.gallery.results import Interval
from anylead.gallery.template import TemplateTable
from anylead.gallery.thresholds import Threshold, nearest_threshold, threshold_at
from anylead.seeding import generator

FEWEST_OWN = 50
"""Persons with two recordings from whom on a lead set is calibrated by itself."""
FEWEST_REPORTED = 10
"""Persons with two recordings from whom on the calibration is judged on persons left out."""
MOST_STRANGERS = 2000
"""Persons of whom a recording is compared with everybody else's, for the threshold of the open set."""
DRAWS = 200
"""Resamples of persons."""
FOLDS = 5
FALSE_ACCEPTANCES = (0.1, 0.05, 0.01, 0.001, 0.0001)
"""For which thresholds are kept."""
TERMS = ("intercept", "similarity", "log duration", "log days", "days unknown")
"""Of the similarity Fisher's z, which is as wide where all cosines are near 1 as elsewhere."""
_ALMOST_ONE = 1.0 - 1e-6
_PENALTY = 0.1
"""Half of it times the squared standardised weights is added: kinds that do not overlap have an end, too."""


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """How good it is for persons whom the regression had not seen."""

    persons: int
    """With a genuine pair."""
    genuine_pairs: int
    impostor_pairs: int
    """Of two persons left out together."""
    cllr_before: Interval
    """Cost in bits if a cosine of s were taken for odds of (1 + s) to (1 - s); 1 tells nothing."""
    cllr: Interval
    """Cost after calibration."""
    cllr_min: Interval
    """Cost if any rising function were allowed, fitted on the very pairs: what telling apart leaves."""
    reliability: tuple[tuple[float, float, float], ...]
    """Mean posterior at even odds, share that is genuine, share of the weight: by tenths of the posterior."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadSetCalibration:
    """What is known of one lead set."""

    coefficients: Float[np.ndarray, "terms"]
    """Of `TERMS`."""
    draws: Float[np.ndarray, "draws terms"]
    typical: tuple[float, float]
    """Log duration and log (1 + days) that stand in where one is unknown."""
    joint: bool
    """Whether it is of all lead sets together."""
    genuine_persons: int
    genuine_pairs: int
    impostor_pairs: int
    thresholds: tuple[Threshold, ...]
    """On the similarity of two recordings, for verification."""
    open_set: tuple[Threshold, ...]
    """On the similarity of a stranger's recording to the most similar of all, for identification; it holds
    for a gallery as large as this one was."""
    report: CalibrationReport | None

    @property
    def bounds(self) -> tuple[float, float]:
        """Log-likelihood ratios beyond which so few persons and pairs can say nothing.

        Source: Vergeer et al. 2016, "Numerical likelihood ratios outputted by LR systems are often based on
        extrapolation: when to stop extrapolating?".
        """
        return -float(np.log(self.genuine_persons + 1.0)), float(np.log(self.impostor_pairs + 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """A calibration of every lead set that could be calibrated."""

    lead_sets: Mapping[str, LeadSetCalibration] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences: which lead sets are not calibrated and why, which have few persons."""

    def has(self, lead_set: str) -> bool:
        """Returns whether a lead set is calibrated."""
        return lead_set in self.lead_sets

    def log_likelihood_ratio(
        self,
        similarity: Float[np.ndarray, "n"],
        *,
        lead_set: str,
        duration_s: Float[np.ndarray, "n"] | float = np.nan,
        days_apart: Float[np.ndarray, "n"] | float = np.nan,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns natural log-likelihood ratios and the ends of their 95 % intervals.

        Args:
            similarity: Cosine of two recordings.
            lead_set: Through which they were compared.
            duration_s: Of the shorter recording; NaN where unknown.
            days_apart: NaN where unknown.

        Raises:
            GalleryError: If the lead set is not calibrated.
        """
        drawn = self.log_likelihood_ratio_draws(
            similarity, lead_set=lead_set, duration_s=duration_s, days_apart=days_apart
        )
        low, high = np.percentile(drawn[1:], [2.5, 97.5], axis=0)
        return drawn[0], np.minimum(low, drawn[0]), np.maximum(high, drawn[0])

    def log_likelihood_ratio_draws(
        self,
        similarity: Float[np.ndarray, "n"],
        *,
        lead_set: str,
        duration_s: Float[np.ndarray, "n"] | float = np.nan,
        days_apart: Float[np.ndarray, "n"] | float = np.nan,
        bounded: bool = True,
        value_only: bool = False,
    ) -> Float[np.ndarray, "draws1 n"]:
        """Returns them for each resample of persons, the first row being from all persons, each once.

        Args:
            similarity: Cosine of two recordings.
            lead_set: Through which they were compared.
            duration_s: Of the shorter recording; NaN where unknown.
            days_apart: NaN where unknown.
            bounded: Whether to stop where so few persons and pairs can say no more; without it the order of
                similarities is kept to the end.
            value_only: Whether to return the first row alone.

        Raises:
            GalleryError: If the lead set is not calibrated.
        """
        one = self._lead_set(lead_set)
        wide = np.atleast_1d(np.asarray(similarity, dtype=np.float64))
        shape = np.broadcast_shapes(wide.shape, np.shape(duration_s), np.shape(days_apart))
        features = _features(
            *(np.broadcast_to(part, shape) for part in (wide, duration_s, days_apart)), typical=one.typical
        )
        weights = one.coefficients[None] if value_only else np.vstack([one.coefficients[None], one.draws])
        found = weights @ features.T
        return np.asarray(np.clip(found, *one.bounds) if bounded else found)

    def threshold(
        self, lead_set: str, false_acceptance: float, *, open_set: bool = False
    ) -> Threshold | None:
        """Returns the threshold of the highest false acceptance rate kept that is not above the one asked.

        Args:
            lead_set: Calibrated.
            false_acceptance: Asked for.
            open_set: Whether a recording is compared with the whole gallery, in place of one patient. The
                most similar of many strangers is more similar than one.

        Returns:
            None where none is as strict.

        Raises:
            GalleryError: If the lead set is not calibrated.
        """
        one = self._lead_set(lead_set)
        return nearest_threshold(one.open_set if open_set else one.thresholds, false_acceptance)

    def to_plain(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        sets = {}
        for name, one in self.lead_sets.items():
            plain = {key: getattr(one, key) for key in ("joint", "genuine_persons", "genuine_pairs")}
            plain |= {"impostor_pairs": one.impostor_pairs, "typical": list(one.typical)}
            plain |= {"coefficients": one.coefficients.tolist(), "draws": one.draws.tolist()}
            plain["thresholds"] = [asdict(each) for each in one.thresholds]
            plain["open_set"] = [asdict(each) for each in one.open_set]
            plain["report"] = None if one.report is None else asdict(one.report)
            sets[name] = plain
        return {"terms": list(TERMS), "lead_sets": sets, "notes": list(self.notes)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Calibration":
        """Returns what `to_plain` made plain.

        Raises:
            GalleryError: If it is none, or of other terms.
        """
        if list(plain.get("terms", ())) != list(TERMS):
            raise GalleryError(
                f"calibration: got the terms {list(plain.get('terms', ()))} and reads {list(TERMS)}; "
                "calibrate the gallery again."
            )
        sets = {name: _lead_set_from(values) for name, values in plain["lead_sets"].items()}
        return cls(lead_sets=sets, notes=tuple(plain["notes"]))

    def _lead_set(self, name: str) -> LeadSetCalibration:
        if name not in self.lead_sets:
            raise GalleryError(
                f"calibration: lead set {name!r} is not calibrated, {', '.join(self.lead_sets) or 'none'} is;"
                " enrol several recordings of some patients with these leads."
            )
        return self.lead_sets[name]


def fit_calibration(tables: Mapping[str, TemplateTable], *, seed: int = 0) -> Calibration:
    """Fits a calibration of every lead set on the recordings of a gallery.

    That some of them may be filed under the wrong patient is left alone: at one in a thousand it moves the
    fit less than drawing the persons does.

    Args:
        tables: Name of a lead set -> its templates.
        seed: Of the folds, the resamples and the drawing of pairs.
    """
    pairs = gather_pairs(tables, seed=seed)
    counts = {name: pairs.of(name).genuine_persons() for name in pairs.lead_sets}
    notes = [
        f"Lead set {name}: no patient has two recordings."
        for name, count in counts.items()
        if not count and len(tables[name].record_ids)
    ]
    chosen = [name for name, count in counts.items() if count and not pairs.of(name).is_genuine.all()]
    together = [name for name in chosen if counts[name] < FEWEST_OWN]
    sets: dict[str, LeadSetCalibration] = {}
    for name in chosen:
        joint = name in together and len(chosen) > 1
        used = pairs if joint else pairs.of(name)
        if joint:
            used = pairs.keep(np.isin(pairs.lead_set, [pairs.lead_sets.index(one) for one in chosen]))
        strangers = _best_of_strangers(tables[name], generator(seed, "strangers", name))
        found = _fit_lead_set(used, name, strangers, joint=joint, seed=seed)
        if found.coefficients[1] <= 0.0:
            notes.append(f"Lead set {name}: recordings of one patient are no more alike than of two.")
            continue
        sets[name] = found
        if counts[name] < FEWEST_OWN:
            how = "all lead sets together" if joint else f"{counts[name]} persons alone"
            notes.append(
                f"Lead set {name}: only {counts[name]} persons have two recordings; calibrated on {how}."
            )
    return Calibration(lead_sets=sets, notes=tuple(notes))


def _best_of_strangers(table: TemplateTable, random: np.random.Generator) -> Float[np.ndarray, "persons"]:
    """Returns for one recording of each person the similarity to the most similar of anybody else."""
    _, first, person = np.unique(
        np.array(table.patient_ids, dtype=str), return_index=True, return_inverse=True
    )
    chosen = np.sort(random.permutation(first)[:MOST_STRANGERS])
    same = hash_codes(table.hashes or [""] * len(person))
    _, cosine = strangers_alike(table.vectors, person, queries=chosen, most=1, same=same)
    return np.asarray(cosine[np.isfinite(cosine[:, 0]), 0])


def _fit_lead_set(
    pairs: Pairs, name: str, strangers: np.ndarray, *, joint: bool, seed: int
) -> LeadSetCalibration:
    typical = _typical(pairs)
    model = _Model(pairs, typical)
    value = model.fit(pair_weights(pairs), name)
    random = generator(seed, "calibration", name)
    count = len(pairs.persons)
    drawn = []
    for _ in range(DRAWS):
        weights = pair_weights(pairs, random.multinomial(count, np.full(count, 1.0 / count)))
        # A resample without a pair of either kind tells nothing.
        drawn.append(value if weights is None else model.fit(weights, name))
    own = pairs.of(name)
    genuine, impostor = own.is_genuine, own.similarity[~own.is_genuine]
    return LeadSetCalibration(
        coefficients=value,
        draws=np.array(drawn),
        typical=typical,
        joint=joint,
        genuine_persons=own.genuine_persons(),
        genuine_pairs=int(genuine.sum()),
        impostor_pairs=len(impostor),
        thresholds=tuple(threshold_at(impostor, rate) for rate in FALSE_ACCEPTANCES),
        open_set=tuple(threshold_at(strangers, rate) for rate in FALSE_ACCEPTANCES),
        report=_report(pairs, name, seed),
    )


def _typical(pairs: Pairs) -> tuple[float, float]:
    """Returns the mean log duration and log (1 + days) of genuine pairs, 0 where none is known."""
    genuine = pairs.keep(pairs.is_genuine)
    logs = (np.log(genuine.duration_s), np.log1p(genuine.days_apart))
    known = [one[np.isfinite(one)] for one in logs]
    return tuple(float(one.mean()) if len(one) else 0.0 for one in known)  # type: ignore[return-value]


def _features(
    similarity: np.ndarray, duration_s: np.ndarray, days_apart: np.ndarray, *, typical: tuple[float, float]
) -> Float[np.ndarray, "n terms"]:
    """Returns the numbers that `TERMS` weigh."""
    with np.errstate(divide="ignore", invalid="ignore"):
        duration, days = np.log(duration_s), np.log1p(days_apart)
    unknown = ~np.isfinite(days)
    return np.stack(
        [
            np.ones(len(similarity)),
            np.arctanh(np.clip(similarity, -_ALMOST_ONE, _ALMOST_ONE)),
            np.where(np.isfinite(duration), duration, typical[0]),
            np.where(unknown, typical[1], days),
            unknown.astype(np.float64),
        ],
        axis=1,
    )


def pair_weights(
    pairs: Pairs, times: np.ndarray | None = None, *, by: np.ndarray | None = None
) -> Float[np.ndarray, "pairs"] | None:
    """Returns weights by which persons count the same among genuine pairs, and among impostor pairs.

    Each kind sums to the number of persons with a genuine pair.

    Args:
        pairs: Compared.
        times: How often each person is drawn; None is once.
        by: A number for each pair within whose equals persons weigh the same; None is the lead set.

    Returns:
        None where a kind has no weight.
    """
    count = len(pairs.persons)
    drawn = np.ones(count) if times is None else times.astype(np.float64)
    genuine = pairs.is_genuine
    group = (pairs.lead_set if by is None else by) * count
    left, right = group + pairs.left, group + pairs.right
    size = int(max(left.max(initial=0), right.max(initial=0))) + 1
    of_genuine = np.bincount(left[genuine], minlength=size)
    of_impostor = np.bincount(left[~genuine], minlength=size) + np.bincount(right[~genuine], minlength=size)
    weights = np.where(genuine, drawn[pairs.left], drawn[pairs.left] * drawn[pairs.right])
    own = 1.0 / np.maximum(of_genuine[left], 1)
    other = 1.0 / np.maximum(of_impostor[left], 1) + 1.0 / np.maximum(of_impostor[right], 1)
    weights = weights * np.where(genuine, own, other)
    total = float(pairs.genuine_persons())
    for kind in (genuine, ~genuine):
        have = weights[kind].sum()
        if have <= 0.0:
            return None
        weights[kind] *= total / have
    return np.asarray(weights)


class _Model:
    """The two regressions, with and without the similarity, on one set of pairs."""

    def __init__(self, pairs: Pairs, typical: tuple[float, float]) -> None:
        self.lead_sets = pairs.lead_sets
        self.truth = pairs.is_genuine.astype(np.float64)
        terms = _features(pairs.similarity, pairs.duration_s, pairs.days_apart, typical=typical)
        present = [number for number in range(len(pairs.lead_sets)) if (pairs.lead_set == number).any()]
        self.dummies = present[1:]
        more = [(pairs.lead_set == number).astype(np.float64)[:, None] for number in self.dummies]
        columns = np.concatenate([terms[:, 1:], *more], axis=1)
        genuine = pairs.is_genuine
        # What does not vary within either kind cannot be weighed.
        spread = np.minimum(columns[genuine].std(axis=0), columns[~genuine].std(axis=0))
        self.used = spread > 1e-9
        self.used[0] = True
        self.mean, self.scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-9)
        standard = (columns - self.mean) / self.scale
        self.design = np.concatenate([np.ones((len(columns), 1)), standard[:, self.used]], axis=1)
        self.starts = [np.zeros(self.design.shape[1]), np.zeros(self.design.shape[1] - 1)]

    def fit(self, weights: np.ndarray | None, name: str) -> Float[np.ndarray, "terms"]:
        """Returns the weights of `TERMS` for a lead set."""
        if weights is None:
            raise GalleryError(
                f"calibration: lead set {name} has no pair of one person or none of two; enrol both."
            )
        kept = weights > 0.0
        design, truth, used = self.design[kept], self.truth[kept], weights[kept]
        whole = _logistic(design, truth, used, self.starts[0])
        self.starts[0] = whole
        covariates = np.delete(design, 1, axis=1)
        if covariates.shape[1] > 1:
            alone = _logistic(covariates, truth, used, self.starts[1])
            self.starts[1] = alone
            whole = whole - np.insert(alone, 1, 0.0)
        slopes = np.zeros(len(self.used))
        slopes[self.used] = whole[1:] / self.scale[self.used]
        intercept = whole[0] - slopes @ self.mean
        number = self.lead_sets.index(name)
        if number in self.dummies:
            intercept += slopes[4 + self.dummies.index(number)]
        return np.concatenate([[intercept], slopes[:4]])


def _logistic(design: np.ndarray, truth: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Returns the weights of a ridge logistic regression by Newton's method; the first column is free."""
    ridge = np.full(design.shape[1], _PENALTY)
    ridge[0] = 1e-6

    def loss(at: np.ndarray) -> float:
        logits = design @ at
        return float(weights @ (np.logaddexp(0.0, logits) - truth * logits) + 0.5 * ridge @ np.square(at))

    found, value = start.copy(), loss(start)
    for _ in range(50):
        chance = expit(design @ found)
        gradient = design.T @ (weights * (chance - truth)) + ridge * found
        certainty = weights * chance * (1.0 - chance)
        step = np.linalg.solve((design * certainty[:, None]).T @ design + np.diag(ridge), gradient)
        size = 1.0
        while loss(found - size * step) > value + 1e-12 and size > 1e-6:
            size *= 0.5
        found = found - size * step
        value = loss(found)
        if np.abs(size * step).max() < 1e-6:
            break
    return np.asarray(found)


def _report(pairs: Pairs, name: str, seed: int) -> CalibrationReport | None:
    """Returns how good folds of persons are calibrated by the others."""
    own = pairs.of(name)
    if own.genuine_persons() < FEWEST_REPORTED:
        return None
    fold = generator(seed, "calibration folds").permutation(len(pairs.persons)) % FOLDS
    parts, ratios = [], []
    for number in range(FOLDS):
        outside = pairs.keep((fold[pairs.left] != number) & (fold[pairs.right] != number))
        inside = own.keep((fold[own.left] == number) & (fold[own.right] == number))
        weights = pair_weights(outside)
        if weights is None or not len(inside.left) or not outside.of(name).is_genuine.any():
            continue
        typical = _typical(outside)
        terms = _features(inside.similarity, inside.duration_s, inside.days_apart, typical=typical)
        ratios.append(terms @ _Model(outside, typical).fit(weights, name))
        parts.append((fold[own.left] == number) & (fold[own.right] == number))
    if not parts:
        return None
    order = np.concatenate([np.flatnonzero(part) for part in parts])
    ratio = np.concatenate(ratios)
    judged = Pairs(**{key: _rows(getattr(own, key), order) for key in own.__dataclass_fields__})
    weights = pair_weights(judged)
    if weights is None:
        return None
    genuine = judged.is_genuine
    random, count = generator(seed, "calibration report", name), len(judged.persons)
    drawn = [
        pair_weights(judged, random.multinomial(count, np.full(count, 1.0 / count))) for _ in range(DRAWS)
    ]
    every = [weights, *(one for one in drawn if one is not None)]
    plain = np.clip(judged.similarity, -1.0 + 1e-6, 1.0 - 1e-6)
    return CalibrationReport(
        persons=judged.genuine_persons(),
        genuine_pairs=int(genuine.sum()),
        impostor_pairs=int((~genuine).sum()),
        cllr_before=_interval([cllr(np.log1p(plain) - np.log1p(-plain), genuine, w) for w in every]),
        cllr=_interval([cllr(ratio, genuine, w) for w in every]),
        cllr_min=_interval([cllr_floor(judged.similarity, genuine, w) for w in every]),
        reliability=_reliability(expit(ratio), genuine, weights),
    )


def _rows(values: Any, order: np.ndarray) -> Any:
    return values[order] if isinstance(values, np.ndarray) else values


def cllr(
    log_ratios: Float[np.ndarray, "pairs"], genuine: Bool[np.ndarray, "pairs"], weights: np.ndarray
) -> float:
    """Returns the cost of log-likelihood ratios in bits, over all priors; 1 is that of saying nothing.

    Source: Brümmer and du Preez 2006, section 4.
    """
    wrong = np.logaddexp(0.0, np.where(genuine, -log_ratios, log_ratios)) / np.log(2.0)
    kinds = [float(weights[kind] @ wrong[kind] / weights[kind].sum()) for kind in (genuine, ~genuine)]
    return 0.5 * sum(kinds)


def cllr_floor(
    similarity: Float[np.ndarray, "pairs"], genuine: Bool[np.ndarray, "pairs"], weights: np.ndarray
) -> float:
    """Returns the cost that the best rising function of the similarity has on these very pairs."""
    kept = weights > 0.0
    order = np.argsort(similarity[kept], kind="stable")
    truth, used = genuine[kept][order], weights[kept][order]
    # Both kinds weigh the same here, so that a share is a posterior at even odds.
    share = isotonic_regression(truth.astype(np.float64), weights=used).x
    return cllr(logit(np.clip(share, 1e-12, 1.0 - 1e-12)), truth, used)


def _reliability(
    posterior: np.ndarray, genuine: np.ndarray, weights: np.ndarray
) -> tuple[tuple[float, float, float], ...]:
    tenth = np.minimum((posterior * 10).astype(np.int64), 9)
    found = []
    for number in np.unique(tenth):
        part = tenth == number
        mass = float(weights[part].sum())
        shares = (weights[part] @ posterior[part] / mass, weights[part] @ genuine[part] / mass)
        found.append((float(shares[0]), float(shares[1]), mass / float(weights.sum())))
    return tuple(found)


def _interval(values: list[float]) -> Interval:
    """Returns the first value with the percentile interval of the others."""
    drawn = np.array(values[1:] or values)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=values[0], low=float(low), high=float(high))


def _lead_set_from(plain: Mapping[str, Any]) -> LeadSetCalibration:
    report = plain["report"]
    if report is not None:
        intervals = {key: Interval(**report[key]) for key in ("cllr_before", "cllr", "cllr_min")}
        curve = tuple(tuple(point) for point in report["reliability"])
        report = CalibrationReport(**(dict(report) | intervals | {"reliability": curve}))
    values = dict(plain) | {
        "coefficients": np.array(plain["coefficients"]),
        "draws": np.array(plain["draws"]),
        "typical": tuple(plain["typical"]),
        "thresholds": tuple(Threshold(**one) for one in plain["thresholds"]),
        "open_set": tuple(Threshold(**one) for one in plain["open_set"]),
        "report": report,
    }
    return LeadSetCalibration(**values)
