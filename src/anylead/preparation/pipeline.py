"""Preparation: steps in order, to and from plain values, with a fingerprint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from anylead.config import from_plain, to_plain
from anylead.errors import ConfigError
from anylead.preparation.absent_leads import DropAbsentLeads
from anylead.preparation.fill_gaps import FillGaps
from anylead.preparation.filtering import BandPass, HighPass
from anylead.preparation.flag_quality import FlagQuality
from anylead.preparation.linear_resample import LinearResample
from anylead.preparation.resample import Resample
from anylead.preparation.scale_leads import ScaleLeads
from anylead.preparation.standardize import StandardizeLeads
from anylead.provenance import fingerprint
from anylead.record import Record

AnyStep = (
    DropAbsentLeads
    | FillGaps
    | FlagQuality
    | Resample
    | LinearResample
    | HighPass
    | BandPass
    | ScaleLeads
    | StandardizeLeads
)
"""Every step there is."""

STEPS: dict[str, type[AnyStep]] = {step.kind: step for step in get_args(AnyStep)}
"""Name in files -> class."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Runs steps in order. The same steps run before training and at inference."""

    steps: tuple[AnyStep, ...]
    """Applied from first to last."""

    @classmethod
    def default(cls, *, rate_hz: float = 500.0) -> "Preparation":
        """Returns the usual steps: absent leads, short gaps, quality flags, one sampling rate.

        Flags come before the change of rate, which rounds the corners of a clipped signal.
        """
        return cls(steps=(DropAbsentLeads(), FillGaps(), FlagQuality(), Resample(rate_hz=rate_hz)))

    @property
    def rate_hz(self) -> float | None:
        """Sampling rate afterwards; None where it stays that of the file."""
        rates = [step.rate_hz for step in self.steps if isinstance(step, Resample | LinearResample)]
        return rates[-1] if rates else None

    def __call__(self, record: Record) -> Record:
        """Prepares one record.

        Raises:
            InputError: If a step cannot be done on it.
        """
        for step in self.steps:
            record = step(record)
        return record

    def fingerprint(self) -> str:
        """Returns 16 hexadecimal digits that are equal for equal steps."""
        return fingerprint(self.to_plain())

    def to_plain(self) -> dict[str, Any]:
        """Returns nested plain values for a file."""
        return {"steps": [{"kind": step.kind, **to_plain(step)} for step in self.steps]}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Preparation":
        """Builds a Preparation from what `to_plain` gave.

        Raises:
            ConfigError: If a step or a setting is unknown.
        """
        listed = values.get("steps") if isinstance(values, Mapping) else None
        if not isinstance(listed, list | tuple) or not all(isinstance(step, Mapping) for step in listed):
            raise ConfigError(
                f"preparation: got {values!r}; a list of steps under the name 'steps' is needed."
            )
        return cls(steps=tuple(_step(number, step) for number, step in enumerate(listed)))


def _step(number: int, values: Mapping[str, Any]) -> AnyStep:
    kind = values.get("kind")
    if kind not in STEPS:
        raise ConfigError(
            f"preparation.steps[{number}]: unknown step {kind!r}; known are {', '.join(STEPS)}. "
            "A newer anylead may know it."
        )
    settings = {name: value for name, value in values.items() if name != "kind"}
    return from_plain(STEPS[kind], settings, where=f"preparation.steps[{number}]")
