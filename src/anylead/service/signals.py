"""A recording as it is drawn: integers in microvolts, a piece at a time."""

import numpy as np

from anylead.record import Record
from anylead.service.errors import Refused

LONGEST_S = 60.0
"""Most that is sent at a time."""


def piece_of(record: Record, start_s: float, seconds: float) -> dict[str, object]:
    """Returns a piece of a recording, in the form of `messages.SignalTold`.

    Raises:
        Refused: If it begins behind the recording's end (422).
    """
    rate = record.sampling_rate_hz
    start = round(start_s * rate)
    if start >= record.samples:
        raise Refused(
            422, f"start_s: got {start_s:g}; the recording is {record.duration_s:g} s long: start earlier."
        )
    piece = record.signal[:, start : start + max(round(seconds * rate), 1)]
    return {
        "record_id": record.record_id,
        "leads": list(record.leads),
        "sampling_rate_hz": rate,
        "start_s": start / rate,
        "duration_s": piece.shape[1] / rate,
        "recording_s": record.duration_s,
        "microvolts": {lead: _whole(row) for lead, row in zip(record.leads, piece, strict=True)},
    }


def _whole(row: np.ndarray) -> list[int | None]:
    present = np.isfinite(row)
    values = np.rint(np.where(present, row, 0) * 1000).astype(np.int64).tolist()
    return [value if there else None for value, there in zip(values, present.tolist(), strict=True)]
