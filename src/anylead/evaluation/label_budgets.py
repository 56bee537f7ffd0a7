"""How many labels does a probe need? The same probe on 1, 5, 10 and 100 % of the training recordings.

Patients are drawn, with all their recordings, in one random order for each draw: a small budget is a part of
every larger one of the same draw. Whatever the probe has to choose, it chooses within the budget by
cross-validation in which no patient is on both sides, so that no label outside is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from anylead.errors import ConfigError, InputError
from anylead.evaluation.bootstrap import PatientDraws, own_names, percentile_interval
from anylead.evaluation.classification import macro, rank_scores
from anylead.evaluation.probe import ProbeConfig, fit_probe
from anylead.evaluation.results import Interval, defined
from anylead.seeding import generator


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """Which budgets are looked at.

    Raises:
        ConfigError: If a fraction is not above 0 and at most 1, or there is no draw.
    """

    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 1.0)
    """Of the patients."""
    draws: int = 5
    """Of each budget; the whole needs one."""
    minimum_recordings: int = 50
    """With fewer training recordings a budget is named as too small, not run."""
    seed: int = 0
    """Of the draws and of the folds."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)

    def __post_init__(self) -> None:
        if not all(0.0 < fraction <= 1.0 for fraction in self.fractions) or self.draws < 1:
            raise ConfigError(
                f"label budgets: got fractions {list(self.fractions)} and {self.draws} draws; "
                "give fractions above 0 and up to 1, and at least one draw."
            )


@dataclass(frozen=True, kw_only=True)
class BudgetResult:
    """One budget of one system."""

    system: str
    fraction: float
    recordings: int
    """Training recordings; of several draws the mean, rounded."""
    patients: int
    macro_auroc: Interval
    """Mean over the draws, with its interval over resampled test patients; undefined where the budget is too
    small. Over the classes that are defined in this budget."""
    macro_auroc_common: Interval
    """The same over the classes that are defined in every budget that was run: points of one curve."""
    per_draw: tuple[float | None, ...] = ()
    """Each draw's macro AUROC over the common classes."""
    classes: int = 0
    """Classes that have a positive and a negative training recording in every draw of this budget, and both
    outcomes in the test."""
    common_classes: int = 0
    left_out: tuple[str, ...] = ()
    """Classes that are not defined in this budget."""
    too_small: bool = False
    """Not run."""

    @property
    def spread(self) -> tuple[float, float] | None:
        """Returns the lowest and the highest draw; None with fewer than two."""
        known = [value for value in self.per_draw if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None


def nested_draws(
    patients: Sequence[str | None], config: BudgetConfig
) -> list[dict[float, Int[np.ndarray, "_"]]]:
    """Returns the rows of each budget, for each draw.

    Args:
        patients: Whose each training recording is; None is a patient of its own.
        config: Which budgets.

    Returns:
        For each draw the fraction to rows in rising order; a smaller budget's rows are among a larger one's.

    Raises:
        InputError: If there is no recording.
    """
    names = own_names(patients)
    if not names:
        raise InputError("label budgets: got no training recording; give labelled recordings.")
    unique = sorted(set(names))
    drawn = []
    for draw in range(config.draws):
        order = generator(config.seed, "label budget", draw).permutation(len(unique))
        place = {unique[patient]: position for position, patient in enumerate(order)}
        places = np.array([place[name] for name in names])
        # Rounded up: a budget is never empty.
        counts = {fraction: int(np.ceil(fraction * len(unique) - 1e-9)) for fraction in config.fractions}
        drawn.append({fraction: np.flatnonzero(places < count) for fraction, count in counts.items()})
    return drawn


def evaluate_label_budgets(
    embeddings: Float[np.ndarray, "records features"],
    labels: Bool[np.ndarray, "records classes"],
    test_embeddings: Float[np.ndarray, "test features"],
    test_labels: Bool[np.ndarray, "test classes"],
    *,
    patients: Sequence[str | None],
    test_patients: Sequence[str | None],
    draws: PatientDraws,
    classes: Sequence[str],
    system: str,
    config: BudgetConfig | None = None,
) -> tuple[BudgetResult, ...]:
    """Fits and judges a probe for every budget and draw.

    Every draw of a budget is judged on the same classes: those defined in all of them. A class that one draw
    has no positive recording of is left out of all, and named. Small budgets therefore have fewer classes:
    the curve is over the classes that all budgets have.

    Args:
        embeddings: Of the training recordings.
        labels: Of the training recordings.
        test_embeddings: Of the recordings that are judged.
        test_labels: What is true of them.
        patients: Whose the training recordings are.
        test_patients: Whose the test recordings are.
        draws: Resamples of the test patients.
        classes: Names of the columns.
        system: What to call the system.
        config: None is the default.

    Raises:
        InputError: If there is not one name for each class or one patient for each recording.
    """
    config = config or BudgetConfig()
    if len(classes) != labels.shape[1] or len(patients) != len(labels):
        raise InputError(
            f"label budgets: got {len(patients)} patients and {len(classes)} class names for labels "
            f"{labels.shape}; give one patient a recording and one name a class."
        )
    weights = draws.record_weights(test_patients)
    weights = np.concatenate([np.ones((1, weights.shape[1])), weights])
    nested = nested_draws(patients, config)
    budgets = {
        fraction: [rows[fraction] for rows in (nested[:1] if fraction == 1.0 else nested)]
        for fraction in sorted(config.fractions)
    }
    scores = {
        fraction: np.stack(
            [
                _class_scores(
                    embeddings[rows], labels[rows], test_embeddings, test_labels, of, weights, config.probe
                )
                for rows, of in ((rows, [patients[row] for row in rows]) for rows in chosen)
            ]
        )
        for fraction, chosen in budgets.items()
        if _is_large_enough(chosen, patients, config)
    }
    used = {fraction: ~np.isnan(values[:, 0]).any(axis=0) for fraction, values in scores.items()}
    common = np.all(list(used.values()), axis=0) if used else np.zeros(len(classes), dtype=bool)
    return tuple(
        _result(system, fraction, chosen, patients, scores.get(fraction), common, classes)
        for fraction, chosen in budgets.items()
    )


def _is_large_enough(
    chosen: Sequence[np.ndarray], patients: Sequence[str | None], config: BudgetConfig
) -> bool:
    return (
        min(len(rows) for rows in chosen) >= config.minimum_recordings
        and _persons(chosen[0], patients) >= config.probe.folds
    )


def _persons(rows: Int[np.ndarray, "rows"], patients: Sequence[str | None]) -> int:
    names = own_names(patients)
    return len({names[row] for row in rows})


def _class_scores(
    embeddings: np.ndarray,
    labels: np.ndarray,
    test_embeddings: np.ndarray,
    test_labels: np.ndarray,
    patients: Sequence[str | None],
    weights: np.ndarray,
    config: ProbeConfig,
) -> Float[np.ndarray, "draws1 classes"]:
    """Returns AUROC of each class on all test patients and on each resample; NaN if it cannot be learnt."""
    values = np.full((len(weights), labels.shape[1]), np.nan)
    known = labels.any(axis=0) & ~labels.all(axis=0)
    if known.any():
        probe = fit_probe(embeddings, labels[:, known], patients=patients, config=config)
        said = probe.predict_proba(test_embeddings)
        values[:, known] = rank_scores(test_labels[:, known], said, weights).auroc
    return values


def _result(
    system: str,
    fraction: float,
    chosen: Sequence[np.ndarray],
    patients: Sequence[str | None],
    scores: np.ndarray | None,
    common: np.ndarray,
    classes: Sequence[str],
) -> BudgetResult:
    size = round(float(np.mean([len(rows) for rows in chosen])))
    persons = _persons(chosen[0], patients)
    if scores is None:
        nothing = Interval(value=None)
        return BudgetResult(
            system=system,
            fraction=fraction,
            recordings=size,
            patients=persons,
            macro_auroc=nothing,
            macro_auroc_common=nothing,
            too_small=True,
        )
    own = ~np.isnan(scores[:, 0]).any(axis=0)
    mean, comparable = _macro(scores, own).mean(axis=0), _macro(scores, common)
    mean_comparable = comparable.mean(axis=0)
    return BudgetResult(
        system=system,
        fraction=fraction,
        recordings=size,
        patients=persons,
        macro_auroc=percentile_interval(float(mean[0]), mean[1:]),
        macro_auroc_common=percentile_interval(float(mean_comparable[0]), mean_comparable[1:]),
        per_draw=tuple(defined(float(value)) for value in comparable[:, 0]),
        classes=int(own.sum()),
        common_classes=int(common.sum()),
        left_out=tuple(name for name, kept in zip(classes, own, strict=True) if not kept),
    )


def _macro(
    scores: Float[np.ndarray, "budget_draws draws1 classes"], chosen: Bool[np.ndarray, "classes"]
) -> Float[np.ndarray, "budget_draws draws1"]:
    return macro(scores[:, :, chosen]) if chosen.any() else np.full(scores.shape[:2], np.nan)
