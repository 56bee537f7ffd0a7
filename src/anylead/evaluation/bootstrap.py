"""Resampling patients, as weights: a metric that takes weights is bootstrapped without copying a recording.

A resample draws as many patients as there are, with replacement; a patient drawn twice counts twice, with all
recordings. Two systems are compared on the same draws.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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
