"""The labelled recordings of the suite: which classes are judged, on whom, with which resamples."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from anylead.errors import ConfigError
from anylead.evaluation.bootstrap import PatientDraws, patient_draws
from anylead.feed.targets import class_targets
from anylead.sources.challenge import SCORED_CLASSES
from anylead.workflows.selection import Selection
from anylead.workflows.suite.config import ProtocolConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Classification of the Challenge's scored classes, as far as these recordings allow it."""

    parts: dict[str, Selection]
    """``train``, ``valid`` and ``test``: labelled recordings; nobody is in two."""
    labels: dict[str, Bool[np.ndarray, "records classes"]]
    """Of the classes that are judged."""
    classes: tuple[str, ...]
    columns: tuple[int, ...]
    """Places of these classes among the 26."""
    skipped: tuple[str, ...]
    """Classes with too few positive training recordings, or one outcome only in the test."""
    minimum_positives: int
    """So many training recordings are enough."""
    draws: PatientDraws
    """Of the test patients: every difference is taken on the same."""

    @property
    def all_labels(self) -> Bool[np.ndarray, "records 26"]:
        """Returns all 26 classes of the test recordings, for the Challenge score."""
        return _labels(self.parts["test"])


def classification_task(parts: dict[str, Selection], config: ProtocolConfig) -> Task:
    """Chooses the classes.

    Args:
        parts: ``train``, ``valid``, ``test``; recordings without labels are left out.
        config: How many positives a class needs.

    Raises:
        ConfigError: If no class can be judged.
    """
    labelled = {name: part.labelled() for name, part in parts.items()}
    wide = {name: _labels(part) for name, part in labelled.items()}
    train, test = wide["train"].sum(axis=0), wide["test"].sum(axis=0)
    usable = (train >= config.minimum_positives) & (test > 0) & (test < len(wide["test"]))
    if not usable.any():
        raise ConfigError(
            f"classification: none of the 26 scored classes has {config.minimum_positives} positives among "
            f"{len(wide['train'])} labelled training recordings and both outcomes among {len(wide['test'])} "
            "test recordings; give a store with more labelled recordings, or lower minimum_positives."
        )
    occurring = (train > 0) | (test > 0)
    return Task(
        parts=labelled,
        labels={name: values[:, usable] for name, values in wide.items()},
        classes=_names(usable),
        columns=tuple(int(column) for column in np.flatnonzero(usable)),
        skipped=_names(occurring & ~usable),
        minimum_positives=config.minimum_positives,
        draws=patient_draws(labelled["test"].persons, resamples=config.resamples, seed=config.seed),
    )


def _labels(selection: Selection) -> Bool[np.ndarray, "records 26"]:
    return class_targets(selection.stores, selection.recordings, [one.codes for one in SCORED_CLASSES]) > 0.5


def _names(chosen: Bool[np.ndarray, "26"]) -> tuple[str, ...]:
    return tuple(one.abbreviation for one, kept in zip(SCORED_CLASSES, chosen, strict=True) if kept)


def finite_rows(*arrays: np.ndarray) -> Bool[np.ndarray, "records"]:
    """Returns which recordings have numbers, and nothing but numbers, in every array."""
    whole = [np.isfinite(values).all(axis=1) & (values.shape[1] > 0) for values in arrays]
    return np.asarray(np.all(whole, axis=0))
