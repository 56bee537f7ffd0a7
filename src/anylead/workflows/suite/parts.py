"""What the parts of the suite give, and a part that cannot be made."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from anylead.errors import ConfigError, InputError
from anylead.evaluation.predictions import Block
from anylead.evaluation.report import Section
from anylead.evaluation.results import Difference

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What one system says of the recordings, in the columns of the classes judged."""

    system: str
    protocol: str
    """How the answers were read: ``probe``, ``k-NN``, ``attentive probe``, ``fine-tuned``, ``supervised``."""
    test: Float[np.ndarray, "records classes"]
    """Probabilities; NaN rows where the system gives none."""
    valid: Float[np.ndarray, "valid classes"] | None = None
    """Of validation recordings, on which thresholds are chosen."""

    @property
    def name(self) -> str:
        """In tables."""
        return self.system if self.protocol in self.system else f"{self.system}, {self.protocol}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the report."""

    sections: tuple[Section, ...] = ()
    results: tuple[Any, ...] = ()
    """Result dataclasses, for report.json."""
    claims: tuple[Difference, ...] = ()
    """Differences that answer whether pre-training helped: they are corrected as one family."""
    predictions: tuple[Block, ...] = ()
    headlines: tuple[str, ...] = ()
    """Sentences for the summary."""
    missing: tuple[str, ...] = ()
    """What could not be made, and why."""


def attempt(what: str, make: Callable[[], Part]) -> Part:
    """Makes a part, or says in one sentence why it cannot be made: the rest of the report goes on."""
    try:
        return make()
    except (ConfigError, InputError) as error:
        logger.warning("%s is missing: %s", what, error)
        return Part(missing=(f"{what}: {str(error).removeprefix(f'{what.lower()}: ')}",))
