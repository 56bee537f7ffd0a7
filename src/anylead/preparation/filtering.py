"""Optional filters. The paper uses none (METHOD §0, fact 1)."""

from dataclasses import dataclass, replace
from typing import ClassVar

from anylead.errors import ConfigError, InputError
from anylead.preparation.base import Step
from anylead.record import Record
from anylead.signal import band_pass, high_pass


def _require_below_nyquist(step: str, cutoff_hz: float, record: Record) -> None:
    if cutoff_hz >= record.sampling_rate_hz / 2:
        raise InputError(
            f"record {record.record_id}: {step} at {cutoff_hz:g} Hz needs more than {2 * cutoff_hz:g} "
            f"samples per second, the recording has {record.sampling_rate_hz:g}; "
            "lower the cutoff or resample first."
        )


@dataclass(frozen=True, kw_only=True)
class HighPass(Step):
    """Removes baseline wander with a zero-phase high-pass."""

    kind: ClassVar[str] = "high_pass"

    cutoff_hz: float = 0.5
    """Slower is removed."""
    order: int = 2
    """Butterworth order of one pass."""

    def __post_init__(self) -> None:
        if not (self.cutoff_hz > 0 and self.order >= 1):
            raise ConfigError(
                f"high_pass: got cutoff_hz {self.cutoff_hz:g} and order {self.order}; give a cutoff "
                "above 0 Hz and an order of 1 or more."
            )

    def __call__(self, record: Record) -> Record:
        """Filters.

        Raises:
            InputError: If the cutoff is not below half the sampling rate.
        """
        _require_below_nyquist(self.kind, self.cutoff_hz, record)
        signal = high_pass(
            record.signal, rate_hz=record.sampling_rate_hz, cutoff_hz=self.cutoff_hz, order=self.order
        )
        return replace(record, signal=signal)


@dataclass(frozen=True, kw_only=True)
class BandPass(Step):
    """Keeps one band of frequencies with a zero-phase band-pass."""

    kind: ClassVar[str] = "band_pass"

    low_hz: float = 0.5
    """Slower is removed."""
    high_hz: float = 40.0
    """Faster is removed."""
    order: int = 2
    """Butterworth order of one pass."""

    def __post_init__(self) -> None:
        if not (0 < self.low_hz < self.high_hz and self.order >= 1):
            raise ConfigError(
                f"band_pass: got low_hz {self.low_hz:g}, high_hz {self.high_hz:g} and order {self.order}; "
                "give 0 < low_hz < high_hz and an order of 1 or more."
            )

    def __call__(self, record: Record) -> Record:
        """Filters.

        Raises:
            InputError: If the upper cutoff is not below half the sampling rate.
        """
        _require_below_nyquist(self.kind, self.high_hz, record)
        signal = band_pass(
            record.signal,
            rate_hz=record.sampling_rate_hz,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
            order=self.order,
        )
        return replace(record, signal=signal)
