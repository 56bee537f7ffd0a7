"""Every number of every class under every resample, the means over classes, and what is told of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from anylead.evaluation.auroc_interval import MINIMUM_OUTCOMES, AurocBounds, auroc_bounds
from anylead.evaluation.bootstrap import logit_interval, percentile_interval
from anylead.evaluation.calibration import (
    are_probabilities,
    calibration_scores,
    error_if_calibrated,
    reliability_points,
)
from anylead.evaluation.classification import f1_scores, macro, rank_scores
from anylead.evaluation.results import ClassScore, Interval, defined

SPECIFICITIES = (0.9, 0.95)
"""At which sensitivity is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMeasures:
    """Numbers of every class; NaN where a class has one outcome only, under that weighting or altogether."""

    auroc: Float[np.ndarray, "draws1 classes"]
    auprc: Float[np.ndarray, "draws1 classes"]
    sensitivity: Mapping[str, Float[np.ndarray, "draws1 classes"]]
    """Specificity, as text, to the highest sensitivity at no lower one."""
    brier: Float[np.ndarray, "draws1 classes"]
    ece: Float[np.ndarray, "draws1 classes"]
    f1: Float[np.ndarray, "draws1 classes"] | None
    """None where no thresholds were given."""
    bounds: AurocBounds
    """Intervals of AUROC."""
    has_both: Bool[np.ndarray, "classes"]
    """Whether a class has both outcomes."""
    is_clean: Bool[np.ndarray, "classes"]
    """Whether it has at least 10 of either."""

    def means(self) -> dict[str, Float[np.ndarray, "draws1"]]:
        """Returns the means over classes; `clean` ones over those with at least 10 of either outcome."""
        means = {
            "macro_auroc": macro(self.auroc),
            "macro_auprc": macro(self.auprc),
            "clean_macro_auroc": macro(np.where(self.is_clean, self.auroc, np.nan)),
            "clean_macro_auprc": macro(np.where(self.is_clean, self.auprc, np.nan)),
            "macro_brier": macro(self.brier),
            "macro_ece": macro(self.ece),
        }
        if self.f1 is not None:
            means["macro_f1"] = macro(self.f1)
        return means | {f"macro_sensitivity_{level}": macro(one) for level, one in self.sensitivity.items()}


def class_measures(
    labels: Bool[np.ndarray, "records classes"],
    probabilities: Float[np.ndarray, "records classes"],
    weights: Float[np.ndarray, "draws1 records"],
    *,
    patients: Sequence[str | None],
    f1_thresholds: Float[np.ndarray, "classes"] | None = None,
) -> ClassMeasures:
    """Returns every number of every class.

    Args:
        labels: What is true.
        probabilities: One row a recording.
        weights: One row a weighting; the first is everyone once.
        patients: Whose each recording is; None where nobody knows.
        f1_thresholds: A probability above it is an answer; None leaves F1 out.

    Raises:
        InputError: If a probability is not finite or a weight is negative.
    """
    ranked = rank_scores(labels, probabilities, weights, specificities=SPECIFICITIES)
    calibration = calibration_scores(labels, probabilities, weights)
    rarer = np.minimum(labels.sum(axis=0), (~labels).sum(axis=0))
    answers = None if f1_thresholds is None else probabilities > f1_thresholds
    return ClassMeasures(
        auroc=ranked.auroc,
        auprc=ranked.auprc,
        sensitivity={f"{level:g}": ranked.sensitivity[place] for place, level in enumerate(SPECIFICITIES)},
        brier=np.where(rarer > 0, calibration.brier, np.nan),
        ece=np.where(rarer > 0, calibration.ece, np.nan),
        f1=None if answers is None else np.where(rarer > 0, f1_scores(labels, answers, weights), np.nan),
        bounds=auroc_bounds(labels, probabilities, patients),
        has_both=rarer > 0,
        is_clean=rarer >= MINIMUM_OUTCOMES,
    )


def class_scores(
    measures: ClassMeasures,
    labels: Bool[np.ndarray, "records classes"],
    probabilities: Float[np.ndarray, "records classes"],
    *,
    classes: Sequence[str],
    f1_thresholds: Float[np.ndarray, "classes"] | None = None,
) -> tuple[ClassScore, ...]:
    """Returns what is told of each class: without intervals where either outcome has fewer than 10.

    The interval of AUROC is that of `auroc_bounds`, the one of AUPRC `logit_interval`; the others are
    percentiles.

    Args:
        measures: From `class_measures` of the same.
        labels: What is true.
        probabilities: One row a recording.
        classes: Names of the columns.
        f1_thresholds: As for the measures.
    """
    bounds = measures.bounds
    calibrated = errors_if_calibrated(probabilities)

    def percentiles(values: Float[np.ndarray, "draws1 classes"], k: int) -> Interval:
        return _interval(values[:, k]) if measures.is_clean[k] else _value(values[:, k])

    def score(k: int, name: str) -> ClassScore:
        auroc, auprc = _value(measures.auroc[:, k]), _value(measures.auprc[:, k])
        if not np.isnan(bounds.low[k]):
            low, high = float(bounds.low[k]), float(bounds.high[k])
            auroc = Interval(value=auroc.value, low=low, high=high, method="score")
        if measures.is_clean[k]:
            draws, freedom = measures.auprc[:, k], float(bounds.positive_patients[k]) - 1.0
            auprc = logit_interval(float(draws[0]), draws[1:], freedom=freedom)
        is_told = bool(measures.has_both[k])
        return ClassScore(
            name=name,
            positives=int(labels[:, k].sum()),
            auroc=auroc,
            auprc=auprc,
            prevalence=float(labels[:, k].mean()) if len(labels) else None,
            sensitivity={level: percentiles(one, k) for level, one in measures.sensitivity.items()},
            threshold=None if f1_thresholds is None else float(f1_thresholds[k]),
            f1=None if measures.f1 is None else percentiles(measures.f1, k),
            brier=None if np.isnan(measures.brier[0, k]) else percentiles(measures.brier, k),
            ece=defined(float(measures.ece[0, k])),
            ece_if_calibrated=defined(float(calibrated[k])) if is_told else None,
            reliability=reliability_points(labels[:, k], probabilities[:, k]) if is_told else (),
        )

    return tuple(score(k, name) for k, name in enumerate(classes))


def errors_if_calibrated(
    probabilities: Float[np.ndarray, "records classes"],
) -> Float[np.ndarray, "classes"]:
    """Returns `error_if_calibrated` of each class, NaN for what is no probability."""
    usable = are_probabilities(probabilities)
    return np.array(
        [
            error_if_calibrated(column) if is_usable else np.nan
            for column, is_usable in zip(probabilities.T, usable, strict=True)
        ],
        dtype=float,
    )


def _interval(values: Float[np.ndarray, "draws1"]) -> Interval:
    return percentile_interval(float(values[0]), values[1:])


def _value(values: Float[np.ndarray, "draws1"]) -> Interval:
    """Returns a value without an interval, and in how many resamples it is defined."""
    undefined = int(np.isnan(values[1:]).sum())
    return Interval(
        value=defined(float(values[0])),
        resamples_used=len(values) - 1 - undefined,
        resamples_undefined=undefined,
    )
