"""What is wrong with a lead is written down; the lead is kept."""

from dataclasses import dataclass
from typing import ClassVar

from anylead.errors import ConfigError
from anylead.preparation.base import Step
from anylead.record import Record
from anylead.signal import flat_leads, longest_standstill, saturated_share


@dataclass(frozen=True, kw_only=True)
class FlagQuality(Step):
    """Flags leads that stand still (``flat:<lead>``) and leads on a rail (``saturated:<lead>``).

    A lead is flat that never moves, or that repeats one value for a second or more: an electrode that
    came off, as in several recordings of CPSC 2018 and ECG-ID.
    """

    kind: ClassVar[str] = "flag_quality"

    flat_mv: float = 0.001
    """A lead whose peak-to-peak amplitude is below this is flat."""
    flat_s: float = 1.0
    """A lead that repeats one value for at least this long is flat, too."""
    saturated_share: float = 0.005
    """A lead that spends at least this share of its time on a rail is saturated."""
    plateau_s: float = 0.02
    """Shortest stay at an extreme that counts as a rail."""

    def __post_init__(self) -> None:
        if not (
            self.flat_mv >= 0 and self.flat_s > 0 and 0 < self.saturated_share <= 1 and self.plateau_s > 0
        ):
            raise ConfigError(
                f"flag_quality: got flat_mv {self.flat_mv:g}, flat_s {self.flat_s:g}, saturated_share "
                f"{self.saturated_share:g} and plateau_s {self.plateau_s:g}; give at least 0 mV, a share in "
                "(0, 1] and more than 0 s."
            )

    def __call__(self, record: Record) -> Record:
        """Adds the flags; the signal is not touched."""
        flat = flat_leads(record.signal, tolerance_mv=self.flat_mv)
        flat |= longest_standstill(record.signal) >= self.flat_s * record.sampling_rate_hz
        on_rail = saturated_share(record.signal, rate_hz=record.sampling_rate_hz, plateau_s=self.plateau_s)
        return record.with_flags(
            *(f"flat:{lead}" for lead, yes in zip(record.leads, flat, strict=True) if yes),
            *(
                f"saturated:{lead}"
                for lead, share in zip(record.leads, on_rail, strict=True)
                if share >= self.saturated_share
            ),
        )
