"""Record: one recording in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from anylead.errors import InputError, LeadError
from anylead.leads import canonical_leads

MINIMUM_RATE_HZ = 50.0
MAXIMUM_RATE_HZ = 10_000.0
PLAUSIBLE_MV = 20.0
"""Above this amplitude an array given without a file is taken to be in another unit than mV."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One recording: named leads in millivolts.

    Absent is not zero: a lead that was not recorded is not in `leads`, a missing sample is NaN.

    Raises:
        InputError: If there is no sample, or the rate is outside 50-10,000 Hz.
        LeadError: If the names do not match the rows, or a lead is named twice.
    """

    signal: Float32[np.ndarray, "leads samples"]
    """Millivolts; NaN where a sample is missing."""
    leads: tuple[str, ...]
    """Canonical names, one a row of `signal`."""
    sampling_rate_hz: float
    """Samples per second."""
    record_id: str = "record"
    """Unique within its source."""
    patient_id: str | None = None
    """None where nobody knows."""
    recorded_at: datetime | None = None
    """Local time of the first sample, where known."""
    age_years: float | None = None
    sex: str | None = None
    """``"F"`` or ``"M"``; None where nobody knows."""
    flags: tuple[str, ...] = field(default=())
    """What reading and preparing noticed, as ``kind`` or ``kind:lead`` (``flat:V3``, ``gap_filled:II``)."""

    def __post_init__(self) -> None:
        where = f"record {self.record_id}"
        object.__setattr__(self, "leads", canonical_leads(self.leads, where=where))
        if len(self.leads) != self.signal.shape[0]:
            raise LeadError(
                f"{where}: {len(self.leads)} lead names for {self.signal.shape[0]} rows; name every row once."
            )
        if self.signal.shape[1] == 0:
            raise InputError(f"{where}: there are no samples; at least one is needed.")
        if not MINIMUM_RATE_HZ <= self.sampling_rate_hz <= MAXIMUM_RATE_HZ:
            raise InputError(
                f"{where}: the sampling rate is {self.sampling_rate_hz:g} Hz; rates from "
                f"{MINIMUM_RATE_HZ:g} to {MAXIMUM_RATE_HZ:g} Hz are accepted."
            )

    @property
    def samples(self) -> int:
        """Samples per lead."""
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / self.sampling_rate_hz

    def with_flags(self, *flags: str) -> "Record":
        """Returns the record with flags added, each at most once."""
        return replace(self, flags=tuple(dict.fromkeys((*self.flags, *flags))))

    def select(self, leads: Sequence[str]) -> "Record":
        """Returns the record with only the given leads, in the order given.

        Raises:
            LeadError: If a lead is not in the record.
        """
        wanted = canonical_leads(leads, where=f"record {self.record_id}")
        missing = [lead for lead in wanted if lead not in self.leads]
        if missing:
            raise LeadError(
                f"record {self.record_id}: lead {', '.join(missing)} is not recorded; "
                f"it has {', '.join(self.leads)}."
            )
        rows = [self.leads.index(lead) for lead in wanted]
        return replace(self, signal=self.signal[rows], leads=wanted)

    @classmethod
    def from_array(
        cls, signal: ArrayLike, *, fs: float | int, leads: Sequence[str] | str, record_id: str = "array"
    ) -> "Record":
        """Makes a Record from a plain array.

        Args:
            signal: (leads, samples) in millivolts; one lead may be (samples,). NaN marks missing samples.
            fs: Sampling rate in Hz.
            leads: One name a row.
            record_id: What to call it.

        Raises:
            InputError: If the array is empty, not numeric, looks transposed, or exceeds 20 mV.
            LeadError: If the names do not match the rows.
        """
        try:
            array = np.array(signal, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"{record_id}: the signal is not an array of numbers ({error}).") from error
        names = canonical_leads(leads, where=record_id)
        if array.ndim == 1:
            array = array[None, :]
        if array.ndim != 2:
            raise InputError(
                f"{record_id}: the signal has shape {array.shape}; give a 2-D array (leads, samples)."
            )
        if array.shape[0] != len(names) and array.shape[1] == len(names):
            raise InputError(
                f"{record_id}: the array has shape {array.shape} and there are {len(names)} lead names; "
                "is it transposed? Give (leads, samples), for instance signal.T."
            )
        record = cls(signal=array, leads=names, sampling_rate_hz=float(fs), record_id=record_id)
        finite = array[np.isfinite(array)]
        peak = float(np.abs(finite).max()) if finite.size else 0.0
        if peak > PLAUSIBLE_MV:
            raise InputError(
                f"{record_id}: the largest amplitude is {peak:g}; signals are in millivolts and stay below "
                f"{PLAUSIBLE_MV:g} mV: are these microvolts or stored integers? Divide by the gain first."
            )
        return record
