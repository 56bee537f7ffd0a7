"""Resampling patients, as weights: a metric that takes weights is bootstrapped without copying a recording.

A resample draws as many patients as there are, with replacement; a patient drawn twice counts twice, with all
recordings. Two systems are compared on the same draws.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from anylead.errors import InputError
from anylead.evaluation.results import Interval, defined
from anylead.provenance import fingerprint
from anylead.seeding import generator


@dataclass(frozen=True, kw_only=True, eq=False)
class PatientDraws:
    """How often each patient is drawn in each resample."""

    patients: tuple[str, ...]
    """In sorted order, so that the draws do not depend on the order of the recordings."""
    counts: Int[np.ndarray, "draws patients"]
    key: str
    """The same for the same patients, seed and number of resamples: only then are draws comparable."""

    def record_weights(self, patients: Sequence[str | None]) -> Float[np.ndarray, "draws records"]:
        """Returns the weight of each recording in each resample: how often its patient was drawn.

        Args:
            patients: Whose each recording is; None as in `patient_draws`.

        Raises:
            InputError: If a patient is not among those drawn from.
        """
        place = {patient: column for column, patient in enumerate(self.patients)}
        names = own_names(patients)
        unknown = sorted({name for name in names if name not in place})
        if unknown:
            raise InputError(
                f"bootstrap: patient {unknown[0]} is not among the {len(place)} drawn from; "
                "make the draws from all recordings that are evaluated."
            )
        columns = np.array([place[name] for name in names], dtype=np.int64)
        return self.counts[:, columns].astype(np.float64)


def own_names(patients: Sequence[str | None]) -> list[str]:
    """Returns patients' names, giving every recording of an unknown patient a name of its own."""
    return [f"recording {row}" if name is None else f"patient {name}" for row, name in enumerate(patients)]


def patient_draws(patients: Sequence[str | None], *, resamples: int = 1000, seed: int = 0) -> PatientDraws:
    """Draws patients with replacement.

    Args:
        patients: Whose each recording is. A recording of nobody known (None) is taken to be of a patient of
            its own.
        resamples: How many times.
        seed: Of the draws.

    Raises:
        InputError: If there is no recording, or less than one resample.
    """
    names = tuple(sorted(set(own_names(patients))))
    if not names or resamples < 1:
        raise InputError(
            f"bootstrap: got {len(names)} patients and {resamples} resamples; give at least one of each."
        )
    random = generator(seed, "patient bootstrap")
    counts = random.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=resamples)
    key = fingerprint([list(names), resamples, seed])
    return PatientDraws(patients=names, counts=counts.astype(np.int32), key=key)


def percentile_interval(
    value: float, draws: Float[np.ndarray, "draws"], *, confidence: float = 0.95
) -> Interval:
    """Returns a value with its percentile interval.

    Args:
        value: From all patients, each once; NaN where it is undefined.
        draws: From each resample; NaN where it is undefined there, which is left out and counted.
        confidence: Part of the resamples inside.
    """
    usable = draws[~np.isnan(draws)]
    left_out = len(draws) - len(usable)
    if np.isnan(value) or not len(usable):
        return Interval(value=defined(value), resamples_used=len(usable), resamples_undefined=left_out)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(usable, [tail, 100.0 - tail])
    return Interval(
        value=float(value),
        low=float(low),
        high=float(high),
        resamples_used=len(usable),
        resamples_undefined=left_out,
    )


def logit_interval(
    value: float, draws: Float[np.ndarray, "draws"], *, freedom: float, confidence: float = 0.95
) -> Interval:
    """Returns a rate with an interval from the spread of the resamples, taken on the logit scale.

    For average precision, whose resamples of few positives lie too high and too close: the value stays in the
    middle, the ends stay between 0 and 1. There is no interval where the value is 0 or 1 or does not vary.

    Args:
        value: From all patients, each once, from 0 to 1; NaN where it is undefined.
        draws: From each resample; NaN where it is undefined there, which is left out and counted.
        freedom: Degrees of freedom of Student's t, such as the effective number of positive patients less
            one; at least 1 is taken.
        confidence: How often the interval shall hold the truth.
    """
    usable = draws[~np.isnan(draws)]
    told = Interval(
        value=defined(value),
        resamples_used=len(usable),
        resamples_undefined=len(draws) - len(usable),
        method="logit",
    )
    if len(usable) < 2 or not 0.0 < value < 1.0 or usable.std() == 0.0:
        return told
    middle = special.logit(value)
    spread = usable.std(ddof=1) / (value * (1.0 - value))
    reach = special.stdtrit(max(freedom, 1.0), 0.5 + confidence / 2.0) * spread
    low, high = special.expit([middle - reach, middle + reach])
    return replace(told, low=float(low), high=float(high))
