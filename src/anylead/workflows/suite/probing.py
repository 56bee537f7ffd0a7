"""Probes on frozen embeddings: fitted on one condition, asked on any."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from anylead.errors import InputError
from anylead.evaluation.conditions import Condition
from anylead.evaluation.probe import Probe, ProbeConfig, fit_probe
from anylead.workflows.suite.embedders import Embedder
from anylead.workflows.suite.parts import Answers
from anylead.workflows.suite.passes import Passes
from anylead.workflows.suite.task import Task, finite_rows


@dataclass(kw_only=True, eq=False)
class Probes:
    """Logistic probes of everything that is judged; the strength is chosen on validation recordings."""

    passes: Passes
    task: Task
    config: ProbeConfig = field(default_factory=ProbeConfig)
    _fitted: dict[tuple[str, str], Probe] = field(default_factory=dict)

    def fit(self, embedder: Embedder, condition: Condition, *, strength_from: Probe | None = None) -> Probe:
        """Returns the probe fitted on the training recordings under a condition.

        Args:
            embedder: Gives the vectors.
            condition: Of the training recordings.
            strength_from: Take over its strength rather than choosing one.

        Raises:
            InputError: If no training recording has an embedding.
        """
        key = (embedder.key, condition.name)
        if key in self._fitted:
            return self._fitted[key]
        vectors, labels, patients = self._usable(embedder, condition, "train")
        if not len(vectors):
            raise InputError(
                f"{embedder.name}: no labelled training recording has an embedding for {condition.name}; "
                "give embeddings of the training recordings."
            )
        config, valid = self.config, None
        if strength_from is not None:
            config = replace(config, l2_strengths=(strength_from.l2_strength,))
        else:
            held, truth, _ = self._usable(embedder, condition, "valid")
            if (truth.any(axis=0) & ~truth.all(axis=0)).any():
                valid = (held, truth)
        # Hundreds of small regressions: threads of the linear algebra would only wait for each other.
        with threadpool_limits(1):
            self._fitted[key] = fit_probe(
                vectors,
                labels,
                patients=patients,
                valid=valid,
                config=config,
            )
        return self._fitted[key]

    def ask(
        self, embedder: Embedder, probe: Probe, condition: Condition, part: str
    ) -> Float[np.ndarray, "records classes"]:
        """Returns probabilities of the recordings of a part, NaN where there is no embedding."""
        vectors = self.passes.vectors(embedder, condition, part)
        result = np.full((len(vectors), len(self.task.classes)), np.nan)
        usable = finite_rows(vectors)
        if usable.any():
            result[usable] = probe.predict_proba(vectors[usable].astype(np.float64))
        return result

    def answers(self, embedder: Embedder, fitted_on: Condition, judged_on: Condition) -> Answers:
        """Returns what a probe that was fitted on one condition says of another."""
        probe = self.fit(embedder, fitted_on)
        return Answers(
            system=embedder.name,
            protocol="probe",
            test=self.ask(embedder, probe, judged_on, "test"),
            valid=self.ask(embedder, probe, judged_on, "valid"),
        )

    def _usable(
        self, embedder: Embedder, condition: Condition, part: str
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        vectors = self.passes.vectors(embedder, condition, part)
        usable = finite_rows(vectors)
        chosen = self.task.parts[part].keep(usable)
        return vectors[usable].astype(np.float64), self.task.labels[part][usable], chosen.persons
