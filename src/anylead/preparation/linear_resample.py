"""One sampling rate for all recordings, as ECG-FM makes it."""

from dataclasses import dataclass, replace
from typing import ClassVar

from anylead.errors import ConfigError
from anylead.preparation.base import Step
from anylead.record import MAXIMUM_RATE_HZ, MINIMUM_RATE_HZ, Record
from anylead.signal import linear_resample


@dataclass(frozen=True, kw_only=True)
class LinearResample(Step):
    """Brings a record to one sampling rate by linear interpolation; for encoders trained on such recordings.

    Source: METHOD §1.1 and §7 (ECG-FM). `Resample` filters first, which is better for every other encoder.
    """

    kind: ClassVar[str] = "linear_resample"

    rate_hz: float = 500.0
    """Samples per second afterwards."""

    def __post_init__(self) -> None:
        if not MINIMUM_RATE_HZ <= self.rate_hz <= MAXIMUM_RATE_HZ:
            raise ConfigError(
                f"linear_resample: rate_hz is {self.rate_hz:g}; rates from {MINIMUM_RATE_HZ:g} to "
                f"{MAXIMUM_RATE_HZ:g} Hz are accepted."
            )

    def __call__(self, record: Record) -> Record:
        """Resamples."""
        if record.sampling_rate_hz == self.rate_hz:
            return record
        signal = linear_resample(record.signal, from_hz=record.sampling_rate_hz, to_hz=self.rate_hz)
        return replace(record, signal=signal, sampling_rate_hz=self.rate_hz)
